"""The tables of compared networks: seeds are the unit, correlations are over sources."""

import math

import numpy as np
import pytest
from scipy import stats

from advtransfer.artefacts import save_table
from advtransfer.config.columns import TRANSFERABILITY
from advtransfer.errors import InputError
from advtransfer.tables.intervals import t_interval
from advtransfer.tables.transferability_networks import KINDS, MEASURES, compare, read_rows
from drawings import compared_rows

SOURCES, TARGETS = ["plain", "l2", "small", "large"], ["leaves", "stones"]


@pytest.fixture
def rows():
    rows = compared_rows(SOURCES, TARGETS)
    rng = np.random.default_rng(1)
    for column in (*MEASURES, "probe_accuracy", "probe_loss"):
        rows[column] = rng.random(len(rows))
    return rows


def test_means_and_intervals_over_seeds(rows):
    table = compare(rows, "t")
    assert list(table) == list(TRANSFERABILITY)
    points = table[table["quantity"] == "measure"]
    assert len(points) == len(SOURCES) * len(TARGETS) * len(MEASURES)
    for line in points.sample(20, random_state=0).itertuples():
        mine = rows[(rows["source"] == line.source) & (rows["target"] == line.target)]
        assert line.mean == pytest.approx(mine[line.measure].mean())
        assert (line.low, line.high) == pytest.approx(t_interval(mine[line.measure].to_numpy()))
        assert line.accuracy == pytest.approx(mine["probe_accuracy"].mean())
        assert (line.loss_low, line.loss_high) == pytest.approx(t_interval(mine["probe_loss"].to_numpy()))
        assert (line.seeds, line.attacked_images) == (3, 3 * 45)
        expected = 0 + 1 + 2 if line.measure.endswith("source_target") and "rate" not in line.measure else 0
        assert line.left_out == expected


def test_correlations_over_sources(rows):
    """Within targets scipy's; over all targets scipy's of the values with each target's mean subtracted."""
    table = compare(rows, "t")
    found = table[table["quantity"] == "rank_correlation"].set_index(["measure", "against", "target"])
    assert len(found) == len(MEASURES) * 2 * (len(TARGETS) + 1)
    means = rows.groupby(["target", "source"])[[*MEASURES, "probe_accuracy", "probe_loss"]].mean()
    centred = means - means.groupby("target").transform("mean")
    for measure in MEASURES:
        for against in ("accuracy", "loss"):
            for target in TARGETS:
                expected = stats.spearmanr(means.loc[target, measure], means.loc[target, f"probe_{against}"]).statistic
                assert found.loc[(measure, against, target), "correlation"] == pytest.approx(expected)
                assert found.loc[(measure, against, target), "points"] == 4
            line = found.loc[(measure, against, "")]
            expected = stats.spearmanr(centred[measure], centred[f"probe_{against}"]).statistic
            assert line["correlation"] == pytest.approx(expected)
            assert (line["points"], line["exact"]) == (8, True)
            assert 1 / math.factorial(4) ** 2 <= line["p"] <= 1


def test_a_single_target_is_not_pooled(rows):
    table = compare(rows[rows["target"] == "leaves"], "t")
    assert (table["target"] == "leaves").all()


def test_a_seed_without_a_value_makes_no_mean(rows):
    """No image was right: the other seeds speak."""
    rows.loc[rows["seed"] == 0, [f"{kind}_source_target" for kind in KINDS]] = math.nan
    points = compare(rows, "t").query("quantity == 'measure' and measure == 'alpha1_source_target'")
    mine = rows[(rows["source"] == "l2") & (rows["target"] == "stones") & (rows["seed"] > 0)]
    line = points[(points["source"] == "l2") & (points["target"] == "stones")].iloc[0]
    assert line["mean"] == pytest.approx(mine["alpha1_source_target"].mean())


def test_a_target_on_which_no_image_was_right_has_no_correlation(rows):
    rows.loc[rows["target"] == "leaves", list(MEASURES)] = math.nan
    table = compare(rows, "t")
    found = table[table["quantity"] == "rank_correlation"].set_index("target")
    assert (found.loc["leaves", "points"] == 0).all()
    assert found.loc["leaves", "correlation"].isna().all()
    assert (found.loc["", "points"] == 4).all()
    assert found.loc["stones", "correlation"].notna().all()
    assert table.query("quantity == 'measure' and target == 'leaves'")["mean"].isna().all()


def test_rows_of_another_kind_are_refused(rows, tmp_path):
    save_table(tmp_path / "rows.parquet", rows)
    assert len(read_rows([tmp_path / "rows.parquet"] * 2)) == 2 * len(rows)
    save_table(tmp_path / "other.parquet", rows.drop(columns="seed"))
    with pytest.raises(InputError, match=r"other\.parquet: no rows of compared networks"):
        read_rows([tmp_path / "other.parquet"])
