"""Test the claims of the papers on an experiment: a line for each, with its verdict."""

import argparse
import functools
import json
from pathlib import Path

import pandas as pd

from advtransfer.artefacts import content_hash, hash_of, load_csv, made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.config.claims import FIGURES, SOURCES, read_claims
from advtransfer.config.grid import row_files, transfer_settings
from advtransfer.downloads import file_hash
from advtransfer.tables.accuracy import read_rows
from advtransfer.tables.claim_cells import Evidence, source_accuracies
from advtransfer.tables.claims import claims


def main() -> None:
    """Parse, read, test, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", required=True, help="the claims (resources/claims.yaml)")
    parser.add_argument(
        "--printed", required=True, help="the means that the paper prints (resources/published/table5.csv)"
    )
    parser.add_argument("--settings", type=json.loads, required=True, help="experiment, tables and sources, as JSON")
    parser.add_argument("--recipe", type=json.loads, required=True, help="how rows have to be made, as JSON, or null")
    parser.add_argument("--code", required=True, help="hash of the code, kept beside the table")
    parser.add_argument("--output", required=True, help="table to write (.csv)")
    arguments = parser.parse_args()
    settings, experiment = arguments.settings, arguments.settings["experiment"]
    files = list(dict.fromkeys(file for figure in FIGURES for file in row_files(experiment, figure)))
    expected = {}
    if arguments.recipe is not None:
        hashes = functools.cache(content_hash)
        for file, (told, inputs) in transfer_settings(experiment, arguments.recipe, FIGURES).items():
            known = {name: hashes(path) for name, path in inputs.items() if Path(path).is_file()}
            expected[file] = made_of(told, arguments.recipe["code"], known)
    remedy = "Make them again: add --forcerun transfer to the command, or remove them."
    rows = read_rows(files, expected, remedy) if files else None
    tables = {name: pd.read_csv(load_csv(file)) for name, file in settings["tables"].items()}
    tables[SOURCES] = source_accuracies(settings["sources"])
    evidence = Evidence(experiment, rows, pd.read_csv(arguments.printed), tables, settings["lacking"])
    made = made_of(
        settings,
        arguments.code,
        {
            **{name: f"sha256:{file_hash(Path(getattr(arguments, name)), 'sha256')}" for name in ("claims", "printed")},
            "rows": hash_of(list(map(content_hash, [*filter(_exists, files), *settings["tables"].values()]))),
        },
    )
    save_table(arguments.output, claims(read_claims(arguments.claims), evidence), made)


def _exists(file: str) -> bool:
    return Path(file).is_file()


if __name__ == "__main__":
    with command_line():
        main()
