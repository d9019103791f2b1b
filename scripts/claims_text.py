"""Write the claims with their verdicts as CSV and as Markdown."""

import argparse
import json

import pandas as pd

from advtransfer.artefacts import load_csv, whole_file
from advtransfer.command_line import command_line
from advtransfer.tables.claims import markdown


def main() -> None:
    """Parse, read the table, copy it, write it once more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, help="the claims (.csv)")
    parser.add_argument("--experiment", type=json.loads, required=True, help="the experiment, resolved, as JSON")
    parser.add_argument("--csv", required=True, help="copy of the table to write")
    parser.add_argument("--markdown", required=True, help="file to write (.md)")
    arguments = parser.parse_args()
    content = load_csv(arguments.table)
    with whole_file(arguments.csv) as part:
        part.write_bytes(content.getvalue())
    with whole_file(arguments.markdown) as part:
        part.write_text(markdown(pd.read_csv(content), arguments.experiment), encoding="utf-8")


if __name__ == "__main__":
    with command_line():
        main()
