"""Write table 5 as CSV, as Markdown and as LaTeX: accuracy by target, size and source, the published value beside ours."""

import argparse
import json

import pandas as pd

from advtransfer import figure_records
from advtransfer.artefacts import content_hash, load_csv, made_of, whole_file
from advtransfer.command_line import command_line
from advtransfer.tables.table5 import latex, markdown


def main() -> None:
    """Parse, read the table, copy it, write it twice more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, help="table 5 (.csv)")
    parser.add_argument("--experiment", type=json.loads, required=True, help="the experiment, resolved, as JSON")
    parser.add_argument("--epochs", type=json.loads, required=True, help="{images: the protocol's epochs}, as JSON")
    parser.add_argument("--csv", required=True, help="copy of the table to write")
    parser.add_argument("--markdown", required=True, help="file to write (.md)")
    parser.add_argument("--latex", required=True, help="file to write (.tex)")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the record")
    figure_records.add_options(parser)
    arguments = parser.parse_args()
    content = load_csv(arguments.table)
    with whole_file(arguments.csv) as part:
        part.write_bytes(content.getvalue())
    table = pd.read_csv(content, dtype={"epochs": str})
    for path, form in ((arguments.markdown, markdown), (arguments.latex, latex)):
        with whole_file(path) as part:
            part.write_text(form(table, arguments.experiment, arguments.epochs), encoding="utf-8")
    settings = {"experiment": arguments.experiment, "epochs": arguments.epochs}
    provenance = made_of(settings, arguments.code, {"table": content_hash(arguments.table)})
    files = [arguments.csv, arguments.markdown, arguments.latex]
    figure_records.write_asked(arguments, "table5", arguments.experiment["name"], files, provenance)


if __name__ == "__main__":
    with command_line():
        main()
