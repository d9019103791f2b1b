"""Print how much of an experiment's fine-tuning is done, and what each job that has begun last said."""

import argparse
import json
import time

from advtransfer.command_line import command_line
from advtransfer.progress import progress


def main() -> None:
    """Parse, look, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", type=json.loads, required=True, help="the experiment, resolved, as JSON")
    print(*progress(parser.parse_args().experiment, time.time()), sep="\n")


if __name__ == "__main__":
    with command_line():
        main()
