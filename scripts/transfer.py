"""Fine-tune one source on one target with one number of blocks: on each of some numbers of images, once for each seed."""

import argparse
import json
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pandas as pd

from advtransfer.artefacts import PROVENANCE, content_hash, hash_of, load_table, made_of, save_table, statement
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
        help="take over rows of the same models that other jobs have left beside the output",
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

    # What determines the models of a size, whatever other sizes and seeds are trained beside them.
    recipes = {
        images: hash_of(
            [
                identity,
                settings[str(images)],
                arguments.code,
                hashes["source"],
                hashes["target"],
                hashes[f"subset_{images}"],
            ]
        )
        for images in sizes
    }
    provenance = made_of(
        {**identity, "seeds": seeds, "settings": settings},
        arguments.code,
        {**hashes, **{f"recipe_{images}": recipe for images, recipe in recipes.items()}},
    )
    table = earlier_rows(Path(arguments.output), recipes, seeds) if arguments.grow else []
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
                f"{arguments.output}: {error}, at {images} images. Lower the learning rate of protocol "
                f"'{arguments.protocol}', or leave this source or size out."
            ) from None
    place = {model: index for index, model in enumerate((images, seed) for images in sizes for seed in seeds)}
    table.sort(key=lambda row: place[row["images"], row["seed"]])
    save_table(arguments.output, pd.DataFrame(table), provenance)


def earlier_rows(output: Path, recipes: Mapping[int, str], seeds: Collection[int]) -> list[dict[str, Any]]:
    """Rows of some of a job's models that other jobs have left beside its output, each model once.

    An experiment that grows, or another one, asks for other sizes and seeds together; a seed determines every bit of its model, whatever is
    trained beside it. output: .../blocks{blocks}_n{images}/seeds{first}-{last}.parquet. recipes: {number of images: hash of all that
    determines its models}; only rows that state the same one count. Damaged files are passed over, and named in the log.
    """
    found: list[dict[str, Any]] = []
    there: set[tuple[int, int]] = set()
    blocks = output.parent.name.partition("_")[0]
    for file in sorted(output.parent.parent.glob(f"{blocks}_n*/seeds*.parquet")):
        try:
            stated = (statement(file)[1] or {}).get("inputs", {})
            sizes = {images for images, recipe in recipes.items() if stated.get(f"recipe_{images}") == recipe}
            rows = load_table(file).to_pylist() if sizes else []
        except InputError as error:
            logger.info("passed over: %s", error)
            continue
        rows = [
            row
            for row in rows
            if row["images"] in sizes and row["seed"] in seeds and (row["images"], row["seed"]) not in there
        ]
        there |= {(row["images"], row["seed"]) for row in rows}
        found += rows
    return found


if __name__ == "__main__":
    with command_line():
        main()
