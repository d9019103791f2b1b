"""The tables of the study of adversarial and knowledge transferability (Liang et al. 2021)."""

import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from advtransfer.artefacts import load_table
from advtransfer.config.columns import SYNTHETIC_MEANS, TRANSFERABILITY_SYNTHETIC
from advtransfer.tables.intervals import interval

IDENTITY = ("seed", "perturbation", "attack")


def synthetic(files: Iterable[str | Path], bands: str) -> pd.DataFrame:
    """Mean over seeds of each quantity of the synthetic experiment, with its 95% interval (columns SYNTHETIC_MEANS).

    files: rows of each seed (columns TRANSFERABILITY_SYNTHETIC). `spearman` is the rank correlation of the quantity with the perturbation
    within a seed, averaged over seeds: -1 where it falls at every step in every seed.
    """
    rows = pd.concat([load_table(file).to_pandas() for file in files]).sort_values(list(IDENTITY), ignore_index=True)
    lines = []
    for attack, mine in rows.groupby("attack", sort=True):
        for quantity in (name for name in TRANSFERABILITY_SYNTHETIC if name not in (*IDENTITY, "left_out")):
            spearman = [_rank_correlation(seed, quantity) for _, seed in mine.groupby("seed")]
            for perturbation, group in mine.groupby("perturbation"):
                low, high = interval(group[quantity].to_numpy(), bands, f"{attack} {quantity} {perturbation}")
                line = {
                    "attack": attack,
                    "quantity": quantity,
                    "perturbation": perturbation,
                    "mean": group[quantity].mean(),
                }
                line |= {"low": low, "high": high, "seeds": len(group), "spearman": sum(spearman) / len(spearman)}
                lines.append(line | {"left_out": int(group["left_out"].sum())})
    return pd.DataFrame(lines, columns=list(SYNTHETIC_MEANS))


def _rank_correlation(rows: pd.DataFrame, quantity: str) -> float:
    if rows[quantity].nunique() < 2:
        return math.nan
    return rows["perturbation"].rank().corr(rows[quantity].rank())
