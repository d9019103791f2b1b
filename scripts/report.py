"""Write the report of an experiment: every figure and table with its caption, in one HTML file."""

import argparse
import json
from pathlib import Path

from advtransfer.artefacts import whole_file
from advtransfer.command_line import command_line
from advtransfer.report import write_page


def main() -> None:
    """Parse, gather, write, say where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="what the configuration says, as JSON")
    parser.add_argument("--contents", type=json.loads, required=True, help="what is shown, as JSON")
    parser.add_argument("--template", required=True, help="the page (jinja2)")
    parser.add_argument("--output", required=True, help="page to write (.html)")
    arguments = parser.parse_args()
    page = write_page(arguments.settings, arguments.contents, arguments.template)
    with whole_file(arguments.output) as part:
        part.write_text(page, encoding="utf-8")
    print(f"{arguments.output}: {Path(arguments.output).stat().st_size / 1e6:.1f} MB. Open it in a browser.")


if __name__ == "__main__":
    with command_line():
        main()
