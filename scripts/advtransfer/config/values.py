"""How values of the configuration are read: sizes in steps, radii, and names that must be known. No torch here."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from advtransfer.errors import InputError

UNLIMITED = 10**9


def suggest(found: str, known: Iterable[str]) -> str:
    """The remedy for a name that is not known: the nearest one, or all."""
    known = list(known)
    close = difflib.get_close_matches(found, known, n=1)
    return f"Did you mean '{close[0]}'?" if close else f"Choose one of: {', '.join(known)}."


def require_known(name: str, known: Mapping[str, Any], key: str, noun: str) -> None:
    """Raise InputError, which names the nearest one, where `known` has no such name."""
    if name not in known:
        raise InputError(f"config: {key}: no {noun} is named '{name}'. {suggest(str(name), known)}")


def parse_epsilon(value: float | str, key: str = "epsilon") -> float:
    """A radius in pixel units [0, 1], written as a number or as a fraction such as "4/255"."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*/\s*(\d+)\s*", value)
        if not match or int(match[2]) == 0:
            raise InputError(f"config: {key}: found '{value}'. Write a number, or a fraction such as 4/255.")
        return float(match[1]) / int(match[2])
    return float(value)


def parse_threat(threat: Mapping[str, Any]) -> dict[str, Any]:
    """A threat with its epsilon as a number."""
    return {"norm": threat["norm"], "epsilon": parse_epsilon(threat["epsilon"])}


def step_at(steps: list[Mapping[str, int]], images: int) -> Mapping[str, int]:
    """The entry of a list by size (`images_up_to`) that holds for a number of images."""
    return next(step for step in steps if images <= step.get("images_up_to", UNLIMITED))


def seeds_at(config: Mapping[str, Any], experiment: Mapping[str, Any], images: int) -> int:
    """How many seeds an experiment plans at a number of images, by its own number or its schedule."""
    seeds = experiment["seeds"]
    return step_at(config["seed_schedules"][seeds], images)["seeds"] if isinstance(seeds, str) else seeds
