"""Run one draw of the synthetic experiment of adversarial and knowledge transferability."""

import argparse
import json

from advtransfer.artefacts import made_of, save_table
from advtransfer.command_line import command_line
from advtransfer.devices import pick_device
from advtransfer.studies.transferability_synthetic import run


def main() -> None:
    """Parse, run, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="seed, perturbations and iterations, as JSON"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="rows to write (.parquet)")
    arguments = parser.parse_args()
    pick_device(arguments.threads)
    save_table(arguments.output, run(**arguments.settings), made_of(arguments.settings, arguments.code, {}))


if __name__ == "__main__":
    with command_line():
        main()
