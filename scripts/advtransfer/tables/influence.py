"""What figures 6 to 8 and influence_all show of influence matrices (paper, section 6). No torch here.

Matrices come as `Influence`: rows are queries (the images whose loss is influenced), columns training images, a positive value is
helpful. Tables take them by role, {"robust" or "natural": {"train" or "test" queries: Influence}}: `head` through the last layer,
`all_weights` through all fine-tuned weights; or of several networks, `heads`, {role: [one such pair for each seed]}. Seeds are the unit: every
interval is over them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from advtransfer.artefacts import load_arrays
from advtransfer.errors import InputError
from advtransfer.tables.intervals import interval

# {role: [matrices of one network on both sets of queries, for each seed]}
Heads = Mapping[str, Sequence[Mapping[str, "Influence"]]]

RANKS = 100
# Cells a side of the matrices that figure 7 draws at most: more than the page shows.
CELLS = 400
# Classes that figure 6 has a column for.
COLUMNS = 10
# Shares in percent that section 6 gives for its test images (CIFAR-10, 3,200 images): most influential image of the same
# class, and at least 3 of the 5 most influential.
PAPER_PERCENT = {("robust", "test"): (78.6, 77.3), ("natural", "test"): (55.1, 53.8)}


@dataclass(frozen=True)
class Influence:
    """Influence [q, n] on queries of one set, with labels and image ids of both sides."""

    values: np.ndarray
    query_labels: np.ndarray
    query_ids: np.ndarray
    train_labels: np.ndarray
    train_ids: np.ndarray
    class_names: list[str]
    queries: str  # "train" or "test"
    head: str = ""  # "fine_tuned" or "refitted"; empty through all weights

    def without_self(self) -> np.ndarray:
        """A mask [q, n] of the pairs that are not an image and itself."""
        if self.queries == "test":
            return np.ones(self.values.shape, dtype=bool)
        return self.query_ids[:, None] != self.train_ids[None, :]


def read_influence(path: str | Path) -> dict[str, Influence]:
    """The matrices of an influence artefact: {"train": ..., "test": ...}; not every training image need be a query."""
    arrays, metadata = load_arrays(path)
    ids = {"train": arrays.get("train_query_image_ids", arrays["train_image_ids"]), "test": arrays["test_image_ids"]}
    label_of = {name: dict(zip(arrays[f"{name}_image_ids"], arrays[f"{name}_labels"], strict=True)) for name in ids}
    return {
        queries: Influence(
            arrays[f"influence_{queries}"],
            np.array([label_of[queries][image_id] for image_id in ids[queries]]),
            ids[queries],
            arrays["train_labels"],
            arrays["train_image_ids"],
            metadata["class_names"],
            queries,
            metadata.get("head", ""),
        )
        for queries in ("train", "test")
    }


def ranked(influence: Influence, self_influence: str) -> np.ndarray:
    """Positions [q, r] of the training images in order of falling influence on each query; equal ones keep their order.

    self_influence "excluded" leaves each training image out of its own row, so that r is n - 1 there.
    """
    order = np.argsort(-influence.values, axis=1, kind="stable")
    if influence.queries == "train" and self_influence == "excluded":
        others = np.take_along_axis(influence.without_self(), order, axis=1)
        order = order[others].reshape(len(order), -1)
    return order


def same_class(influence: Influence, self_influence: str, ranks: int = RANKS) -> np.ndarray:
    """Whether the image at each rank has the query's label, [q, ranks] (or fewer where there are fewer images)."""
    order = ranked(influence, self_influence)[:, :ranks]
    return influence.train_labels[order] == influence.query_labels[:, None]


def fig8(heads: Heads, self_influence: str, bands: str) -> pd.DataFrame:
    """Share of same-class images at each influence rank, over all queries, mean over networks. Columns as `columns.SHARES`.

    bands: "t" or "bootstrap", see `intervals`.
    """
    tables = []
    for queries in ("train", "test"):
        for role, pairs in heads.items():
            shares = np.stack([same_class(pair[queries], self_influence).mean(0) for pair in pairs])
            ends = [interval(values, bands, f"fig8 {queries} {role} {rank}") for rank, values in enumerate(shares.T, 1)]
            some = pairs[0][queries]
            tables.append(
                pd.DataFrame(
                    {
                        "queries": queries,
                        "role": role,
                        "rank": np.arange(1, shares.shape[1] + 1),
                        "same_class_share": shares.mean(0),
                        "query_images": len(some.values),
                        "train_images": some.values.shape[1],
                        "chance": np.mean([_chance(pair[queries], self_influence) for pair in pairs]),
                        "low": [low for low, _ in ends],
                        "high": [high for _, high in ends],
                        "networks": len(pairs),
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def _chance(influence: Influence, self_influence: str) -> float:
    return float(_agree(influence)[_counted(influence, self_influence)].mean())


def _agree(influence: Influence) -> np.ndarray:
    """Which pairs [q, n] are of one class."""
    return influence.train_labels[None, :] == influence.query_labels[:, None]


def _counted(influence: Influence, self_influence: str) -> np.ndarray:
    """Which pairs [q, n] count: all, or all but an image and itself."""
    return influence.without_self() if self_influence == "excluded" else np.ones(influence.values.shape, bool)


def fig8_summary(heads: Heads, self_influence: str, bands: str) -> pd.DataFrame:
    """Top-1 and "at least 3 of the top 5", in percent of the queries, beside the paper's (CIFAR-10, ImageNet sources).

    Columns as `columns.SHARES_SUMMARY`. The paper gives none for training images. bands: "t" or "bootstrap", see `intervals`.
    """
    lines = []
    for queries in ("test", "train"):
        for role, pairs in heads.items():
            hits = [same_class(pair[queries], self_influence, 5) for pair in pairs]
            top1 = np.array([100 * part[:, 0].mean() for part in hits])
            three = np.array([100 * (part.sum(1) >= 3).mean() for part in hits])
            paper = PAPER_PERCENT.get((role, queries), (np.nan, np.nan))
            ends = [interval(values, bands, f"fig8 {queries} {role}") for values in (top1, three)]
            lines.append(
                {
                    "queries": queries,
                    "role": role,
                    "top1_percent": top1.mean(),
                    "paper_top1_percent": paper[0],
                    "three_of_top5_percent": three.mean(),
                    "paper_three_of_top5_percent": paper[1],
                    "query_images": len(hits[0]),
                    "self_influence": self_influence if queries == "train" else "",
                    "top1_low": ends[0][0],
                    "top1_high": ends[0][1],
                    "three_of_top5_low": ends[1][0],
                    "three_of_top5_high": ends[1][1],
                    "networks": len(pairs),
                    "head": pairs[0][queries].head,
                }
            )
    return pd.DataFrame(lines).round(2)


def fig7_summary(heads: Heads, self_influence: str, bands: str) -> pd.DataFrame:
    """Mean influence within a class less that between classes, in root mean squares of each matrix; columns `columns.CONTRAST`.

    bands: "t" or "bootstrap", see `intervals`.
    """
    lines = []
    for queries in ("train", "test"):
        of_role = {}
        for role, pairs in heads.items():
            of_role[role] = np.array([_contrast(pair[queries], self_influence) for pair in pairs])
        if {"robust", "natural"} <= set(of_role):
            of_role["robust - natural"] = of_role["robust"] - of_role["natural"]
        for role, values in of_role.items():
            contrast = values[:, 0] - values[:, 1]
            low, high = interval(contrast, bands, f"fig7 {queries} {role}")
            within, between = values.mean(0)
            line = {"queries": queries, "role": role, "within": within, "between": between, "contrast": contrast.mean()}
            own = self_influence if queries == "train" else ""
            lines.append({**line, "low": low, "high": high, "networks": len(values), "self_influence": own})
    return pd.DataFrame(lines)


def _contrast(influence: Influence, self_influence: str) -> tuple[float, float]:
    """Means within a class and between classes, in root mean squares of all that counts; 0 of a matrix of zeros."""
    counted, agree = _counted(influence, self_influence), _agree(influence)
    scale = float(np.sqrt((influence.values[counted] ** 2).mean())) or 1.0
    return tuple(
        float(influence.values[counted & part].mean()) / scale if (counted & part).any() else np.nan
        for part in (agree, ~agree)
    )


def influence_all(
    head: Mapping[str, Mapping[str, Influence]], all_weights: Mapping[str, Mapping[str, Influence]], self_influence: str
) -> pd.DataFrame:
    """`fig8` of the influence through the head and of that through all fine-tuned weights, on the same queries.

    The further column `through` is "head" or "all weights". Queries that only the head's matrices have are left out.
    """
    tables = []
    for through, matrices in (("head", head), ("all weights", all_weights)):
        same = {
            role: {name: _rows(influence, all_weights[role][name].query_ids) for name, influence in pair.items()}
            for role, pair in matrices.items()
        }
        tables.append(fig8({role: [pair] for role, pair in same.items()}, self_influence, "t").assign(through=through))
    return pd.concat(tables, ignore_index=True)


def _rows(influence: Influence, query_ids: np.ndarray) -> Influence:
    rows = np.flatnonzero(np.isin(influence.query_ids, query_ids))
    return replace(
        influence,
        values=influence.values[rows],
        query_labels=influence.query_labels[rows],
        query_ids=influence.query_ids[rows],
    )


def fig7(
    head: Mapping[str, Mapping[str, Influence]], self_influence: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Matrices divided by their Frobenius norm, both axes sorted by class, averaged down to at most CELLS a side.

    Arrays {role}_{queries} float32; metadata: edges {"train", "test"} (where each class ends, as shares of the side), class_names,
    sizes {"train", "test"}. An image's influence on itself counts as 0 where self_influence is "excluded".
    """
    arrays, edges, sizes, names = {}, {}, {}, []
    for role, pair in head.items():
        for queries, influence in pair.items():
            values = influence.values
            if self_influence == "excluded":
                values = np.where(influence.without_self(), values, 0.0)
            norm = np.linalg.norm(values)
            if norm > 0:
                values = values / norm
            rows = np.argsort(influence.query_labels, kind="stable")
            columns = np.argsort(influence.train_labels, kind="stable")
            arrays[f"{role}_{queries}"] = _averaged(values[rows][:, columns]).astype(np.float32)
            counts = np.bincount(influence.query_labels, minlength=len(influence.class_names))
            edges[queries], sizes[queries] = (np.cumsum(counts) / counts.sum()).tolist(), len(values)
            names = influence.class_names
    return arrays, {"edges": edges, "sizes": sizes, "class_names": names, "self_influence": self_influence}


def _averaged(values: np.ndarray) -> np.ndarray:
    """Means over equal stripes of rows and of columns (to within one row), at most CELLS of each."""
    for axis in (0, 1):
        count = values.shape[axis]
        if count > CELLS:
            starts = np.linspace(0, count, CELLS, endpoint=False).astype(int)
            sizes = np.diff([*starts, count])
            values = np.add.reduceat(values, starts, axis=axis) / np.expand_dims(sizes, 1 - axis)
    return values


def fig6(
    head: Mapping[str, Mapping[str, Influence]], images: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """For a test image of each class (the first ten classes, their first image), the most influential training image per role.

    images: train_images and test_images of the target [n, c, h, w]. Array images [1 + roles, classes, c, h, w]; metadata: rows (what each
    row is), labels and image_ids and influence, all [1 + roles, classes], class_names.
    """
    some = next(iter(head.values()))["test"]
    classes = [label for label in range(len(some.class_names)) if (some.query_labels == label).any()][:COLUMNS]
    if not classes:
        raise InputError("figures/fig6.pdf: no test image was looked at. Raise 'test_images'.")
    chosen = [int(np.flatnonzero(some.query_labels == label)[0]) for label in classes]
    ids = some.query_ids[chosen]
    picture = [images["test_images"][ids]]
    facts = {"labels": [classes], "image_ids": [ids.tolist()], "influence": [[None] * len(classes)]}
    for pair in head.values():
        influence = pair["test"]
        best = influence.values[chosen].argmax(1)
        best_ids = influence.train_ids[best]
        picture.append(images["train_images"][best_ids])
        facts["labels"].append(influence.train_labels[best].tolist())
        facts["image_ids"].append(best_ids.tolist())
        facts["influence"].append(influence.values[chosen, best].tolist())
    return {"images": np.stack(picture)}, {"rows": ["test image", *head], "class_names": some.class_names, **facts}
