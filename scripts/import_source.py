"""Make a source artefact of a checkpoint: read its tensors, check them against the declared network, say what it is."""

import argparse
import json
from pathlib import Path

from advtransfer.artefacts import PROVENANCE, made_of, save_tensors
from advtransfer.checkpoints import import_checkpoint
from advtransfer.command_line import command_line
from advtransfer.downloads import file_hash
from advtransfer.errors import InputError


def main() -> None:
    """Parse, read, check, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="the source's entry, resolved, as JSON")
    parser.add_argument("--name", required=True, help="the source's name, for messages")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="source artefact to write")
    arguments = parser.parse_args()
    require_hash(arguments.checkpoint, arguments.settings.get("hash"), arguments.name)
    tensors, metadata = import_checkpoint(arguments.checkpoint, arguments.settings, arguments.name)
    checkpoint = f"sha256:{metadata['origin']['sha256']}"
    provenance = made_of(arguments.settings, arguments.code, {"checkpoint": checkpoint})
    save_tensors(arguments.output, tensors, {**metadata, PROVENANCE: provenance})


def require_hash(path: str, known: str | None, name: str) -> None:
    """Raise InputError where a checkpoint has not the hash that the configuration pins (its first digits, if these are all)."""
    if known is None or not Path(path).is_file():
        return
    kind, digits = known.split(":")
    found = file_hash(Path(path), kind)
    if not found.startswith(digits):
        raise InputError(
            f"{path}: has {kind} {found}, but sources.{name}.hash in the configuration is {known}. Restore the file, or, if "
            "you mean the new one, correct 'hash'."
        )


if __name__ == "__main__":
    with command_line():
        main()
