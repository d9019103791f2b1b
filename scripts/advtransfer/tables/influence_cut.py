"""What figure influence_cut draws: how score and agreement hang on the inverse (docs/influence.md). No torch here.

Rows are one inverse on one network each, `columns.INFLUENCE_CUT_ROWS`. Seeds are the unit: a network's value is a mean over its queries, every
interval is over networks.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from advtransfer.artefacts import load_table
from advtransfer.config.columns import INFLUENCE_CUT, INFLUENCE_CUT_ROWS
from advtransfer.errors import InputError
from advtransfer.tables.intervals import interval

QUANTITIES = ("score", "top1", "three_of_top5", "same_class", "kept", "loss", "accuracy", "residual_log10", "chance")


def read_rows(files: Iterable[str | Path]) -> pd.DataFrame:
    """The rows of all files, one after another. Raises InputError where a file is missing, damaged or of another kind."""
    parts = []
    for file in files:
        part = load_table(file).to_pandas()
        if list(part.columns) != list(INFLUENCE_CUT_ROWS):
            raise InputError(f"{file}: no rows of influence_cut_rows.py. Remove the file and make it again.")
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def influence_cut(rows: pd.DataFrame, sources: Mapping[str, str], bands: str) -> pd.DataFrame:
    """Each quantity of each inverse, of every network and as a mean over them; columns `columns.INFLUENCE_CUT`.

    sources: {role: source}. bands: "t" or "bootstrap", see `intervals`.
    """
    roles = {source: role for role, source in sources.items()}
    lines = []
    for (source, head, inverse, level), group in rows.groupby(["source", "head", "inverse", "level"], sort=False):
        group = group.sort_values("seed")
        place = {"role": roles[source], "head": head, "inverse": inverse, "level": level}
        for quantity in QUANTITIES:
            values = group[quantity].to_numpy(float)
            # All directions are kept where none is cut; chance is the same for all.
            if pd.isna(values).all() or (quantity == "kept" and inverse != "cut"):
                continue
            low, high = interval(values, bands, f"influence_cut {source} {head} {inverse} {level} {quantity}")
            lines.append({"quantity": quantity, **place, "mean": values.mean(), "low": low, "high": high})
            lines[-1] |= {"networks": len(values), "queries": int(group["queries"].max())}
            for seed, value in zip(group["seed"], values, strict=True):
                lines.append({"quantity": quantity, **place, "seed": seed, "mean": value, "networks": 1})
                lines[-1]["queries"] = int(group["queries"].max())
    table = pd.DataFrame(lines, columns=list(INFLUENCE_CUT))
    return table.astype({"seed": "Int64"})
