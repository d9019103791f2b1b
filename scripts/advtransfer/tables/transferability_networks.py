"""What the figures transferability and transferability_sources draw of compared networks (Liang et al. 2021). No torch here.

Rows are one seed each, `columns.TRANSFERABILITY_ROWS`. A seed has a linear probe, a reference network and test images of its own, so seeds
are the unit of intervals. Correlations are over sources, of means over seeds: within a target, and over all targets together with
each target's mean subtracted, since targets differ in how hard they are.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from advtransfer.artefacts import load_table
from advtransfer.config.columns import TRANSFERABILITY, TRANSFERABILITY_ROWS
from advtransfer.errors import InputError
from advtransfer.tables.correlation import RankCorrelation, rank_correlation, stratified_rank_correlation
from advtransfer.tables.intervals import interval

KINDS = ("alpha1", "alpha2", "alpha2_squared", "combined", "combined_squared", "transfer_rate")
DIRECTIONS = ("source_target", "target_source")
MEASURES = tuple(f"{kind}_{direction}" for direction in DIRECTIONS for kind in KINDS)
# What knowledge transferability is measured by: a column of the rows, and its words in the table.
KNOWLEDGE = {"accuracy": "probe_accuracy", "loss": "probe_loss"}


def read_rows(files: Iterable[str | Path]) -> pd.DataFrame:
    """The rows of all files, one after another. Raises InputError where a file is missing, damaged or of another kind."""
    parts = []
    for file in files:
        part = load_table(file).to_pandas()
        if list(part.columns) != list(TRANSFERABILITY_ROWS):
            raise InputError(f"{file}: no rows of compared networks. Remove the file and make it again.")
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def compare(rows: pd.DataFrame, bands: str) -> pd.DataFrame:
    """All that the figures draw, in long form; columns `columns.TRANSFERABILITY`. bands: "t" or "bootstrap", see `intervals`."""
    lines = [*_means(rows, bands), *_correlations(rows)]
    return pd.DataFrame(lines, columns=list(TRANSFERABILITY))


def _means(rows: pd.DataFrame, bands: str) -> Iterator[dict]:
    for (target, source), group in rows.groupby(["target", "source"], sort=False):
        group = group.sort_values("seed")
        common = {"quantity": "measure", "target": target, "source": source, "seeds": len(group)}
        common |= {"reference_accuracy": group["reference_accuracy"].mean()}
        common |= {name: group[name].iloc[0] for name in ("norm", "epsilon")}
        common |= {"attacked_images": int(group["reference_right"].sum())}
        for words, column in KNOWLEDGE.items():
            common |= _with_interval(group[column], bands, f"{words} {target} {source}", words)
        for measure in MEASURES:
            direction = "source_target" if measure.endswith("source_target") else "target_source"
            left_out = 0 if measure.startswith("transfer_rate") else int(group[f"left_out_{direction}"].sum())
            found = _with_interval(group[measure], bands, f"{measure} {target} {source}", "mean", prefix="")
            yield {**common, "measure": measure, **found, "left_out": left_out}


def _with_interval(values: pd.Series, bands: str, identity: str, name: str, prefix: str | None = None) -> dict:
    """{name: the mean, PREFIXlow, PREFIXhigh: its interval}; a seed without a value (no image was right) makes none."""
    known = values.dropna().to_numpy(np.float64)
    low, high = interval(known, bands, identity)
    prefix = f"{name}_" if prefix is None else prefix
    return {name: known.mean() if len(known) else math.nan, f"{prefix}low": low, f"{prefix}high": high}


def _correlations(rows: pd.DataFrame) -> Iterator[dict]:
    means = rows.groupby(["target", "source"], sort=False)[[*MEASURES, *KNOWLEDGE.values()]].mean().reset_index()
    for measure in MEASURES:
        for words, column in KNOWLEDGE.items():
            points = means.dropna(subset=[measure, column])
            for target in means["target"].unique():
                group = points[points["target"] == target]
                found = rank_correlation(group[measure].to_numpy(), group[column].to_numpy())
                yield _line(found, measure, words, target)
            if means["target"].nunique() > 1:
                found = stratified_rank_correlation(
                    *(points[name].to_numpy() for name in (measure, column)), points["target"].to_numpy()
                )
                yield _line(found, measure, words, "")


def _line(found: RankCorrelation, measure: str, against: str, target: str) -> dict:
    return {
        **{"quantity": "rank_correlation", "measure": measure, "target": target, "against": against},
        **{"correlation": found.value, "p": found.p, "exact": found.exact, "points": found.points},
    }
