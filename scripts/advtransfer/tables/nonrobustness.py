"""What the figures of transferred non-robustness draw of attacked networks (Zhang et al. 2021; docs/nonrobustness.md). No torch here.

Rows are one network and radius each, `columns.NONROBUSTNESS_ROWS`. Networks are the unit: means and intervals are over seeds.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from advtransfer.artefacts import load_table
from advtransfer.config.columns import NONROBUSTNESS, NONROBUSTNESS_ROWS
from advtransfer.errors import InputError
from advtransfer.tables.intervals import interval

CELL = ["target", "arm", "way", "source", "beta", "images", "epsilon"]
# A network that is right less often than so many times chance has nothing to lose: its decline says nothing.
LEAST_CHANCES = 2


def read_rows(files: Iterable[str | Path]) -> pd.DataFrame:
    """The rows of all files, one after another.

    Raises InputError where a file is missing, damaged or of another kind, and where counts contradict what a worst case is.
    """
    parts = []
    for file in files:
        part = load_table(file).to_pandas()
        if list(part.columns) != list(NONROBUSTNESS_ROWS):
            raise InputError(f"{file}: no rows of attacked networks. Remove the file and make it again.")
        refuse_contradiction(part, file)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def refuse_contradiction(rows: pd.DataFrame, file: str | Path) -> None:
    """Raise InputError where more images are right under attack than without it, or at a larger radius, or than there are."""
    pgd = rows[rows["attack"] == "pgd"].sort_values("epsilon")
    rises = pgd.groupby("seed")["right"].diff() > 0
    bounds = (rows["right"] > rows["pgd"]) | (rows["pgd"] > rows["clean"]) | (rows["clean"] > rows["test_images"])
    unlike = (pgd["epsilon"] == 0) & (pgd["right"] != pgd["clean"])
    for wrong, of in ((rises, pgd), (bounds, rows), (unlike, pgd)):
        if wrong.any():
            row = of[wrong].iloc[0]
            raise InputError(
                f"{file}: seed {row['seed']} at epsilon {row['epsilon']:.4g}: {row['right']} images right, {row['clean']} without an attack, of "
                f"{row['test_images']}. A worst case cannot rise. Remove the file and make it again."
            )


def with_measures(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with accuracy (AOI), adversarial_accuracy (AAI) and decline_ratio, (AOI - AAI) / AOI; fractions.

    decline_ratio is NaN of networks whose accuracy is below LEAST_CHANCES / classes.
    """
    rows = rows.assign(
        accuracy=rows["clean"] / rows["test_images"], adversarial_accuracy=rows["right"] / rows["test_images"]
    )
    known = rows["accuracy"] >= LEAST_CHANCES / rows["classes"]
    ratio = (rows["accuracy"] - rows["adversarial_accuracy"]) / rows["accuracy"].where(known)
    return rows.assign(decline_ratio=ratio, autoattack_loss=(rows["pgd"] - rows["right"]) / rows["test_images"])


def nonrobustness(rows: pd.DataFrame, bands: str) -> pd.DataFrame:
    """All that the figures draw, in long form; columns `columns.NONROBUSTNESS`. bands: "t" or "bootstrap", see `intervals`."""
    rows = with_measures(rows)
    pgd, strong = (rows[rows["attack"] == attack] for attack in ("pgd", "autoattack"))
    lines = [
        *_means(pgd[pgd["epsilon"] == 0], "accuracy", bands),
        *_means(pgd, "adversarial_accuracy", bands),
        *_means(pgd[pgd["epsilon"] > 0], "decline_ratio", bands),
        *_means(strong, "adversarial_accuracy", bands, "autoattack_accuracy"),
        *_means(strong, "autoattack_loss", bands),
    ]
    return pd.DataFrame(lines, columns=list(NONROBUSTNESS))


def _means(rows: pd.DataFrame, measure: str, bands: str, quantity: str = "") -> Iterator[dict]:
    """A line for each cell: the mean of a measure over the networks that have it, and its interval."""
    for cell, group in rows.groupby(CELL, sort=True):
        group = group.sort_values("seed")
        values = group[measure].to_numpy(np.float64)
        values = values[np.isfinite(values)]
        named = dict(zip(CELL, cell, strict=True))
        low, high = interval(values, bands, f"{quantity or measure} {named}")
        yield {
            **{"quantity": quantity or measure, **named, "mean": values.mean() if len(values) else np.nan},
            **{"low": low, "high": high, "networks": len(values), "attacked_networks": len(group)},
            "test_images": int(group["test_images"].max()),
        }
