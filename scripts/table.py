"""Compute the table that one figure draws."""

import argparse
import json

from advtransfer.artefacts import save_table
from advtransfer.grid import row_files
from advtransfer.tables import TABLES, read_rows


def main() -> None:
    """Parse, read the rows, aggregate, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", required=True, choices=TABLES)
    parser.add_argument("--experiment", type=json.loads, required=True, help="the experiment, resolved, as JSON")
    parser.add_argument("--output", required=True, help="table to write (.csv)")
    arguments = parser.parse_args()
    rows = read_rows(row_files(arguments.experiment, arguments.figure))
    save_table(arguments.output, TABLES[arguments.figure](rows, arguments.experiment))


if __name__ == "__main__":
    main()
