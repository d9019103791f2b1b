"""Configuration files as they stand on disk, for what merging them hides: keys that are given twice. No torch here.

Snakemake reads and merges these files before the project is asked; of a key that one file gives twice only the last is left.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from advtransfer.config.values import MOST_VALUES, shown
from advtransfer.errors import InputError

# The C parser is ten times as fast, where PyYAML was built with it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_files(files: Iterable[str | Path]) -> None:
    """Raise InputError where a file, YAML or JSON, gives a key twice, or its aliases stand for too many values."""
    for file in dict.fromkeys(map(Path, files)):
        # What comes through a pipe can be read once only, and Snakemake has done so.
        if not file.is_file():
            continue
        text = file.read_text(encoding="utf-8")
        try:
            json.loads(text, object_pairs_hook=lambda pairs, name=file.name: _unique(pairs, name))
        except json.JSONDecodeError:
            if _values(yaml.compose(text, Loader=LOADER), file.name, {}) > MOST_VALUES:
                raise InputError(
                    f"config: {file.name}: its aliases (*name) stand for more than {MOST_VALUES:,} values. Use fewer of them."
                ) from None


def _unique(pairs: list[tuple[str, Any]], file: str) -> dict[str, Any]:
    found = {}
    for key, value in pairs:
        if key in found:
            raise InputError(f"config: {file}: key {shown(key)} is given twice. Remove one.")
        found[key] = value
    return found


def _values(node: yaml.Node | None, file: str, known: dict[int, int]) -> int:
    """How many values a node stands for, itself and all below it, each alias counted as if it were written out.

    known: what has been counted, by the nodes' ids. Raises InputError where a key is given twice.
    """
    if id(node) in known:
        return known[id(node)]
    # An alias inside of what it stands for has no end.
    known[id(node)] = MOST_VALUES + 1
    below = []
    if isinstance(node, yaml.MappingNode):
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if (key.tag, key.value) in lines:
                    raise InputError(
                        f"config: {file}, line {line}: key {shown(key.value)} is given twice, first in line "
                        f"{lines[key.tag, key.value]}. Remove one."
                    )
                lines[key.tag, key.value] = line
        below = [value for _, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        below = node.value
    known[id(node)] = 1 + sum(_values(value, file, known) for value in below)
    return known[id(node)]
