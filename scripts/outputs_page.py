"""Write docs/outputs.md, which says what each file of figures/ and results/ holds."""

import argparse

from advtransfer.artefacts import whole_file
from advtransfer.command_line import command_line
from advtransfer.config.outputs import page


def main() -> None:
    """Parse and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", required=True, help="page to write (.md)")
    with whole_file(parser.parse_args().output) as part:
        part.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    with command_line():
        main()
