"""Rank correlation of a few points, with the p-value of a permutation test. No torch here.

With few points no approximation of the p-value holds: it is counted, over all orders of one side where these are at most 9! = 362,880.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

# Points of which all orders are counted; beyond, so many are drawn.
MOST_POINTS = 9
DRAWS = 100_000


@dataclass(frozen=True)
class RankCorrelation:
    """value: Spearman's coefficient. p: two-sided. points: how many pairs. exact: whether all orders were counted.

    Value and p are NaN for fewer than two points, and where one side does not vary.
    """

    value: float
    p: float
    points: int
    exact: bool


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, [n]; equal values share the mean of theirs."""
    values = np.asarray(values)
    less = (values[None, :] < values[:, None]).sum(1)
    equal = (values[None, :] == values[:, None]).sum(1)
    return less + (equal + 1) / 2


def rank_correlation(x: np.ndarray, y: np.ndarray, seed: int = 0) -> RankCorrelation:
    """Spearman's rank correlation of x and y [n], and how often so large a one, of either sign, comes by chance.

    p is the share of the orders of y whose coefficient is as far from 0 as the one found, the order found among them (the permutation
    test); it cannot be below 2 / n!. Beyond MOST_POINTS points DRAWS orders are drawn from `seed`, and p is (1 + how many are as far) / (1 + DRAWS).
    """
    # Twice the ranks, centred and scaled by n, are whole numbers: equal coefficients compare as equal.
    count = len(x)
    first, second = (
        (count * 2 * ranks(values) - count * (count + 1)).round().astype(np.int64).astype(np.float64)
        for values in (x, y)
    )
    scale = math.sqrt((first**2).sum() * (second**2).sum())
    exact = count <= MOST_POINTS
    if count < 2 or scale == 0:
        return RankCorrelation(math.nan, math.nan, count, exact)
    found = first @ second
    if exact:
        orders = np.array(list(itertools.permutations(range(count))))
        p = (np.abs(second[orders] @ first) >= abs(found)).mean()
    else:
        rng = np.random.default_rng(seed)
        sums = np.array([rng.permutation(second) @ first for _ in range(DRAWS)])
        p = (1 + (np.abs(sums) >= abs(found)).sum()) / (1 + DRAWS)
    return RankCorrelation(float(found / scale), float(p), count, exact)
