"""How values of the configuration are read: sizes in steps, radii, and names that must be known. No torch here."""

import difflib
import re
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any

from advtransfer.errors import InputError

UNLIMITED = 10**9
# Far above what a configuration needs: the project's own has about 1,000.
MOST_VALUES = 20_000
# Of a message, in characters: what a terminal shows in two or three lines.
LONGEST_LINE = 300
# Smallest and largest radius that means something: float32 pixels are 1e-7 apart; two images of 1,024x1,024 pixels lie
# at most 1,774 apart.
SMALLEST_EPSILON, LARGEST_EPSILON = 1e-6, 2000


class _Shown(reprlib.Repr):
    """Values as messages show them, each in a few words."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 60
        self.maxlevel, self.maxlist, self.maxdict = 2, 4, 4

    def repr_int(self, number: int, level: int) -> str:
        """Python refuses to write very long numbers in decimal digits."""
        return str(number) if number.bit_length() < 100 else f"a number of {number.bit_length()} bits"


def shown(value: Any) -> str:
    """A value that was found as messages show it: as Python writes it, shortened."""
    text = _Shown().repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def one_line(message: str) -> str:
    """A message on one line of at most LONGEST_LINE characters: the middle gives way, place and remedy stay."""
    line = "".join(letter if letter.isprintable() else " " for letter in message)
    if len(line) <= LONGEST_LINE:
        return line
    begin = LONGEST_LINE * 2 // 3
    return f"{line[:begin]} … {line[begin + 3 - LONGEST_LINE :]}"


def suggest(found: str, known: Iterable[str]) -> str:
    """The remedy for a name that is not known: the nearest one, or some of them."""
    known = list(known)
    close = difflib.get_close_matches(found[:100], known, n=1)
    if close:
        return f"Did you mean '{close[0]}'?"
    listed = ", ".join(known)
    return (
        f"Choose one of: {listed}." if len(listed) <= 150 else f"Choose one of: {listed[:150].rpartition(',')[0]}, ..."
    )


def require_known(name: str, known: Mapping[str, Any], key: str, noun: str) -> None:
    """Raise InputError, which names the nearest one, where `known` has no such name."""
    if name not in known:
        raise InputError(f"config: {key}: no {noun} is named {shown(name)}. {suggest(str(name), known)}")


def parse_epsilon(value: float | str, key: str = "epsilon") -> float:
    """A radius in pixel units [0, 1], written as a number or as a fraction such as "4/255".

    Raises InputError where it is neither, or so large or so small that it means nothing; 0 is for the caller to judge.
    """
    if isinstance(value, str):
        match = re.fullmatch(r" *([0-9]{1,9}(?:\.[0-9]{1,9})?) */ *([0-9]{1,9}) *", value)
        if not match or int(match[2]) == 0:
            raise InputError(f"config: {key}: found {shown(value)}. Write a number, or a fraction such as 4/255.")
        radius = float(match[1]) / int(match[2])
    else:
        radius = float(value)
    if 0 < radius < SMALLEST_EPSILON or radius > LARGEST_EPSILON:
        raise InputError(
            f"config: {key}: found {shown(value)}. Give a radius from {SMALLEST_EPSILON:g} to {LARGEST_EPSILON:,}."
        )
    return radius


def parse_threat(threat: Mapping[str, Any]) -> dict[str, Any]:
    """A threat with its epsilon as a number."""
    return {"norm": threat["norm"], "epsilon": parse_epsilon(threat["epsilon"])}


def step_at(steps: list[Mapping[str, int]], images: int) -> Mapping[str, int]:
    """The entry of a list by size (`images_up_to`) that holds for a number of images."""
    return next(step for step in steps if images <= step.get("images_up_to", UNLIMITED))


# Keys of a step of a seed schedule that say for which cells it holds.
CELL_KEYS = ("roles", "targets", "blocks")


def seed_steps(config: Mapping[str, Any], experiment: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """An experiment's seeds as a schedule: its own number for all cells, or the schedule that it names."""
    seeds = experiment["seeds"]
    return config["seed_schedules"][seeds] if isinstance(seeds, str) else [{"seeds": seeds}]


def holds_for_all(step: Mapping[str, Any]) -> bool:
    """Whether a step of a seed schedule holds for all cells of its sizes, not for some roles, targets or block counts only."""
    return not set(CELL_KEYS) & set(step)


def seeds_at(config: Mapping[str, Any], experiment: Mapping[str, Any], images: int) -> int:
    """How many seeds an experiment plans at a number of images, for cells that no step of its schedule names."""
    return step_at(list(filter(holds_for_all, seed_steps(config, experiment))), images)["seeds"]
