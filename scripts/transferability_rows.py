"""Compare one source with the reference networks of a target: a row of measures for each seed."""

import argparse
import json

import pandas as pd

from advtransfer.artefacts import content_hash, load_table, load_tensors, made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.datasets import draw_test_images, load_dataset
from advtransfer.devices import pick_device
from advtransfer.errors import InputError
from advtransfer.models import load_source, source_resolution
from advtransfer.studies.transferability_networks import Trio, measure, radius_at
from advtransfer.threats import threat_from


def main() -> None:
    """Parse, load, attack, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="what is compared, and the attack, as JSON")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--source-file", required=True, help="source artefact")
    parser.add_argument("--probes", nargs="+", required=True, help="linear probes of the source, one for each seed")
    parser.add_argument("--probe-rows", nargs="+", required=True, help="their rows (.parquet)")
    parser.add_argument("--references", nargs="+", required=True, help="reference networks, one for each seed")
    parser.add_argument("--target-file", required=True, help="target artefact")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="parquet file of rows")
    arguments = parser.parse_args()
    device, settings = pick_device(arguments.threads), arguments.settings
    dataset, resolution = load_dataset(arguments.target_file), source_resolution(arguments.source_file)
    asked = settings["attack"]
    threat = threat_from(asked["norm"], radius_at(asked["epsilons"], resolution))
    source, lines = load_source(arguments.source_file), []
    files = (settings["seeds"], arguments.probes, arguments.probe_rows, arguments.references)
    for seed, probe_file, probe_rows, reference_file in zip(*files, strict=True):
        facts = load_tensors(reference_file, [])[1]
        if facts["resolution"] != resolution:
            raise InputError(
                f"{arguments.output}: source '{settings['source']}' takes images of {resolution} pixels, its reference network of "
                f"{facts['resolution']}. Compare sources of one resolution, or set 'resolution' in 'reference_networks'."
            )
        image_ids = draw_test_images(dataset, settings["test_images"], seed)
        images, labels = dataset.test_images[image_ids], dataset.test_labels[image_ids]
        networks = Trio(source, load_source(probe_file), load_source(reference_file))
        found = measure(networks, images, labels, image_ids, resolution, threat, asked["steps"], seed, device)
        probe = load_table(probe_rows).to_pandas().sort_values("epoch").iloc[-1]
        # The words of `columns.TRANSFERABILITY_ROWS` are no part of this job's code; its tests compare the names.
        lines.append(
            {
                **{name: settings[name] for name in ("target", "source", "images")},
                **{"seed": seed, "reference_images": settings["reference_images"]},
                **{"norm": threat.norm, "epsilon": threat.epsilon, "test_images": len(image_ids)},
                **{"probe_accuracy": probe["test_accuracy"], "probe_loss": probe["test_loss"]},
                "reference_accuracy": facts["test_accuracy"],
                **found,
            }
        )
    inputs = {"source": content_hash(arguments.source_file), "target": content_hash(arguments.target_file)}
    for kind, paths in (("probe", arguments.probes), ("reference", arguments.references)):
        inputs |= {f"{kind} {seed}": content_hash(file) for seed, file in zip(settings["seeds"], paths, strict=True)}
    save_table(arguments.output, pd.DataFrame(lines), made_of(settings, arguments.code, inputs))


if __name__ == "__main__":
    with command_line():
        main()
