"""Attack the networks of one way to a target: a row for each seed and radius, of how many test images are right."""

import argparse
import json

import pandas as pd

from advtransfer.artefacts import content_hash, load_tensors, made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.datasets import draw_test_images, load_dataset
from advtransfer.devices import pick_device
from advtransfer.studies.nonrobustness import measure
from advtransfer.studies.nonrobustness_networks import load_one


def main() -> None:
    """Parse, load, attack, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="the networks, and the attack, as JSON")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--models", nargs="+", required=True, help="of each seed, the file that has its network")
    parser.add_argument("--target-file", required=True, help="target artefact")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="parquet file of rows")
    arguments = parser.parse_args()
    device, settings = pick_device(arguments.threads), arguments.settings
    dataset = load_dataset(arguments.target_file)
    image_ids = draw_test_images(dataset, settings["test_images"], settings["attack"]["seed"])
    found = measure(
        ((seed, load_one(file, seed)) for seed, file in zip(settings["seeds"], arguments.models, strict=True)),
        dataset.test_images[image_ids],
        dataset.test_labels[image_ids],
        image_ids,
        load_tensors(arguments.models[0], [])[1]["resolution"],
        settings,
        device,
    )
    # The words of `columns.NONROBUSTNESS_ROWS` are no part of this job's code; its tests compare the names.
    identity = {name: settings[name] for name in ("arm", "way", "source", "target", "blocks", "images", "beta")}
    rows = pd.DataFrame([{**identity, **row} for row in found]).astype({"blocks": "Int64"})
    inputs = {str(seed): content_hash(file) for seed, file in zip(settings["seeds"], arguments.models, strict=True)}
    inputs["target"] = content_hash(arguments.target_file)
    save_table(arguments.output, rows, made_of(settings, arguments.code, inputs))


if __name__ == "__main__":
    with command_line():
        main()
