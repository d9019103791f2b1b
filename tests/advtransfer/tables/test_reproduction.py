"""Ours beside the printed means: by an independent computation, and on the authors' logs, which made what is printed."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from advtransfer.errors import InputError
from advtransfer.tables.published import read_log
from advtransfer.tables.reproduction import expected_share, reproduction, sentence, summary
from experiments import PROJECT, an_experiment, read_config, resolved, rows_of

TARGETS = ("svhn", "mnist")


def scattered(models=4, **changes):
    """Rows of accuracies that differ by everything, and their experiment."""
    experiment = an_experiment(models, TARGETS, **changes)
    rng = np.random.default_rng(1)
    return rows_of(experiment, lambda *cell: rng.uniform(0.2, 0.9)), experiment


def test_lines_are_means_intervals_and_printed_values():
    rows, experiment = scattered()
    table = reproduction(rows, experiment).set_index(["target", "images", "source"])
    printed = pd.read_csv(PROJECT / "resources/published/table5.csv").set_index(["target", "images", "source"])
    theirs = {"plain": "natural", "l2": "l2_3", "small": "linf_4", "large": "linf_8"}
    # 2 targets, 2 sizes, 4 sources: of one block count, though the experiment has four.
    assert len(table) == 16
    for cell, line in table.iterrows():
        mine = rows[(rows["target"] == cell[0]) & (rows["images"] == cell[1]) & (rows["source"] == cell[2])]
        last = 100 * mine[(mine["blocks"] == 3) & (mine["epoch"] == 20)]["test_accuracy"]
        low, high = scipy.stats.t.interval(0.95, 3, last.mean(), scipy.stats.sem(last))
        value = printed.loc[(*cell[:2], theirs[cell[2]]), "printed_percent"]
        assert line["published_source"] == theirs[cell[2]]
        assert line["published_percent"] == value
        assert [line["accuracy_percent"], line["low_percent"], line["high_percent"]] == pytest.approx(
            [last.mean(), low, high]
        )
        assert line["difference_points"] == pytest.approx(last.mean() - value)
        assert line["holds"] == (low <= value <= high)
        assert (line["models"], line["run_epochs"], line["planned_epochs"]) == (4, "20", 20)
    found = summary(table.reset_index())
    assert (found["cells"], found["tested"], found["off"]) == (16, 16, 0)
    assert found["holding"] == table["holds"].sum()
    assert found["largest"] == table["difference_points"].abs().max()


def test_a_single_model_has_no_interval_and_does_not_count():
    table = reproduction(*scattered(1))
    assert table["holds"].isna().all()
    found = summary(table)
    assert (found["tested"], found["holding"]) == (0, 0)
    assert "none has an interval" in sentence(found)


def test_a_printed_value_is_held_up_to_its_rounding():
    """Models that are all alike have an interval of no width."""
    experiment = an_experiment(3, ("mnist",), sizes={"mnist": [[100, 3]]})
    table = reproduction(rows_of(experiment), experiment)
    printed = table.set_index("source").loc["plain", "published_percent"]
    for shift, holds in ((0.004, 1), (-0.004, 1), (0.006, 0), (-0.006, 0)):
        rows = rows_of(experiment, lambda *cell, shift=shift: (printed + shift) / 100)
        assert reproduction(rows, experiment).set_index("source").loc["plain", "holds"] == holds


def test_what_table_5_does_not_have_is_left_out_or_refused():
    experiment = an_experiment(2, ("mnist", "leaves"), sizes={"mnist": [[100, 2], [150, 2]], "leaves": [[100, 2]]})
    table = reproduction(rows_of(experiment), experiment)
    assert set(zip(table["target"], table["images"], strict=True)) == {("mnist", 100)}
    with pytest.raises(InputError, match=r"experiment 'trial', reproduction: no cell of the paper's Table 5\. Give it"):
        reproduction(rows_of(an_experiment()), an_experiment())
    rows = rows_of(experiment)
    with pytest.raises(InputError, match=r"none of its 4 cells of Table 5 has a model\. Fine-tune them first"):
        reproduction(rows[rows["target"] == "leaves"], experiment)


@pytest.mark.parametrize("models", [2, 5, 20])
def test_the_expected_share_is_that_of_simulated_pairs(models):
    rng, pairs = np.random.default_rng(models), 40_000
    mine, others = rng.standard_normal((2, pairs, models))
    half = scipy.stats.t.ppf(0.975, models - 1) * scipy.stats.sem(mine, axis=1)
    share = np.mean(np.abs(mine.mean(1) - others.mean(1)) <= half)
    expected = expected_share(models)
    assert abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / pairs)


@given(st.integers(2, 500))
def test_fewer_models_hold_another_mean_more_often(models):
    # Between the limit of many models and the 95% for a fixed value.
    limit = scipy.stats.norm.cdf(1.959964 / math.sqrt(2)) * 2 - 1
    assert limit < expected_share(models + 1) < expected_share(models) < 0.95


def test_one_model_has_no_expected_share():
    assert math.isnan(expected_share(1))


def test_the_authors_logs_are_what_they_printed(shared):
    """Up to 1,600 images: there the logs have the paper's epochs."""
    experiment = resolved(read_config(), "published")
    rows = read_log(shared / "reference" / "consolidated_results.csv.gz")
    table = reproduction(rows, experiment)
    on = table[table["run_epochs"] == table["planned_epochs"].astype(str)]
    found = summary(on)
    assert (found["cells"], found["holding"], found["tested"]) == (100, 100, 100)
    assert found["largest"] <= 0.0051
    assert set(on["images"]) == {100, 200, 400, 800, 1600}
    # Above, runs were shorter and less accurate.
    off = table.drop(on.index)
    assert off["difference_points"].mean() < -1
    assert summary(off)["off"] == len(off)
