"""Write the claims with their verdicts as CSV and as Markdown."""

import argparse
import json

import pandas as pd

from advtransfer import figure_records
from advtransfer.artefacts import content_hash, load_csv, made_of, whole_file
from advtransfer.command_line import command_line
from advtransfer.tables.claims import markdown


def main() -> None:
    """Parse, read the table, copy it, write it once more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, help="the claims (.csv)")
    parser.add_argument("--experiment", type=json.loads, required=True, help="the experiment, resolved, as JSON")
    parser.add_argument("--csv", required=True, help="copy of the table to write")
    parser.add_argument("--markdown", required=True, help="file to write (.md)")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the record")
    figure_records.add_options(parser)
    arguments = parser.parse_args()
    content = load_csv(arguments.table)
    with whole_file(arguments.csv) as part:
        part.write_bytes(content.getvalue())
    with whole_file(arguments.markdown) as part:
        part.write_text(markdown(pd.read_csv(content), arguments.experiment), encoding="utf-8")
    provenance = made_of(arguments.experiment, arguments.code, {"table": content_hash(arguments.table)})
    files = [arguments.csv, arguments.markdown]
    figure_records.write_asked(arguments, "claims_text", arguments.experiment["name"], files, provenance)


if __name__ == "__main__":
    with command_line():
        main()
