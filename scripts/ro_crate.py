"""Describe the project's folder as a Workflow Run RO-Crate of an experiment."""

import argparse

from advtransfer.artefacts import save_json
from advtransfer.command_line import command_line
from advtransfer.ro_crate import NAME, ro_crate


def main() -> None:
    """Parse, describe, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    described = ro_crate(parser.parse_args().experiment)
    save_json(NAME, described)
    print(f"{NAME}: {len(described['@graph'])} entities. This folder is a Workflow Run RO-Crate now.")


if __name__ == "__main__":
    with command_line():
        main()
