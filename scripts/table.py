"""Compute the table that one figure over fine-tuned models draws."""

import argparse
import functools
import json
from pathlib import Path
from pkgutil import resolve_name

from advtransfer.artefacts import content_hash, hash_of, made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.config.grid import row_files, transfer_settings
from advtransfer.tables.accuracy import read_rows


def main() -> None:
    """Parse, read the rows, aggregate, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", required=True, help="name of the figure, a key of the experiment's 'figures'")
    parser.add_argument("--tabulate", required=True, help="function of advtransfer.tables that makes its table")
    parser.add_argument("--experiment", type=json.loads, required=True, help="the experiment, resolved, as JSON")
    parser.add_argument(
        "--recipe",
        type=json.loads,
        required=True,
        help="how rows have to be made: seeds, protocols and code, as JSON, or null",
    )
    parser.add_argument("--code", required=True, help="hash of the code, kept beside the table")
    parser.add_argument("--output", required=True, help="table to write (.csv)")
    arguments = parser.parse_args()
    experiment, recipe = arguments.experiment, arguments.recipe
    files = [file for file in row_files(experiment, arguments.figure) if Path(file).is_file()]
    expected = {}
    if recipe is not None:
        hashes = functools.cache(content_hash)
        for file, (settings, inputs) in transfer_settings(experiment, recipe, [arguments.figure]).items():
            known = {name: hashes(path) for name, path in inputs.items() if Path(path).is_file()}
            expected[file] = made_of(settings, recipe["code"], known)
    remedy = "Make them again: add --forcerun transfer to the command, or remove them."
    rows = read_rows(row_files(experiment, arguments.figure), expected, remedy)
    tabulate = resolve_name(f"advtransfer.tables.{arguments.tabulate}")
    table = tabulate(rows, experiment, arguments.figure)
    settings = {"figure": arguments.figure, "tabulate": arguments.tabulate, "experiment": experiment}
    provenance = made_of(settings, arguments.code, {"rows": hash_of(list(map(content_hash, files)))})
    save_table(arguments.output, table, provenance)


if __name__ == "__main__":
    with command_line():
        main()
