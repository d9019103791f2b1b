"""Make a source artefact of a checkpoint: read its tensors, check them against the declared network, say what it is."""

import argparse
import json

from advtransfer.artefacts import save_tensors
from advtransfer.checkpoints import import_checkpoint
from advtransfer.command_line import command_line


def main() -> None:
    """Parse, read, check, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="the source's entry, resolved, as JSON")
    parser.add_argument("--name", required=True, help="the source's name, for messages")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--output", required=True, help="source artefact to write")
    arguments = parser.parse_args()
    save_tensors(arguments.output, *import_checkpoint(arguments.checkpoint, arguments.settings, arguments.name))


if __name__ == "__main__":
    with command_line():
        main()
