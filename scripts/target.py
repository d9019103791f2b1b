"""Build one target data set and write it as an artefact."""

import argparse
import importlib
import json
from pathlib import Path

from advtransfer.artefacts import made_of
from advtransfer.command_line import command_line
from advtransfer.errors import InputError
from advtransfer.targets.shrinking import shrunk


def main() -> None:
    """Parse, build through the module that is named like the target's kind, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="the target's entry as JSON")
    parser.add_argument("--name", required=True, help="the target's name in the configuration")
    parser.add_argument("--downloads", type=Path, required=True, help="folder in which fetched archives are kept")
    parser.add_argument(
        "--mirror", help="folder or URL prefix that is asked for archives before their publishers; may be empty"
    )
    parser.add_argument("--files", required=True, help="hash of the files of a folder of images, or none")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", type=Path, required=True, help="target artefact to write")
    arguments = parser.parse_args()
    kind = importlib.import_module(f"advtransfer.targets.{arguments.settings['kind']}")
    settings = arguments.settings | ({"mirror": arguments.mirror} if arguments.mirror else {})
    place = f"config.yaml: target '{arguments.name}'"
    dataset = kind.build(settings, arguments.downloads, place)
    if "shrink_to" in settings:
        try:
            dataset = shrunk(dataset, settings["shrink_to"])
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
    dataset.save(arguments.output, made_of(arguments.settings, arguments.code, {"files": arguments.files}))


if __name__ == "__main__":
    with command_line():
        main()
