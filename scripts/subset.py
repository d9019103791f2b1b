"""Draw the subsets of one size of a target, one for each seed."""

import argparse
import json

import numpy as np

from advtransfer.artefacts import save_columns
from advtransfer.datasets import load_labels
from advtransfer.errors import exit_on_input_error
from advtransfer.subsets import draw_subset


def main() -> None:
    """Parse, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", required=True, help="target artefact")
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--seeds", type=json.loads, required=True, help="JSON list")
    parser.add_argument("--output", required=True, help="parquet file with columns seed, image_id")
    arguments = parser.parse_args()
    labels = load_labels(arguments.target)
    draws = [draw_subset(labels, arguments.images, seed).numpy() for seed in arguments.seeds]
    columns = {"seed": np.repeat(arguments.seeds, arguments.images), "image_id": np.concatenate(draws)}
    save_columns(arguments.output, columns)


if __name__ == "__main__":
    with exit_on_input_error():
        main()
