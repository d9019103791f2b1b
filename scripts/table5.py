"""Write table 5 as CSV and as Markdown: accuracy by target, size and source, the published value beside ours."""

import argparse
import json

import pandas as pd

from advtransfer.artefacts import load_csv, whole_file
from advtransfer.command_line import command_line
from advtransfer.tables.table5 import render


def main() -> None:
    """Parse, read the table, copy it, write Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, help="table 5 (.csv)")
    parser.add_argument("--experiment", type=json.loads, required=True, help="the experiment, resolved, as JSON")
    parser.add_argument("--csv", required=True, help="copy of the table to write")
    parser.add_argument("--markdown", required=True, help="file to write")
    arguments = parser.parse_args()
    table = load_csv(arguments.table)
    with whole_file(arguments.csv) as part:
        part.write_bytes(table.getvalue())
    text = render(pd.read_csv(table), arguments.experiment)
    with whole_file(arguments.markdown) as part:
        part.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    with command_line():
        main()
