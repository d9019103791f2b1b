"""Which files lie behind another one, from its own inputs back to sources, targets and what comes with the project. No torch here."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from advtransfer.config.recipes import all_recipes
from advtransfer.packing import pack


@dataclass(frozen=True)
class Lineage:
    """What an experiment's artefacts are made of, by their recipes (`recipes.all_recipes`), whether they exist or not.

    config is the whole configuration, checked; experiment, inspection and counts are resolved (see `start.Chosen`).
    """

    config: Mapping[str, Any]
    experiment: Mapping[str, Any]
    inspection: Mapping[str, Any] | None
    counts: Mapping[str, Mapping[str, int]]

    @functools.cached_property
    def inputs(self) -> dict[str, list[str]]:
        """{artefact: the files that it is made of}."""
        found = all_recipes(self.config, self.experiment, self.inspection, self.counts, tables=True)
        return {file: recipe.inputs for file, recipe in found}

    def behind(self, files: Iterable[str]) -> list[str]:
        """Some files and all that they are made of, directly or not, in alphabetical order."""
        known: set[str] = set()
        waiting = list(files)
        while waiting:
            file = waiting.pop()
            if file not in known:
                known.add(file)
                waiting += self.inputs.get(file, [])
        return sorted(known)

    def packed(self, *files: str) -> str:
        """`behind` as an option of a command: thousands of paths in a few thousand characters."""
        return pack(self.behind(files))
