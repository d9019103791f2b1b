"""Damage for files: flipped bits, cuts, and parts of other files, drawn from a seed. Counts of what became of them."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from advtransfer.errors import InputError

# More inputs than a run usually has: ADVTRANSFER_FUZZ=10 gives ten times as many, by other draws of the same seed.
TIMES = int(os.environ.get("ADVTRANSFER_FUZZ", "1"))


def damage(content: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """A damaged copy. others: what parts are taken from."""
    changed = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        place = draw.randrange(len(changed) + 1)
        # Most of what a format says stands at its beginning.
        if draw.random() < 0.5:
            place = min(place, draw.randrange(512))
        end = place + draw.choice([1, 2, 4, 8, 64])
        way = draw.randrange(8)
        if way == 0:
            del changed[place:]
        elif way == 1:
            del changed[place:end]
        elif way == 2:
            changed[place:end] = draw.randbytes(len(changed[place:end]))
        elif way == 3:
            changed[place:place] = draw.choice(others)
        elif way == 4:
            source = draw.choice(others)
            start = draw.randrange(len(source))
            changed[place:end] = source[start : start + end - place]
        elif way == 5:
            changed[place:end] = draw.choice([b"\0", b"\xff", b"\x7f", b"\x80"]) * len(changed[place:end])
        elif place < len(changed):
            changed[place] ^= 1 << draw.randrange(8)
    return bytes(changed)


def count_outcomes(name: str, inputs: Iterable[tuple[str, Callable[[], Any]]]) -> Counter[str]:
    """Read every input and print how many were read and how many refused. Any other exception fails, with its input's name.

    inputs: (name, how to read it).
    """
    outcomes: Counter[str] = Counter(read=0, refused=0)
    slowest, others = (0.0, ""), []
    for label, read in inputs:
        begin = time.perf_counter()
        try:
            read()
            outcomes["read"] += 1
        except InputError as error:
            outcomes["refused"] += 1
            if "\n" in str(error) or len(str(error)) > 1000:
                others.append(f"{label}: no short line: {str(error)[:300]!r}")
        except Exception as error:
            others.append(f"{label}: {type(error).__name__}: {str(error)[:300]}")
        slowest = max(slowest, (time.perf_counter() - begin, label))
    print(
        f"{name}: {outcomes.total() + len(others)} inputs, {outcomes['refused']} refused, {outcomes['read']} read, "
        f"{len(others)} anything else; the slowest took {slowest[0]:.2f} s ({slowest[1]})"
    )
    assert not others, "\n".join(others[:20])
    return outcomes
