"""Compute the table that one figure over fine-tuned models draws."""

import argparse
import json
from pkgutil import resolve_name

from advtransfer.artefacts import save_table
from advtransfer.command_line import command_line
from advtransfer.config.grid import row_files
from advtransfer.tables.accuracy import read_rows


def main() -> None:
    """Parse, read the rows, aggregate, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", required=True, help="name of the figure, a key of the experiment's 'figures'")
    parser.add_argument("--tabulate", required=True, help="function of advtransfer.tables that makes its table")
    parser.add_argument("--experiment", type=json.loads, required=True, help="the experiment, resolved, as JSON")
    parser.add_argument("--output", required=True, help="table to write (.csv)")
    arguments = parser.parse_args()
    rows = read_rows(row_files(arguments.experiment, arguments.figure))
    tabulate = resolve_name(f"advtransfer.tables.{arguments.tabulate}")
    save_table(arguments.output, tabulate(rows, arguments.experiment, arguments.figure))


if __name__ == "__main__":
    with command_line():
        main()
