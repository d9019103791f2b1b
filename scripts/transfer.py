"""Fine-tune one source on one target with one number of blocks: on each of some numbers of images, once for each seed."""

import argparse
import json
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pandas as pd

from advtransfer.artefacts import PROVENANCE, content_hash, differing, load_table, made_of, save_table, statement
from advtransfer.command_line import command_line
from advtransfer.datasets import load_dataset, load_subsets
from advtransfer.devices import pick_device
from advtransfer.errors import InputError
from advtransfer.models import save_model, source_resolution
from advtransfer.transfer import OneNetwork, fine_tune_seeds

logger = logging.getLogger(__name__)


def main() -> None:
    """Parse, load, fine-tune, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("protocol", "source", "target"):
        parser.add_argument(f"--{name}", required=True, help=f"name of the {name}, a column of the rows")
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="{number of images: protocol there}, as JSON"
    )
    parser.add_argument("--blocks", type=int, required=True)
    parser.add_argument("--seeds", type=json.loads, required=True, help="JSON list")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--source-file", required=True, help="source artefact")
    parser.add_argument("--target-file", required=True, help="target artefact")
    parser.add_argument(
        "--subset-files",
        nargs="+",
        required=True,
        help="parquet files with columns seed, image_id: one for each number of images, ascending",
    )
    parser.add_argument("--code", required=True, help="hash of the code, kept in the artefact")
    parser.add_argument("--output", required=True, help="parquet file of rows")
    parser.add_argument(
        "--grow",
        action="store_true",
        help="take over rows of some of these models that lie in a file beside the output",
    )
    parser.add_argument("--model", help="where to write the last network (.safetensors)")
    arguments = parser.parse_args()
    settings, seeds = arguments.settings, arguments.seeds
    sizes, resolution = sorted(map(int, settings)), source_resolution(arguments.source_file)
    device = pick_device(arguments.threads, settings[str(sizes[0])].get("precision"))
    subsets = {images: load_subsets(file, seeds) for images, file in zip(sizes, arguments.subset_files, strict=True)}
    identity = {name: getattr(arguments, name) for name in ("protocol", "source", "target", "blocks")}
    hashes = {name: content_hash(getattr(arguments, f"{name}_file")) for name in ("source", "target")}
    hashes |= {
        f"subset_{images}": content_hash(file) for images, file in zip(sizes, arguments.subset_files, strict=True)
    }

    def provenance_of(sizes: Sequence[int], seeds: Sequence[int]) -> dict[str, Any]:
        told = {**identity, "seeds": list(seeds), "settings": {str(images): settings[str(images)] for images in sizes}}
        read = ("source", "target", *(f"subset_{images}" for images in sizes))
        return made_of(told, arguments.code, {name: hashes[name] for name in read})

    provenance = provenance_of(sizes, seeds)
    table = earlier_rows(Path(arguments.output), sizes, seeds, provenance_of) if arguments.grow else []
    there = {(row["images"], row["seed"]) for row in table}
    dataset = load_dataset(arguments.target_file)
    for images in sizes:
        protocol = {**settings[str(images)], "resolution": resolution}
        learner = OneNetwork
        if "mitigation" in protocol:
            # By name: its code lies under networks that are trained with it only (`config.mitigation.transfer_code`).
            learner = resolve_name("advtransfer.mitigation:learner_of")(protocol)
        drawn = {seed: ids for seed, ids in subsets[images].items() if (images, seed) not in there}
        if len(drawn) < len(seeds):
            logger.info("%d images: %d of %d models are there already", images, len(seeds) - len(drawn), len(seeds))
        if not drawn:
            continue
        if len(sizes) > 1:
            logger.info("%d images, %s of %d sizes", images, sizes.index(images) + 1, len(sizes))
        runs = fine_tune_seeds(arguments.source_file, dataset, drawn, arguments.blocks, protocol, device, learner)
        try:
            for seed, model, rows in runs:
                table += [{**identity, "images": images, "seed": seed, **row} for row in rows]
                if arguments.model:
                    facts = {**identity, "images": images, "seed": seed, "class_names": dataset.class_names}
                    save_model(arguments.model, model, arguments.source_file, {**facts, PROVENANCE: provenance})
        except FloatingPointError as error:
            raise InputError(
                f"{arguments.output}: at {images} images {error}. Lower the learning rate of protocol "
                f"'{arguments.protocol}', or leave this source or size out."
            ) from None
    place = {model: index for index, model in enumerate((images, seed) for images in sizes for seed in seeds)}
    table.sort(key=lambda row: place[row["images"], row["seed"]])
    save_table(arguments.output, pd.DataFrame(table), provenance)


def earlier_rows(
    output: Path,
    sizes: Sequence[int],
    seeds: Sequence[int],
    provenance_of: Callable[[Sequence[int], Sequence[int]], dict[str, Any]],
) -> list[dict[str, Any]]:
    """Rows of models of this job that an experiment with fewer sizes or seeds has left beside the output, each model once.

    Files count whose sizes and seeds are some of the job's, and whose provenance is what it would now be; a seed determines every
    bit of its model, whatever is trained beside it. output: .../blocks{blocks}_n{images}+{images}/seeds{first}-{last}.parquet;
    beside any other nothing is found. Files that are damaged or of another provenance are passed over.
    """
    own = _named(output)
    if own is None:
        return []
    found: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for file in sorted(output.parent.parent.glob("blocks*_n*/seeds*.parquet")):
        named = _named(file)
        if file == output or named is None or named[0] != own[0]:
            continue
        _, held, first, last = named
        if not (set(held) <= set(sizes) and own[2] <= first <= last <= own[3]):
            continue
        try:
            expected = provenance_of(held, seeds[first - own[2] : last - own[2] + 1])
            if differing(statement(file)[1], expected):
                continue
            rows = load_table(file).to_pylist()
        except InputError as error:
            logger.info("passed over: %s", error)
            continue
        models = {(row["images"], row["seed"]) for row in rows} - found.keys()
        for row in rows:
            if (row["images"], row["seed"]) in models:
                found.setdefault((row["images"], row["seed"]), []).append(row)
    return [row for rows in found.values() for row in rows]


def _named(file: Path) -> tuple[int, list[int], int, int] | None:
    """Blocks, numbers of images, first and last index of the seeds out of a file's name; None of other names."""
    match = re.fullmatch(r"blocks(\d+)_n(\d+(?:\+\d+)*)/seeds(\d+)-(\d+)\.parquet", f"{file.parent.name}/{file.name}")
    if match is None:
        return None
    blocks, sizes, first, last = match.groups()
    return int(blocks), list(map(int, sizes.split("+"))), int(first), int(last)


if __name__ == "__main__":
    with command_line():
        main()
