"""What figure robustness_bound draws of attacked networks, and its summary (Nern et al. 2022; docs/robustness_bound.md). No torch here.

Rows are one attacked image each, `columns.BOUND_ROWS`. Seeds are the unit: every mean is taken over the images of a network first, every
interval over networks.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from advtransfer.artefacts import load_table
from advtransfer.config.columns import BOUND, BOUND_ROWS, BOUND_SUMMARY
from advtransfer.errors import InputError
from advtransfer.tables.correlation import rank_correlation
from advtransfer.tables.intervals import interval

CELL = ["target", "source", "blocks", "images", "norm", "epsilon"]
# Bins of the histogram, and the share of the images at either end that its outermost bins take together.
BINS, TAIL = 40, 0.005
# The quantities of `columns.BOUND` that are a network's means: of linear probes, and of what is compared with them.
OF_PROBES = ("loss_gap", "bound", "accuracy", "accuracy_met", "robust_accuracy", "relative_sensitivity")
COMPARED = ("beyond_pretrained",)
COUNTS = ["attacked_images", "violations", "contradictions", "beyond_pretrained"]


def read_rows(files: Iterable[str | Path]) -> pd.DataFrame:
    """The rows of all files, one after another.

    Raises InputError where a file is missing, damaged or of another kind; and where an attacked image contradicts the theorems, which the
    computation alone can have caused.
    """
    parts = []
    for file in files:
        part = load_table(file).to_pandas()
        if list(part.columns) != list(BOUND_ROWS):
            raise InputError(f"{file}: no rows of attacked networks. Remove the file and make it again.")
        refuse_contradiction(part, file)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def refuse_contradiction(rows: pd.DataFrame, file: str | Path) -> None:
    """Raise InputError that names the first image whose loss exceeds its bound, or that met the criterion and was flipped."""
    for wrong, words in (
        (rows["violated"], "its loss moved further than the bound allows"),
        (rows["met"] & rows["flipped"], "it met the criterion and got another class all the same"),
    ):
        if wrong.any():
            row = rows[wrong].iloc[0]
            raise InputError(
                f"{file}: {wrong.sum()} attacked image(s) contradict the theorems, first test image {row['image_id']}, seed {row['seed']}, "
                f"epsilon {row['epsilon']:.4g}: {words}. The computation is wrong, or the file; report it, and make no use of these rows."
            )


def with_pretrained(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with what the representation of the linear probe allows: columns bound, pretrained_bound (nats) and beyond_pretrained.

    pretrained_bound takes the sensitivity estimate of the same image, seed and epsilon with 0 blocks; NaN where it was not attacked.
    """
    keys = ["target", "source", "images", "seed", "norm", "epsilon", "image_id"]
    probes = rows.loc[rows["blocks"] == 0, [*keys, "sensitivity_estimate"]]
    joined = rows.merge(probes, "left", on=keys, suffixes=("", "_pretrained"), validate="many_to_one")
    joined["loss_gap"] = joined["loss_adv"] - joined["loss"]
    joined["bound"] = joined["weight_distance"] * joined["sensitivity_estimate"]
    joined["pretrained_bound"] = joined["weight_distance"] * joined["sensitivity_estimate_pretrained"]
    # A probe is bound by its own: the same numbers, which rounding is not to tell apart.
    joined["beyond_pretrained"] = (joined["blocks"] > 0) & (joined["loss_gap"] > joined["pretrained_bound"])
    return joined


def networks(rows: pd.DataFrame) -> pd.DataFrame:
    """Counts (COUNTS) and means over the images of each network and epsilon (CELL and seed)."""
    rows = with_pretrained(rows)
    right = rows["prediction"] == rows["label"]
    rows = rows.assign(
        accuracy=right,
        accuracy_met=right & rows["met"],
        accuracy_met_representation=right & (rows["sensitivity_representation"] < rows["boundary_distance"]),
        robust_accuracy=right & ~rows["flipped"],
        attacked_images=1,
        violations=rows["violated"],
        contradictions=rows["met"] & rows["flipped"],
    )
    means = ["accuracy", "accuracy_met", "accuracy_met_representation", "robust_accuracy", "loss", "loss_gap", "bound"]
    means += ["pretrained_bound", "sensitivity_estimate", "weight_distance", "feature_norm"]
    groups = rows.groupby([*CELL, "seed"], sort=True)
    made = pd.concat([groups[COUNTS].sum(), groups[means].mean()], axis=1)
    made["relative_sensitivity"] = made["sensitivity_estimate"] / made["feature_norm"]
    return made.reset_index()


def robustness_bound_summary(rows: pd.DataFrame, bands: str) -> pd.DataFrame:
    """A line for each cell and epsilon, means over its networks, counts over all of their images; columns `columns.BOUND_SUMMARY`.

    bands: not used, a mean has no band.
    """
    made = networks(rows)
    groups = made.groupby(CELL, sort=True)
    means = [column for column in BOUND_SUMMARY if column not in (*CELL, *COUNTS, "networks")]
    table = pd.concat([groups[COUNTS].sum(), groups[means].mean(), groups.size().rename("networks")], axis=1)
    return table.reset_index()[list(BOUND_SUMMARY)]


def robustness_bound(rows: pd.DataFrame, bands: str) -> pd.DataFrame:
    """All that the figure draws, in long form; columns `columns.BOUND`. bands: "t" or "bootstrap", see `intervals`."""
    made = networks(rows)
    probes = rows[rows["blocks"] == 0]
    lines = [*_means(made, bands), *_histogram(probes), *_correlations(made[made["blocks"] == 0])]
    return pd.DataFrame(lines, columns=list(BOUND))


def _means(made: pd.DataFrame, bands: str) -> Iterator[dict]:
    made = made.assign(beyond_pretrained=made["beyond_pretrained"] / made["attacked_images"])
    compared = set(made.loc[made["blocks"] > 0, "source"])
    for (target, source, blocks, _, _, epsilon), group in made.groupby(CELL, sort=True):
        group = group.sort_values("seed")
        for quantity in (*(OF_PROBES if blocks == 0 else ()), *(COMPARED if source in compared else ())):
            values = group[quantity].to_numpy(np.float64)
            cell = {"target": target, "source": source, "blocks": blocks, "epsilon": epsilon}
            low, high = interval(values, bands, f"{quantity} {cell}")
            yield {
                **{"quantity": quantity, **cell, "value": values.mean(), "low": low, "high": high},
                "networks": len(values),
            }


def _histogram(probes: pd.DataFrame) -> Iterator[dict]:
    """Of the linear probes at each epsilon: boundary_distance - sensitivity_estimate, in mean norms of the source's features.

    Features of different sources have different scales. Bins are equally wide and share an edge at 0; the outermost take the tails.
    """
    scale = probes.groupby(["target", "source"])["feature_norm"].transform("mean")
    for epsilon, group in probes.groupby("epsilon", sort=True):
        slack = ((group["boundary_distance"] - group["sensitivity_estimate"]) / scale[group.index]).to_numpy()
        finite = slack[np.isfinite(slack)]
        low, high = np.quantile(finite, [TAIL, 1 - TAIL]) if len(finite) else (0.0, 0.0)
        low, high = min(low, 0.0), max(high, 0.0)
        width = (high - low) / BINS or 1.0
        first, last = min(math.floor(low / width), -1), max(math.ceil(high / width), 1)
        places = np.floor(np.clip(slack / width, first, last))
        bins = np.minimum(places, last - 1).astype(int)
        for quantity, part in (("flipped", group["flipped"].to_numpy()), ("stands", ~group["flipped"].to_numpy())):
            for place in range(first, last):
                yield {
                    **{"quantity": quantity, "epsilon": epsilon, "value": (bins[part] == place).sum() / len(slack)},
                    **{"left": place * width, "right": (place + 1) * width, "points": len(slack)},
                }


def _correlations(made: pd.DataFrame) -> Iterator[dict]:
    """Of the linear probes of each target, across sources: relative sensitivity and robust accuracy, both means over seeds."""
    points = made.groupby(["target", "epsilon", "source"])[["relative_sensitivity", "robust_accuracy"]].mean()
    for (target, epsilon), group in points.groupby(["target", "epsilon"], sort=True):
        found = rank_correlation(group["relative_sensitivity"].to_numpy(), group["robust_accuracy"].to_numpy())
        for quantity, value in (("rank_correlation", found.value), ("permutation_p", found.p)):
            yield {
                **{"quantity": quantity, "target": target, "epsilon": epsilon, "value": value},
                "points": found.points,
            }
