"""Tabulate which parts of the networks each fine-tuning setting trains."""

import argparse
import json

from advtransfer.artefacts import made_of, save_table
from advtransfer.checkpoints import architecture_of
from advtransfer.command_line import command_line
from advtransfer.schematic import trained_parts


def main() -> None:
    """Parse, build, tabulate, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=json.loads, required=True, help="a source's entry, resolved, as JSON")
    parser.add_argument("--classes", type=int, required=True, help="of the target")
    parser.add_argument("--blocks", type=json.loads, required=True, help="numbers of trained blocks, as JSON")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="table to write (.csv)")
    arguments = parser.parse_args()
    architecture = architecture_of(arguments.source)
    settings = {"source": arguments.source, "classes": arguments.classes, "blocks": arguments.blocks}
    table = trained_parts(architecture, arguments.classes, arguments.blocks)
    save_table(arguments.output, table, made_of(settings, arguments.code, {}))


if __name__ == "__main__":
    with command_line():
        main()
