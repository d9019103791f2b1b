"""What figure nonrobustness_features draws: likeness of layers and changed classes, means over seeds (Zhang et al. 2021). No torch here."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from advtransfer.artefacts import load_table
from advtransfer.config.columns import NONROBUSTNESS_FEATURES, NONROBUSTNESS_FEATURES_ROWS
from advtransfer.errors import InputError
from advtransfer.tables.intervals import interval

CELL = ["quantity", "target", "first", "second", "place"]


def read_rows(files: Iterable[str | Path]) -> pd.DataFrame:
    """The rows of all files, one after another. Raises InputError where a file is missing, damaged or of another kind."""
    parts = []
    for file in files:
        part = load_table(file).to_pandas()
        if set(part.columns) != set(NONROBUSTNESS_FEATURES_ROWS):
            raise InputError(f"{file}: no rows of compared layers. Remove the file and make it again.")
        parts.append(part[list(NONROBUSTNESS_FEATURES_ROWS)])
    return pd.concat(parts, ignore_index=True)


def nonrobustness_features(rows: pd.DataFrame, bands: str) -> pd.DataFrame:
    """Means over seeds with their intervals; pixels as they are. Columns `columns.NONROBUSTNESS_FEATURES`.

    bands: "t" or "bootstrap", see `intervals`.
    """
    pixels = rows[rows["quantity"] == "pixel"]
    lines = []
    for cell, group in rows[rows["quantity"] != "pixel"].groupby(CELL, sort=True):
        values = group.sort_values("seed")["value"].dropna().to_numpy(np.float64)
        low, high = interval(values, bands, f"{cell}")
        mean = values.mean() if len(values) else np.nan
        lines.append(
            dict(zip(CELL, cell, strict=True)) | {"mean": mean, "low": low, "high": high, "seeds": len(values)}
        )
    drawn = pixels.rename(columns={"value": "mean"}).assign(low=np.nan, high=np.nan, seeds=1)
    table = pd.concat([pd.DataFrame(lines), drawn.drop(columns="seed")], ignore_index=True)
    return table[list(NONROBUSTNESS_FEATURES)]
