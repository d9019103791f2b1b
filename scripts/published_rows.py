"""Turn the authors' log into rows, or into the values of the paper's Table 5 that it holds."""

import argparse
from pathlib import Path

from advtransfer.artefacts import damage_named, made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.downloads import file_hash
from advtransfer.tables.published import read_log, table5_means


def main() -> None:
    """Parse, read, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", required=True, help="the authors' consolidated_results.csv, plain or .gz")
    parser.add_argument("--output", help="rows to write (.parquet)")
    parser.add_argument("--code", default="", help="hash of the code, kept in the rows")
    parser.add_argument("--table5", help="published values to write (.csv)")
    arguments = parser.parse_args()
    if not (arguments.output or arguments.table5):
        parser.error("give --output, --table5 or both")
    with damage_named(arguments.log, "log of the authors", "Download it again."):
        rows = read_log(arguments.log)
    if arguments.output:
        log = f"sha256:{file_hash(Path(arguments.log), 'sha256')}"
        save_table(arguments.output, rows, made_of(None, arguments.code, {"log": log}))
    if arguments.table5:
        # Ten decimals of a percentage: what float64 means of float32 logs carry, alike on every machine.
        save_table(arguments.table5, table5_means(rows).round(10))


if __name__ == "__main__":
    with command_line():
        main()
