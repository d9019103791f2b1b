"""Put the claims as tested on an experiment beside those as tested on the paper's own logs."""

import argparse

import pandas as pd

from advtransfer.artefacts import content_hash, load_csv, made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.tables.claims import compared


def main() -> None:
    """Parse, read both, join, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--published", required=True, help="claims on the paper's own logs (.csv)")
    parser.add_argument("--experiment", required=True, help="claims on the experiment (.csv)")
    parser.add_argument("--code", required=True, help="hash of the code, kept beside the table")
    parser.add_argument("--output", required=True, help="table to write (.csv)")
    arguments = parser.parse_args()
    files = {"published": arguments.published, "experiment": arguments.experiment}
    table = compared(*(pd.read_csv(load_csv(file)) for file in files.values()))
    provenance = made_of(None, arguments.code, {name: content_hash(file) for name, file in files.items()})
    save_table(arguments.output, table, provenance)


if __name__ == "__main__":
    with command_line():
        main()
