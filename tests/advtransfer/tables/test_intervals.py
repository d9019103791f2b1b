"""Intervals hold what they promise, against scipy's own and by counting."""

import math

import numpy as np
import pytest
from scipy import stats

from advtransfer.tables.intervals import bootstrap_interval, interval, t_interval


@pytest.mark.parametrize("count", [2, 3, 5, 20])
def test_t_is_scipys(count):
    values = np.random.default_rng(count).normal(0.7, 0.1, count)
    expected = stats.t.interval(0.95, count - 1, loc=values.mean(), scale=stats.sem(values))
    assert t_interval(values) == pytest.approx(expected, rel=1e-12)


def test_the_bootstrap_is_scipys_for_many_values():
    """Two Monte Carlo estimates of one interval: a tenth of its half width apart at most."""
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)
    found = bootstrap_interval(values, "a")
    other = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1))
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert found == pytest.approx(tuple(other.confidence_interval), abs=0.1 * half)
    assert bootstrap_interval(values, "a") == found
    assert bootstrap_interval(values, "b") != found


def test_one_value_has_no_interval():
    for bands in ("t", "bootstrap"):
        assert all(map(math.isnan, interval(np.array([0.5]), bands)))


@pytest.mark.parametrize("count", [3, 5, 10, 20])
def test_coverage_of_the_mean(count):
    """Of 2,000 normal samples: t covers as often as it says, the bootstrap too rarely, the more so the fewer values."""
    drawn = np.random.default_rng(count).standard_normal((2000, count))
    covered = {
        bands: np.mean(
            [low <= 0 <= high for low, high in (interval(values, bands, str(i)) for i, values in enumerate(drawn))]
        )
        for bands in ("t", "bootstrap")
    }
    error = 3 * math.sqrt(0.95 * 0.05 / len(drawn))
    assert covered["t"] == pytest.approx(0.95, abs=error)
    assert covered["bootstrap"] < {3: 0.80, 5: 0.88, 10: 0.92, 20: 0.945}[count]
    assert covered["bootstrap"] > {3: 0.70, 5: 0.81, 10: 0.88, 20: 0.915}[count]
