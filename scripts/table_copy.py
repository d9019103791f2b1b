"""Copy a table to where it is looked for, compared with its hash."""

import argparse

from advtransfer.artefacts import load_csv, whole_file
from advtransfer.command_line import command_line


def main() -> None:
    """Parse, compare, copy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, help="the table (.csv), with its hash beside it")
    parser.add_argument("--output", required=True, help="file to write")
    arguments = parser.parse_args()
    text = load_csv(arguments.table).read()
    with whole_file(arguments.output) as part:
        part.write_bytes(text)


if __name__ == "__main__":
    with command_line():
        main()
