"""Compare what lies on disk with the records of what made it; exit 1 where something does not fit."""

import argparse
import os

from advtransfer.command_line import command_line
from advtransfer.errors import InputError
from advtransfer.packing import unpack
from advtransfer.verify import lines, summary, verify


def main() -> None:
    """Parse, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--chosen",
        type=unpack,
        default=os.environ.get("ADVTRANSFER_CHOSEN"),
        help="configuration, experiment, what it looks into and its targets' counts, by packing.pack; or in the variable "
        "ADVTRANSFER_CHOSEN",
    )
    chosen = parser.parse_args().chosen
    if chosen is None:
        raise InputError("verify.py: no experiment is chosen. Ask for it by: snakemake verify")
    verdict = verify(*chosen)
    for line in lines(verdict):
        print(line, flush=True)
    told = summary(verdict, chosen[1]["name"])
    if verdict.findings:
        raise InputError(told)
    print(told)


if __name__ == "__main__":
    with command_line():
        main()
