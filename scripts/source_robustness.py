"""Gather the rows of all sources' robustness into the table that figure source_robustness draws."""

import argparse

from advtransfer.artefacts import content_hash, hash_of, made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.tables.robustness import source_robustness


def main() -> None:
    """Parse, gather, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", nargs="+", required=True, help="rows of each source's robustness")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="table to write (.csv)")
    arguments = parser.parse_args()
    provenance = made_of(None, arguments.code, {"rows": hash_of(list(map(content_hash, arguments.files)))})
    save_table(arguments.output, source_robustness(arguments.files), provenance)


if __name__ == "__main__":
    with command_line():
        main()
