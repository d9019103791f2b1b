"""Turn a log of the paper's authors into rows."""

import argparse

from advtransfer.artefacts import save_table
from advtransfer.command_line import command_line
from advtransfer.tables.published import read_log


def main() -> None:
    """Parse, read, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", required=True, help="the authors' log, .csv or .csv.gz")
    parser.add_argument("--models", type=int, help="how many fine-tuned models it is known to hold")
    parser.add_argument("--output", required=True, help="rows to write (.parquet)")
    arguments = parser.parse_args()
    save_table(arguments.output, read_log(arguments.log, arguments.models))


if __name__ == "__main__":
    with command_line():
        main()
