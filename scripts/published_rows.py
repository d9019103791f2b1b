"""Turn a log of the paper's authors into rows."""

import argparse
from pathlib import Path

from advtransfer.artefacts import damage_named, made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.downloads import file_hash
from advtransfer.tables.published import read_log


def main() -> None:
    """Parse, read, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", required=True, help="the authors' log, .csv or .csv.gz")
    parser.add_argument("--models", type=int, required=True, help="how many fine-tuned models it is known to hold")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the rows")
    parser.add_argument("--output", required=True, help="rows to write (.parquet)")
    arguments = parser.parse_args()
    with damage_named(arguments.log, "log of the authors", "Download it again."):
        rows = read_log(arguments.log, arguments.models)
    log = f"sha256:{file_hash(Path(arguments.log), 'sha256')}"
    save_table(arguments.output, rows, made_of({"models": arguments.models}, arguments.code, {"log": log}))


if __name__ == "__main__":
    with command_line():
        main()
