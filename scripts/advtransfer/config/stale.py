"""Which artefacts of an experiment were not made as the configuration, the code and their inputs now say. No torch here.

Snakemake keeps its records of what made a file in .snakemake, which may be gone, or know nothing of files that were copied. Each artefact
says itself what made it (`artefacts.made_of`); only this is read here, no tensors and no rows, and compared with its recipe (`recipes`).
"""

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from advtransfer.artefacts import PROVENANCE, damage_named, differing, hash_of, made_of, statement
from advtransfer.config.recipes import Recipe, all_recipes, hash_on_disk
from advtransfer.errors import InputError
from advtransfer.provenance import code_of


def find(
    config: Mapping[str, Any],
    experiment: Mapping[str, Any],
    inspection: Mapping[str, Any] | None,
    counts: Mapping[str, Mapping[str, int]],
) -> dict[str, str]:
    """{file: what differs} of the experiment's artefacts that exist: "settings", "code" or "inputs"; "provenance" where none is stated,
    "what it says of itself" where that is damaged. An input that does not exist is passed over.
    """
    found = {}
    says = functools.cache(says_of)
    for file, recipe in all_recipes(config, experiment, inspection, counts):
        if not Path(file).is_file():
            continue
        try:
            stated = says(file)[1]
        except InputError:
            found[file] = "what it says of itself"
            continue
        difference = differing(stated, expected(recipe, says))
        if difference:
            found[file] = difference
    return found


def expected(recipe: Recipe, says: Callable[[str], tuple[str, Any]] = statement) -> dict[str, Any]:
    """The provenance (`artefacts.made_of`) that an artefact should state, without inputs that are missing or cannot be read.

    says: `says_of`, or a form of it that remembers.
    """
    known = {**recipe.others(), **_hashes_of(recipe.files)}
    if recipe.rows is not None:
        known |= _all_of(recipe.rows)
    for name, path in recipe.artefacts.items():
        try:
            known[name] = says(path)[0]
        except InputError:
            continue
    return made_of(recipe.settings, code_of(*recipe.code), known)


def describe(found: Mapping[str, str]) -> str:
    """One line that says what `find` found; empty where that is nothing."""
    if not found:
        return ""
    first = next(iter(found))
    more = f", and {len(found) - 1} more," if len(found) > 1 else ""
    return f"{first}{more} made with other {found[first]} than now: to be made again where needed."


def _hashes_of(files: Mapping[str, str]) -> dict[str, str]:
    return {name: hash_on_disk(file) for name, file in files.items() if Path(file).is_file()}


def _all_of(files: Iterable[str]) -> dict[str, str]:
    """{"rows": one hash of artefacts together}, or nothing where one of them is missing: it cannot be compared then."""
    files = list(files)
    if not all(Path(file).is_file() for file in files):
        return {}
    try:
        return {"rows": hash_of([statement(file)[0] for file in files])}
    except InputError:
        return {}


def says_of(file: str) -> tuple[str, dict[str, Any] | None]:
    """`artefacts.statement` of an artefact, or of a figure (.png), which is read by people only and has no hash."""
    if not file.endswith(".png"):
        return statement(file)
    from PIL import Image

    with damage_named(file, "figure"), Image.open(file) as image:
        text = image.info.get(PROVENANCE)
        return "", None if text is None else json.loads(text)
