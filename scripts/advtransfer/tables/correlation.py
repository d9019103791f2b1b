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
    count = len(x)
    first, second = _whole_ranks(x), _whole_ranks(y)
    scale = math.sqrt((first**2).sum() * (second**2).sum())
    exact = count <= MOST_POINTS
    if count < 2 or scale == 0:
        return RankCorrelation(math.nan, math.nan, count, exact)
    found = first @ second
    if exact:
        orders = np.array(list(itertools.permutations(range(count))))
        p = (np.abs(second[orders] @ first) >= abs(found)).mean()
    else:
        sums = _drawn_sums(first, second, np.random.default_rng(seed))
        p = (1 + (np.abs(sums) >= abs(found)).sum()) / (1 + DRAWS)
    return RankCorrelation(float(found / scale), float(p), count, exact)


def stratified_rank_correlation(x: np.ndarray, y: np.ndarray, groups: np.ndarray, seed: int = 0) -> RankCorrelation:
    """Spearman's rank correlation of x and y [n] with each group's mean subtracted from both; groups [n]: any labels.

    Means are no ranks: p is the share of the orders of y *within* groups whose coefficient is as far from 0, which is what chance may do where
    groups differ. Exact if no group has more than MOST_POINTS points, whatever their number; else DRAWS orders are drawn from `seed`.
    """
    x, y, groups = np.asarray(x, np.float64), np.asarray(y, np.float64), np.asarray(groups)
    count, members = len(x), [np.flatnonzero(groups == name) for name in dict.fromkeys(groups.tolist())]
    exact = all(len(places) <= MOST_POINTS for places in members)
    first, second = (_whole_ranks(_centred(values, members)) for values in (x, y))
    scale = math.sqrt((first**2).sum() * (second**2).sum())
    if count < 2 or scale == 0:
        return RankCorrelation(math.nan, math.nan, count, exact)
    found = first @ second
    if exact:
        # How often each sum over all groups occurs: of two groups together, every sum of theirs with every other.
        sums, times = np.zeros(1), np.ones(1)
        for places in members:
            orders = np.array(list(itertools.permutations(range(len(places)))))
            mine, often = np.unique(second[places][orders] @ first[places], return_counts=True)
            sums, where = np.unique((sums[:, None] + mine).ravel(), return_inverse=True)
            times = np.bincount(where, (times[:, None] * (often / len(orders))).ravel())
        p = times[np.abs(sums) >= abs(found)].sum()
    else:
        rng = np.random.default_rng(seed)
        drawn = sum(_drawn_sums(first[places], second[places], rng) for places in members)
        p = (1 + (np.abs(drawn) >= abs(found)).sum()) / (1 + DRAWS)
    return RankCorrelation(float(found / scale), min(float(p), 1.0), count, exact)


def _drawn_sums(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The products of first [n] with DRAWS orders of second [n], summed: [DRAWS]."""
    return rng.permuted(np.broadcast_to(second, (DRAWS, len(second))), axis=1) @ first


def _whole_ranks(values: np.ndarray) -> np.ndarray:
    """Twice the ranks, centred and scaled by n [n]: whole numbers, so that equal coefficients compare as equal."""
    count = len(values)
    return (count * 2 * ranks(values) - count * (count + 1)).round().astype(np.int64).astype(np.float64)


def _centred(values: np.ndarray, members: list[np.ndarray]) -> np.ndarray:
    """Values with the mean of their group subtracted, rounded: equal differences are to have equal ranks."""
    centred = values.copy()
    for places in members:
        centred[places] -= values[places].mean()
    return centred.round(12)
