"""Tabulate the synthetic experiment of transferability over its seeds."""

import argparse

from advtransfer.artefacts import content_hash, hash_of, made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.tables.transferability import synthetic


def main() -> None:
    """Parse, tabulate, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", required=True, help="rows of each seed")
    parser.add_argument("--bands", required=True, help="kind of interval over seeds")
    parser.add_argument("--code", required=True, help="hash of the code, kept beside the table")
    parser.add_argument("--output", required=True, help="table to write (.csv)")
    arguments = parser.parse_args()
    provenance = made_of(
        {"bands": arguments.bands}, arguments.code, {"rows": hash_of(list(map(content_hash, arguments.rows)))}
    )
    save_table(arguments.output, synthetic(arguments.rows, arguments.bands), provenance)


if __name__ == "__main__":
    with command_line():
        main()
