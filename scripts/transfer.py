"""Fine-tune one source on one target with one number of blocks and images, once for each seed."""

import argparse
import json
from pkgutil import resolve_name

import pandas as pd

from advtransfer.artefacts import PROVENANCE, content_hash, made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.datasets import load_dataset, load_subsets
from advtransfer.devices import pick_device
from advtransfer.errors import InputError
from advtransfer.models import save_model, source_resolution
from advtransfer.transfer import OneNetwork, fine_tune_seeds


def main() -> None:
    """Parse, load, fine-tune, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("protocol", "source", "target"):
        parser.add_argument(f"--{name}", required=True, help=f"name of the {name}, a column of the rows")
    parser.add_argument("--settings", type=json.loads, required=True, help="the protocol at this size, as JSON")
    parser.add_argument("--blocks", type=int, required=True)
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--seeds", type=json.loads, required=True, help="JSON list")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--source-file", required=True, help="source artefact")
    parser.add_argument("--target-file", required=True, help="target artefact")
    parser.add_argument("--subset-file", required=True, help="parquet file with columns seed, image_id")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="parquet file of rows")
    parser.add_argument("--model", help="where to write the last seed's network (.safetensors)")
    arguments = parser.parse_args()
    device = pick_device(arguments.threads, arguments.settings.get("precision"))
    subsets = load_subsets(arguments.subset_file, arguments.seeds)
    settings = {**arguments.settings, "resolution": source_resolution(arguments.source_file)}
    identity = {name: getattr(arguments, name) for name in ("protocol", "source", "target", "blocks", "images")}
    provenance = made_of(
        {**identity, "seeds": arguments.seeds, "settings": arguments.settings},
        arguments.code,
        {name: content_hash(getattr(arguments, f"{name}_file")) for name in ("source", "target", "subset")},
    )

    dataset, table = load_dataset(arguments.target_file), []
    learner = OneNetwork
    if "mitigation" in settings:
        # By name: its code lies under networks that are trained with it only (`config.mitigation.transfer_code`).
        learner = resolve_name("advtransfer.mitigation:learner_of")(settings)
    runs = fine_tune_seeds(arguments.source_file, dataset, subsets, arguments.blocks, settings, device, learner)
    try:
        for seed, model, rows in runs:
            table += [{**identity, "seed": seed, **row} for row in rows]
            if arguments.model:
                facts = {**identity, "seed": seed, "class_names": dataset.class_names, PROVENANCE: provenance}
                save_model(arguments.model, model, arguments.source_file, facts)
    except FloatingPointError as error:
        raise InputError(
            f"{arguments.output}: {error}. Lower the learning rate of protocol '{arguments.protocol}', "
            "or leave this source or size out."
        ) from None
    save_table(arguments.output, pd.DataFrame(table), provenance)


if __name__ == "__main__":
    with command_line():
        main()
