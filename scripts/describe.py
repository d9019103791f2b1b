"""Write one of tables 1 to 4, as CSV and as Markdown."""

import argparse
import json
from pkgutil import resolve_name

from advtransfer.artefacts import save_table, whole_file
from advtransfer.command_line import command_line


def main() -> None:
    """Parse, describe, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tabulate", required=True, help="function of advtransfer.tables that makes the table")
    parser.add_argument("--settings", type=json.loads, required=True, help="what the configuration says, as JSON")
    parser.add_argument("--files", nargs="*", default=[], help="artefacts that the table is read from")
    parser.add_argument("--csv", required=True, help="table to write")
    parser.add_argument("--markdown", required=True, help="the same table to write as Markdown")
    arguments = parser.parse_args()
    table = resolve_name(f"advtransfer.tables.{arguments.tabulate}")(arguments.settings, arguments.files)
    save_table(arguments.csv, table)
    with whole_file(arguments.markdown) as part:
        text = table.astype(object).where(table.notna(), "").to_markdown(index=False, floatfmt=".6g")
        part.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    with command_line():
        main()
