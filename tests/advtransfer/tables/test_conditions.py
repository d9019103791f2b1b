"""The tests of conditions against scipy's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from advtransfer.tables.conditions import Condition

VALUES = arrays(np.float64, st.integers(2, 8), elements=st.floats(-50, 50).map(lambda value: round(value, 3)))


@given(VALUES, st.floats(-20, 20))
def test_one_bound_is_a_t_test(values, bound):
    if np.std(values) < 1e-6:
        return
    expected = stats.ttest_1samp(values, bound).pvalue
    for kind in ("above", "below", "at_least", "at_most"):
        assert Condition.of({kind: bound}).p(values) == pytest.approx(expected, abs=1e-12)


@given(VALUES, st.floats(-20, 20), st.floats(0.1, 20))
def test_two_bounds_are_two_one_sided_tests(values, low, width):
    if np.std(values) < 1e-6:
        return
    found = Condition.of({"between": [low, low + width]}).p(values)
    if low <= values.mean() <= low + width:
        above = stats.ttest_1samp(values, low, alternative="greater").pvalue
        below = stats.ttest_1samp(values, low + width, alternative="less").pvalue
        assert found == pytest.approx(max(above, below), abs=1e-12)
    else:
        nearest = low if values.mean() < low else low + width
        assert found == pytest.approx(stats.ttest_1samp(values, nearest).pvalue, abs=1e-12)


def test_bounds_and_what_has_no_spread():
    assert Condition.of({"above": 0}).met(0.1)
    assert not Condition.of({"above": 0}).met(0)
    assert Condition.of({"at_least": 0}).met(0)
    assert not Condition.of({"below": 0}).met(0)
    assert Condition.of({"between": [1, 2]}).met(2)
    assert math.isnan(Condition.of({"above": 0}).p(np.array([3.0])))
    assert Condition.of({"above": 0}).p(np.array([3.0, 3.0])) == 0
    assert Condition.of({"above": 3}).p(np.array([3.0, 3.0])) == 1
