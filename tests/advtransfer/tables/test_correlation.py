"""Rank correlation and its permutation test, against scipy's."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from advtransfer.tables.correlation import rank_correlation, ranks, stratified_rank_correlation


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_ranks_are_scipys(values):
    assert ranks(np.array(values)).tolist() == stats.rankdata(values).tolist()


def coefficient(x, y):
    """Spearman's coefficient squared with its sign, an exact fraction: Pearson's, of scipy's ranks."""
    first, second = ([Fraction(rank) for rank in stats.rankdata(values)] for values in (x, y))
    first, second = ([rank - sum(side) / len(side) for rank in side] for side in (first, second))
    product = sum(a * b for a, b in zip(first, second, strict=True))
    return product * abs(product) / (sum(a * a for a in first) * sum(b * b for b in second))


@given(
    st.integers(2, 5).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 4), min_size=n, max_size=n) for _ in "xy"]))
)
@settings(deadline=None, max_examples=40)
def test_value_and_exact_p_are_counted(sides):
    """Ties among them; p is counted here in exact fractions."""
    x, y = sides
    found = rank_correlation(np.array(x), np.array(y))
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert math.isnan(found.value)
        assert math.isnan(found.p)
        return
    assert found.exact
    assert found.points == len(x)
    assert found.value == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    orders = list(itertools.permutations(y))
    as_far = sum(abs(coefficient(x, order)) >= abs(coefficient(x, y)) for order in orders)
    assert found.p == pytest.approx(as_far / len(orders), abs=1e-12)


def test_the_smallest_p_of_few_points():
    """A perfect order of 4 points comes by chance, up or down, in 2 of 24 orders; of 7 in 2 of 5,040."""
    assert rank_correlation(np.arange(4), -np.arange(4)).p == pytest.approx(2 / 24)
    found = rank_correlation(np.arange(7), np.arange(7) ** 3)
    assert (found.value, found.p) == (1, pytest.approx(2 / 5040))


def test_beyond_nine_points_orders_are_drawn():
    rng = np.random.default_rng(0)
    x = rng.normal(size=10)
    y = x + rng.normal(size=10)
    found = rank_correlation(x, y)
    assert not found.exact
    assert found == rank_correlation(x, y)
    # Student's t is no bad approximation at 10 points.
    assert found.p == pytest.approx(stats.spearmanr(x, y).pvalue, abs=0.02)


def test_one_point_has_none():
    found = rank_correlation(np.array([1.0]), np.array([2.0]))
    assert math.isnan(found.value)
    assert found.points == 1


GROUPS = st.lists(
    st.integers(1, 4).flatmap(
        lambda n: st.tuples(*[st.lists(st.integers(0, 6), min_size=n, max_size=n) for _ in "xy"])
    ),
    min_size=1,
    max_size=3,
)


@given(GROUPS)
@settings(deadline=None, max_examples=40)
def test_within_groups_value_and_exact_p_are_counted(parts):
    """Every combination of orders within groups, one by one; ties among them, and groups of one point."""
    x, y = (np.concatenate([np.array(part[side], float) for part in parts]) for side in (0, 1))
    groups = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    found = stratified_rank_correlation(x, y, groups)
    # Exact fractions: which centred values are equal is no matter of rounding.
    first, second = (
        [[Fraction(value) - Fraction(sum(part[side]), len(part[side])) for value in part[side]] for part in parts]
        for side in (0, 1)
    )
    flat, other = (list(itertools.chain(*side)) for side in (first, second))
    if len(set(flat)) == 1 or len(set(other)) == 1:
        assert math.isnan(found.value)
        return
    assert found.points == len(x)
    assert found.exact
    order = sorted(set(flat)), sorted(set(other))
    numbers = [[order[side].index(value) for value in values] for side, values in enumerate((flat, other))]
    assert found.value == pytest.approx(stats.spearmanr(*numbers).statistic, abs=1e-12)
    reached = abs(coefficient(*numbers))
    orders = [
        abs(coefficient(numbers[0], [order[1].index(value) for value in itertools.chain(*choice)]))
        for choice in itertools.product(*(itertools.permutations(part) for part in second))
    ]
    assert found.p == pytest.approx(sum(each >= reached for each in orders) / len(orders), abs=1e-9)


def test_one_group_is_the_plain_correlation():
    rng = np.random.default_rng(3)
    x, y = rng.random((2, 7))
    found, plain = stratified_rank_correlation(x, y, np.zeros(7)), rank_correlation(x, y)
    assert (found.value, found.p) == (pytest.approx(plain.value), pytest.approx(plain.p))


def test_what_differs_between_groups_only_is_no_correlation():
    """Two groups far apart on both sides: a plain correlation sees them, one within groups does not."""
    x, y = np.array([0, 1, 2, 3, 100, 101, 102, 103.0]), np.array([1, 3, 0, 2, 201, 203, 200, 202.0])
    assert rank_correlation(x, y).value > 0.7
    assert stratified_rank_correlation(x, y, np.repeat([0, 1], 4)).value == pytest.approx(0)


def test_large_groups_are_drawn():
    x = np.arange(20.0)
    found = stratified_rank_correlation(x, x**2, np.repeat(["a", "b"], 10))
    assert not found.exact
    assert found.p == pytest.approx(1 / 100_001)
