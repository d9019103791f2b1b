"""Draw the subsets of one size of a target, one for each seed."""

import argparse
import json

import pandas as pd

from advtransfer.artefacts import content_hash, made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.datasets import load_labels
from advtransfer.subsets import draw_subset


def main() -> None:
    """Parse, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", required=True, help="target artefact")
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--seeds", type=json.loads, required=True, help="JSON list")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="parquet file with columns seed, image_id")
    arguments = parser.parse_args()
    labels = load_labels(arguments.target)
    draws = {seed: draw_subset(labels, arguments.images, seed).numpy() for seed in arguments.seeds}
    table = [pd.DataFrame({"seed": seed, "image_id": image_ids}) for seed, image_ids in draws.items()]
    settings = {"images": arguments.images, "seeds": arguments.seeds}
    provenance = made_of(settings, arguments.code, {"target": content_hash(arguments.target)})
    save_table(arguments.output, pd.concat(table, ignore_index=True), provenance)


if __name__ == "__main__":
    with command_line():
        main()
