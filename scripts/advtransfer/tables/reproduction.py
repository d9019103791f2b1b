"""An experiment's accuracies beside those that the paper prints in its Table 5, cell by cell. No torch here.

A cell is a target, a number of images and a source in one of the paper's roles, whatever the experiment's protocol and whichever network
has the role: figures and notes name both where they are not the paper's.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from advtransfer.config.columns import REPRODUCTION
from advtransfer.errors import InputError
from advtransfer.tables.accuracy import Accuracies
from advtransfer.tables.intervals import LEVEL, interval
from advtransfer.tables.printed import BLOCKS, KEYS, PRINTED, SOURCE_OF_ROLE, printed_by_role


def reproduction(
    rows: pd.DataFrame, experiment: dict[str, Any], figure: str = "reproduction", printed: str | Path = PRINTED
) -> pd.DataFrame:
    """The cells of Table 5 that the experiment has models of, ours and the printed mean: columns `columns.REPRODUCTION`.

    Mean last-epoch test accuracy with 3 trained blocks over seeds, its 95% interval (`intervals`), and whether that holds the printed
    value, which is rounded to 0.01 percent: an interval that ends within that rounding holds it. Cells in the experiment's order.
    printed: file of the printed values.

    Raises InputError where none of the experiment's cells is one of Table 5, or none of these has a model.
    """
    theirs = printed_by_role(experiment, figure, printed).set_index(KEYS)["printed_percent"]
    if theirs.empty:
        raise InputError(
            f"experiment '{experiment['name']}', {figure}: no cell of the paper's Table 5. Give it one of the paper's targets, at one of "
            f"its numbers of images, with {BLOCKS} trained blocks."
        )
    found = Accuracies(rows, experiment, figure)
    roles = {source: SOURCE_OF_ROLE[role] for role, source in experiment["sources"].items()}
    lines = []
    for cell in found.grid:
        models = found.models.get((cell.source, cell.target, cell.blocks, cell.images, None))
        published = theirs.get((cell.target, cell.images, roles.get(cell.source)), math.nan)
        if models is None or cell.blocks != BLOCKS or math.isnan(published):
            continue
        values = 100 * models["test_accuracy"].to_numpy()
        low, high = interval(values, experiment["bands"], repr([cell.source, cell.target, cell.images]))
        lines.append(
            {
                "target": cell.target,
                "images": cell.images,
                "source": cell.source,
                "published_source": roles[cell.source],
                "accuracy_percent": values.mean(),
                "low_percent": low,
                "high_percent": high,
                "models": len(values),
                "published_percent": published,
                "difference_points": values.mean() - published,
                "holds": pd.NA if math.isnan(low) else int(low - ROUNDING <= published <= high + ROUNDING),
                "expected": expected_share(len(values)),
                "run_epochs": " ".join(map(str, sorted(set(models["run_epochs"])))),
                "planned_epochs": experiment["epochs"][str(cell.images)],
            }
        )
    if not lines:
        raise InputError(
            f"experiment '{experiment['name']}', {figure}: none of its {len(theirs)} cells of Table 5 has a model. Fine-tune them first."
        )
    return pd.DataFrame(lines, columns=list(REPRODUCTION)).astype({"holds": "Int64", "planned_epochs": "Int64"})


# Half of the last printed digit, percent.
ROUNDING = 0.005


def expected_share(models: int) -> float:
    """The chance that the t interval of a mean of so many models holds the mean of as many others of the same normal distribution.

    The two means differ by a standard deviation sqrt(2) times that of one of them, so that the interval, made for a fixed value, holds the
    other mean less often than the 95% that it says: P(|t| < quantile / sqrt(2)) with models - 1 degrees of freedom. 0.85 at 20 models, 0.88 at
    5; NaN for one.
    """
    from scipy.special import stdtr, stdtrit

    if models < 2:
        return math.nan
    return float(2 * stdtr(models - 1, stdtrit(models - 1, (1 + LEVEL) / 2) / math.sqrt(2)) - 1)


def summary(table: pd.DataFrame) -> dict[str, Any]:
    """What a table of `reproduction` comes to.

    {"cells", "tested" (with an interval), "holding" (whose interval holds the printed value), "expected" (the mean chance of that, of
    two equal experiments, NaN of none tested), "mean" and "largest" (of the absolute differences, points), "off" (cells whose models
    had other epochs than the protocol's)}.
    """
    tested = table[table["holds"].notna()]
    absolute = table["difference_points"].abs()
    return {
        "cells": len(table),
        "tested": len(tested),
        "holding": int(tested["holds"].sum()),
        "expected": float(tested["expected"].mean()) if len(tested) else math.nan,
        "mean": float(absolute.mean()),
        "largest": float(absolute.max()),
        "off": int((table["run_epochs"].astype(str) != table["planned_epochs"].astype(str)).sum()),
    }


def sentence(found: Mapping[str, Any]) -> str:
    """`summary` in words."""
    share = "no cell has more than one model, so none has an interval"
    if found["tested"]:
        share = (
            f"the interval holds the printed value in {found['holding']} of {found['tested']} cells "
            f"({found['holding'] / found['tested']:.0%}; of two runs of one experiment, with equally many models in both, "
            f"{found['expected']:.0%} would be expected)"
        )
    return (
        f"{found['cells']} cell{'' if found['cells'] == 1 else 's'} of Table 5: {share}; the absolute difference is "
        f"{found['mean']:.2f} points on average, {found['largest']:.2f} at most."
    )
