"""Gather the rows of a study into what one of its figures draws."""

import argparse
from pkgutil import resolve_name

from advtransfer.artefacts import content_hash, hash_of, made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.tables.intervals import BANDS


def main() -> None:
    """Parse, gather, tabulate, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tabulate",
        required=True,
        help="module.function of advtransfer.tables that makes the table; read_rows beside it",
    )
    parser.add_argument("--bands", required=True, choices=BANDS)
    parser.add_argument("--files", nargs="+", required=True, help="rows (.parquet)")
    parser.add_argument("--code", required=True, help="hash of the code, kept beside the table")
    parser.add_argument("--output", required=True, help="table to write (.csv)")
    arguments = parser.parse_args()
    module, tabulate = arguments.tabulate.split(".")
    # By name: the module that makes the table is part of its code (`code_of_table`).
    tables = resolve_name(f"advtransfer.tables.{module}")
    table = getattr(tables, tabulate)(tables.read_rows(arguments.files), arguments.bands)
    provenance = made_of(
        {"tabulate": arguments.tabulate, "bands": arguments.bands},
        arguments.code,
        {"rows": hash_of(list(map(content_hash, arguments.files)))},
    )
    save_table(arguments.output, table, provenance)


if __name__ == "__main__":
    with command_line():
        main()
