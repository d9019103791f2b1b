"""Print every figure and table of an experiment, with its caption and what it needs."""

import argparse
import json

from advtransfer.command_line import command_line


def main() -> None:
    """Parse and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=json.loads, required=True, help="lines to print, as JSON")
    print(*parser.parse_args().lines, sep="\n")


if __name__ == "__main__":
    with command_line():
        main()
