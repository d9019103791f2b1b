"""Write one of tables 1 to 4, as CSV and as Markdown."""

import argparse
import json
from pkgutil import resolve_name

from advtransfer import figure_records
from advtransfer.artefacts import content_hash, made_of, save_table, whole_file
from advtransfer.command_line import command_line


def main() -> None:
    """Parse, describe, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tabulate", required=True, help="function of advtransfer.tables that makes the table")
    parser.add_argument("--settings", type=json.loads, required=True, help="what the configuration says, as JSON")
    parser.add_argument("--files", nargs="*", default=[], help="artefacts that the table is read from")
    parser.add_argument("--csv", required=True, help="table to write")
    parser.add_argument("--markdown", required=True, help="the same table to write as Markdown")
    parser.add_argument("--figure", required=True, help="name of the table")
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the record")
    figure_records.add_options(parser)
    arguments = parser.parse_args()
    table = resolve_name(f"advtransfer.tables.{arguments.tabulate}")(arguments.settings, arguments.files)
    save_table(arguments.csv, table)
    with whole_file(arguments.markdown) as part:
        text = table.astype(object).where(table.notna(), "").to_markdown(index=False, floatfmt=".6g")
        part.write_text(text + "\n", encoding="utf-8")
    settings = {"tabulate": arguments.tabulate, "settings": arguments.settings}
    provenance = made_of(settings, arguments.code, {file: content_hash(file) for file in arguments.files})
    written = [arguments.csv, arguments.markdown]
    figure_records.write_asked(arguments, arguments.figure, arguments.experiment, written, provenance)


if __name__ == "__main__":
    with command_line():
        main()
