"""The table of compared layers: means over seeds, pixels as they are."""

import math

import numpy as np
import pandas as pd
import pytest

from advtransfer.artefacts import save_table
from advtransfer.config.columns import NONROBUSTNESS_FEATURES, NONROBUSTNESS_FEATURES_ROWS
from advtransfer.errors import InputError
from advtransfer.tables.intervals import t_interval
from advtransfer.tables.nonrobustness_features import nonrobustness_features, read_rows


def rows_of(values):
    lines = [["leaves", "cca", seed, "natural", "fine_tuned", 2, value] for seed, value in values.items()]
    lines += [["leaves", "pixel", 1, "natural", "", place, 0.01 * place] for place in range(12)]
    return pd.DataFrame(lines, columns=list(NONROBUSTNESS_FEATURES_ROWS))


def test_means_over_seeds_and_pixels():
    table = nonrobustness_features(rows_of({1: 0.4, 2: 0.6, 3: 0.9}), "t")
    assert list(table) == list(NONROBUSTNESS_FEATURES)
    (line,) = table[table["quantity"] == "cca"].itertuples()
    assert (line.mean, line.seeds, line.place) == (pytest.approx(1.9 / 3), 3, 2)
    assert (line.low, line.high) == pytest.approx(t_interval(np.array([0.4, 0.6, 0.9])))
    pixels = table[table["quantity"] == "pixel"]
    assert pixels["mean"].tolist() == pytest.approx([0.01 * place for place in range(12)])


def test_what_is_unknown_is_left_out():
    (line,) = nonrobustness_features(rows_of({1: math.nan, 2: 0.5}), "t").query("quantity == 'cca'").itertuples()
    assert (line.mean, line.seeds) == (0.5, 1)


def test_other_tables_are_refused(tmp_path):
    save_table(tmp_path / "rows.parquet", pd.DataFrame({"a": [1]}))
    with pytest.raises(InputError, match="no rows of compared layers"):
        read_rows([tmp_path / "rows.parquet"])
