"""Compare layers of a target's networks, and move them with universal perturbations: rows for each seed."""

import argparse
import json

import pandas as pd

from advtransfer.artefacts import content_hash, load_tensors, made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.datasets import draw_test_images, load_dataset, load_subsets
from advtransfer.devices import pick_device
from advtransfer.errors import InputError
from advtransfer.studies.nonrobustness_features import measure
from advtransfer.studies.nonrobustness_networks import load_one


def main() -> None:
    """Parse, load, compare, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="networks and measures, as JSON")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--models", nargs="+", required=True, help="of each seed all networks, in the order of the settings"
    )
    parser.add_argument("--target-file", required=True, help="target artefact")
    parser.add_argument("--subset-file", required=True, help="parquet file with columns seed, image_id")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="parquet file of rows")
    arguments = parser.parse_args()
    device, settings = pick_device(arguments.threads), arguments.settings
    dataset, names = load_dataset(arguments.target_file), settings["networks"]
    subsets = load_subsets(arguments.subset_file, settings["seeds"])
    image_ids = draw_test_images(dataset, settings["images_compared"], settings["measures"]["seed"])
    rows = []
    of_seeds = [arguments.models[first : first + len(names)] for first in range(0, len(arguments.models), len(names))]
    for seed, files in zip(settings["seeds"], of_seeds, strict=True):
        resolutions = {load_tensors(file, [])[1]["resolution"] for file in files}
        if len(resolutions) > 1:
            raise InputError(
                f"{arguments.output}: its networks take images of {' and '.join(map(str, sorted(resolutions)))} pixels. Compare networks of "
                "one resolution: see 'nonrobustness' and 'reference_networks'."
            )
        networks = {
            name: load_one(file, seed).to(device).eval().requires_grad_(False)
            for name, file in zip(names, files, strict=True)
        }
        images = (dataset.train_images[subsets[seed]], dataset.test_images[image_ids])
        found = measure(networks, settings["pairs"], *images, resolutions.pop(), settings["measures"], seed, device)
        rows += [{"target": settings["target"], **row} for row in found]
    # Pixels of the first seed are enough to draw.
    rows = [row for row in rows if row["quantity"] != "pixel" or row["seed"] == settings["seeds"][0]]
    inputs = {str(index): content_hash(file) for index, file in enumerate(arguments.models)}
    inputs |= {"target": content_hash(arguments.target_file), "subset": content_hash(arguments.subset_file)}
    save_table(arguments.output, pd.DataFrame(rows), made_of(settings, arguments.code, inputs))


if __name__ == "__main__":
    with command_line():
        main()
