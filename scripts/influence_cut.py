"""Gather what was measured on networks into what figure influence_cut draws."""

import argparse
import json
from pkgutil import resolve_name

from advtransfer.artefacts import content_hash, hash_of, made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.tables.influence_cut import read_rows
from advtransfer.tables.intervals import BANDS


def main() -> None:
    """Parse, gather, tabulate, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tabulate", required=True, help="function of advtransfer.tables that makes the table")
    parser.add_argument("--bands", required=True, choices=BANDS)
    parser.add_argument("--sources", type=json.loads, required=True, help="{role: source}, as JSON")
    parser.add_argument("--files", nargs="+", required=True, help="rows of influence_cut_rows.py")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="table to write (.csv)")
    arguments = parser.parse_args()
    tabulate = resolve_name(f"advtransfer.tables.{arguments.tabulate}")
    table = tabulate(read_rows(arguments.files), arguments.sources, arguments.bands)
    settings = {name: getattr(arguments, name) for name in ("tabulate", "bands", "sources")}
    rows = hash_of(list(map(content_hash, arguments.files)))
    save_table(arguments.output, table, made_of(settings, arguments.code, {"rows": rows}))


if __name__ == "__main__":
    with command_line():
        main()
