"""The table of the synthetic experiment of transferability."""

import pandas as pd
import pytest

from advtransfer.artefacts import save_table
from advtransfer.config.columns import SYNTHETIC_MEANS, TRANSFERABILITY_SYNTHETIC
from advtransfer.tables.intervals import t_interval
from advtransfer.tables.transferability import synthetic


def test_means_intervals_and_rank_correlations(tmp_path):
    """alpha1 falls in every seed, tau2 falls in one and rises in the other two."""
    files = []
    for seed in range(3):
        rows = pd.DataFrame(1.0, index=range(6), columns=list(TRANSFERABILITY_SYNTHETIC))
        rows["seed"], rows["left_out"] = seed, seed
        rows["perturbation"] = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
        rows["attack"] = ["first", "second"] * 3
        rows["alpha1_source_target"] = 1 - 0.1 * rows["perturbation"] + 0.01 * seed
        rows["tau2"] = rows["perturbation"] * (-1 if seed == 0 else 1)
        files.append(tmp_path / f"seed{seed}.parquet")
        save_table(files[-1], rows, {})
    table = synthetic(files, "t")
    assert list(table) == list(SYNTHETIC_MEANS)
    assert len(table) == 2 * 10 * 3
    line = table[(table["attack"] == "first") & (table["quantity"] == "alpha1_source_target")].iloc[1]
    assert (line["perturbation"], line["seeds"], line["left_out"]) == (1.0, 3, 3)
    assert line["mean"] == pytest.approx(0.91)
    low, high = t_interval(pd.Series([0.9, 0.91, 0.92]).to_numpy())
    assert (line["low"], line["high"]) == pytest.approx((low, high))
    assert line["spearman"] == pytest.approx(-1)
    tau2 = table[(table["attack"] == "second") & (table["quantity"] == "tau2")]
    assert tau2["spearman"].tolist() == pytest.approx([1 / 3] * 3)
