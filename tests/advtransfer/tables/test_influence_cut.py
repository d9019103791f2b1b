"""The table of influence_cut: means and intervals over networks, counted anew."""

import numpy as np
import pytest
from scipy.stats import t

from advtransfer.artefacts import save_table
from advtransfer.config.columns import INFLUENCE_CUT
from advtransfer.errors import InputError
from advtransfer.tables.influence_cut import influence_cut, read_rows
from drawings import CUTS, cut_rows

SOURCES = {"natural": "plain", "robust": "l2"}


def test_means_and_intervals_are_over_networks():
    rows = cut_rows()
    table = influence_cut(rows, SOURCES, "t")
    assert list(table) == list(INFLUENCE_CUT)
    place = "role == 'robust' and head == 'fine_tuned' and inverse == 'cut' and level == 1e-8 and quantity == 'score'"
    mine = table.query(place)
    values = rows.query("source == 'l2' and head == 'fine_tuned' and inverse == 'cut' and level == 1e-8")["score"]
    mean = mine[mine["seed"].isna()].iloc[0]
    half = t.ppf(0.975, 2) * values.std() / np.sqrt(3)
    assert (mean["mean"], mean["low"], mean["high"]) == pytest.approx(
        (values.mean(), values.mean() - half, values.mean() + half)
    )
    assert (mean["networks"], mean["queries"]) == (3, 30)
    single = mine.dropna(subset="seed").sort_values("seed")
    assert single["mean"].tolist() == pytest.approx(values.tolist())
    assert single["seed"].tolist() == [0, 1, 2]
    assert single["low"].isna().all()


def test_every_cut_source_and_seed_has_a_line():
    table = influence_cut(cut_rows(), SOURCES, "t")
    scores = table.query("quantity == 'score' and inverse == 'cut'").dropna(subset="seed")
    assert len(scores) == len(CUTS) * 2 * 3 * 2  # cuts, sources, seeds, heads
    assert set(table.query("inverse == 'ridge'")["quantity"]) == {"loss", "chance"}
    assert set(table.query("quantity == 'kept'")["inverse"]) == {"cut"}
    itself = table.query("inverse == 'none'")
    assert set(itself["quantity"]) == {"loss", "accuracy", "residual_log10", "chance"}
    assert set(itself["head"]) == {"fine_tuned", "refitted"}
    assert not table["mean"].isna().any()


def test_a_single_network_has_no_interval():
    table = influence_cut(cut_rows(seeds=1), SOURCES, "t")
    assert table[["low", "high"]].isna().all().all()
    assert (table["networks"] == 1).all()


def test_the_bootstrap_is_reproducible():
    one, other = (influence_cut(cut_rows(), SOURCES, "bootstrap") for _ in range(2))
    assert one.equals(other)


def test_files_of_another_kind_are_named(tmp_path):
    save_table(tmp_path / "rows.parquet", cut_rows().drop(columns="chance"))
    with pytest.raises(InputError, match=r"rows\.parquet: no rows of influence_cut_rows"):
        read_rows([tmp_path / "rows.parquet"])
