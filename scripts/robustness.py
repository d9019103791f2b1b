"""Measure one source on test images of its own data set; without any, take what its training record says."""

import argparse
import json

import pandas as pd

from advtransfer.artefacts import content_hash, load_tensors, made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.records import recorded
from advtransfer.tables.robustness import COLUMNS


def main() -> None:
    """Parse, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="the source's name, a column of the rows")
    parser.add_argument("--settings", type=json.loads, required=True, help="threats and attack, as JSON")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--source", required=True, help="source artefact")
    parser.add_argument("--dataset", help="target artefact whose test images the source is measured on")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="parquet file of rows")
    arguments = parser.parse_args()
    metadata = load_tensors(arguments.source, [], own=True)[1]
    if arguments.dataset is None:
        rows = recorded(metadata, arguments.name)
    else:
        # Reading a record waits for no import of torch.
        from advtransfer.datasets import load_dataset
        from advtransfer.devices import pick_device
        from advtransfer.models import load_source
        from advtransfer.robustness import measure

        device = pick_device(arguments.threads)
        model = load_source(arguments.source).to(device)
        dataset = load_dataset(arguments.dataset)
        rows = measure(model, dataset, metadata["resolution"], arguments.settings, device, arguments.name)
    inputs = {"source": content_hash(arguments.source)}
    if arguments.dataset is not None:
        inputs["dataset"] = content_hash(arguments.dataset)
    provenance = made_of({"name": arguments.name, "settings": arguments.settings}, arguments.code, inputs)
    save_table(arguments.output, pd.DataFrame(rows, columns=COLUMNS), provenance)


if __name__ == "__main__":
    with command_line():
        main()
