"""Put classes of other targets together to one target data set and write it as an artefact."""

import argparse
import json

from advtransfer.artefacts import content_hash, made_of
from advtransfer.command_line import command_line
from advtransfer.datasets import load_dataset
from advtransfer.errors import InputError
from advtransfer.targets.mixture import build
from advtransfer.targets.shrinking import shrunk


def main() -> None:
    """Parse, load the parts, mix, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="the target's entry as JSON")
    parser.add_argument("--name", required=True, help="the target's name in the configuration")
    parser.add_argument("--names", nargs="+", required=True, help="names of the parts, in the order of their files")
    parser.add_argument("--parts", nargs="+", required=True, help="target artefacts of the parts")
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="target artefact to write")
    arguments = parser.parse_args()
    settings, place = arguments.settings, f"config.yaml: target '{arguments.name}'"
    files = dict(zip(arguments.names, arguments.parts, strict=True))
    dataset = build(settings, {name: load_dataset(file) for name, file in files.items()}, place)
    if "shrink_to" in settings:
        try:
            dataset = shrunk(dataset, settings["shrink_to"])
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
    inputs = {name: content_hash(file) for name, file in files.items()}
    dataset.save(arguments.output, made_of(settings, arguments.code, inputs))


if __name__ == "__main__":
    with command_line():
        main()
