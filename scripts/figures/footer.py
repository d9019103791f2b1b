"""What a figure says under its panels: the experiment, how many models, what the bands are, and what is missing."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd


def name_of(experiment: dict[str, Any], name: str) -> str:
    """The words that a figure shows for a source or target."""
    return experiment["labels"].get(name, name)


def x_of(table: pd.DataFrame, x: str) -> pd.Series:
    """The x values of a table's lines: `images` or, in fig3, the epoch."""
    return table["images"] if x == "images" else table["epochs"].astype(int)


def present(table: pd.DataFrame, names: Iterable[str], column: str = "target") -> list[str]:
    """Those of the names that a table's column has, in the given order."""
    return [name for name in names if (table[column] == name).any()]


def off_protocol(table: pd.DataFrame) -> pd.Series:
    """Which lines of a table are of models that had other epochs than the protocol's [rows of table]; figures draw them faint."""
    if "planned_epochs" not in table:
        return pd.Series(False, index=table.index)
    other = table["run_epochs"] != table["planned_epochs"].astype(str)
    return ((table["models"] > 0) & other).astype(bool)


def footer(table: pd.DataFrame, experiment: dict[str, Any], x: str = "images") -> str:
    """What every figure says of itself: experiment, protocol, models, bands, what is missing, unequal training."""
    drawn = table[table["quantity"].isin(["accuracy", "delta"])]
    models: dict[tuple, int] = {}
    for line in drawn.itertuples(index=False):
        sides = [(line.source, line.blocks)]
        if line.quantity == "delta":
            sides.append((line.minus_source, line.minus_blocks))
        for side in sides:
            cell = (*side, line.target, line.images)
            models[cell] = max(models.get(cell, 0), line.models)
    counts = sorted(drawn["models"].unique())
    per_point = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    at = ""
    if x == "epoch":
        at = f" at {' and '.join(f'{images:,}' for images in sorted(drawn['images'].unique()))} training images"
    faint = describe_faint(drawn)
    lines = [
        f"Experiment: {experiment['name']}; protocol: {experiment['protocol']}{' except where faint' if faint else ''}; "
        f"{sum(models.values()):,} models{at}, {per_point} per point. {describe_intervals(table, experiment, counts, x)}"
    ]
    if faint:
        lines.append(faint)
    if (table["quantity"] == "printed").any():
        lines.append(
            "Hollow: the means that the paper prints in its Table 5, of its own ImageNet sources and protocol."
        )
    if any(selection["epoch"] == "best" for selection in experiment["figures"].values()):
        lines.append("Each model counts with its best evaluated epoch on the test set, which flatters all of them.")
    missing = describe_missing(table, experiment, x)
    if missing:
        lines.append(f"Missing: {'; '.join(missing)}.")
    few = describe_few(table, experiment, x)
    if few:
        lines.append(f"Fewer models than planned: {'; '.join(few)}.")
    if x == "images":
        mixed = describe_epochs(drawn, experiment)
        if mixed:
            lines.append(f"Models compared after different numbers of epochs: {'; '.join(mixed)}.")
    return "\n".join(lines)


def describe_faint(drawn: pd.DataFrame) -> str:
    """The sentence on lines whose models had other epochs than the protocol's; empty where there are none."""
    off = drawn[off_protocol(drawn)]
    if off.empty:
        return ""
    phrases = []
    for planned, group in off.groupby("planned_epochs"):
        ended = sorted({int(epoch) for text in group["run_epochs"] for epoch in text.split()} - {planned})
        epochs = _either(ended) if len(ended) <= 3 else f"{ended[0]} to {ended[-1]}"
        sizes, others = set(group["images"]), set(drawn["images"]) - set(off["images"])
        where = _places(sorted(sizes), "images")
        if len(sizes) > 3 and (not others or max(others) < min(sizes)) and off["planned_epochs"].nunique() == 1:
            where = f"{min(sizes):,} images and more"
        phrases.append(f"{epochs} in place of {planned} (at {where})")
    return f"Faint: runs that ended after other epochs than the protocol's: {'; '.join(phrases)}."


def points_only(table: pd.DataFrame, experiment: dict[str, Any], x: str) -> bool:
    """Whether every line of a table is a single point: each target has one x; along epsilons or resolutions none is."""
    drawn = table[table["quantity"].isin(["accuracy", "delta"])]
    ladder = any(selection["x"] in ("epsilon", "resolution") for selection in experiment["figures"].values())
    return not ladder and x_of(drawn, x).groupby(drawn["target"]).nunique().max() == 1


def describe_intervals(table: pd.DataFrame, experiment: dict[str, Any], counts: Sequence[int], x: str) -> str:
    """What lines, bands and dots are; bands only where there are any."""
    lines, bands = ("Points, side by side", "bars") if points_only(table, experiment, x) else ("Lines", "bands")
    words = f"{lines}: means over seeds."
    if counts[-1] > 1:
        kind = {"t": "Student's t", "bootstrap": "percentile bootstrap"}[experiment["bands"]]
        words = (
            f"{lines}: means over seeds; {bands}: their 95% intervals ({kind}), point by point, over seeds; they do not cover another draw of "
            "the source networks."
        )
    if counts[0] == 1 and counts[-1] > 1:
        words += " A single model has none."
    if table["quantity"].isin(["model", "pair"]).any():
        words += " Small marks: single models."
    return words


def describe_missing(table: pd.DataFrame, experiment: dict[str, Any], x: str) -> list[str]:
    """Phrases for the cells without any model, the widest first: block counts, sources, targets, single points."""
    keys = ["source", "blocks", "target", "x"]
    cells = table[(table["minus_source"] == "") & ~table["quantity"].isin(["delta", "printed"])].copy()
    cells["x"] = x_of(cells, x)
    gone = cells[(cells["quantity"] == "missing") & (cells["models"] == 0)]
    drawn = table[~table["quantity"].isin(["missing", "printed"])]
    have = {(row.source, row.blocks, row.target, row.x) for row in cells[cells["models"] > 0].itertuples(index=False)}
    for row in drawn.assign(x=x_of(drawn, x)).itertuples(index=False):
        have.add((row.source, row.blocks, row.target, row.x))
        if row.quantity == "delta":
            have.add((row.minus_source, row.minus_blocks, row.target, row.x))
    lost = [tuple(row) for row in gone[keys].itertuples(index=False)]
    several_blocks = len({cell[1] for cell in [*have, *lost]}) > 1
    phrases = []

    def wholly_lost(*places: int) -> set[tuple]:
        kept = {tuple(cell[place] for place in places) for cell in have}
        return {tuple(cell[place] for place in places) for cell in lost} - kept

    def source(name: str) -> str:
        return name_of(experiment, name)

    def targets(names: Iterable[str]) -> str:
        names = set(names)
        if names >= set(experiment["targets"]) and len(names) > 1:
            return "all targets"
        return ", ".join(name_of(experiment, target) for target in experiment["targets"] if target in names)

    sources = list(experiment["sources"].values())
    sources += [rung["source"] for rung in experiment.get("epsilon", {"sources": []})["sources"]]
    for (blocks,) in sorted(wholly_lost(1)):
        phrases.append(f"{blocks_in_words(blocks)} ({targets(cell[2] for cell in lost if cell[1] == blocks)})")
        lost = [cell for cell in lost if cell[1] != blocks]
    for (name,) in sorted(wholly_lost(0), key=lambda key: sources.index(key[0])):
        phrases.append(f"{source(name)} ({targets(cell[2] for cell in lost if cell[0] == name)})")
        lost = [cell for cell in lost if cell[0] != name]
    by_source: dict[str, set[str]] = {}
    for name, target in wholly_lost(0, 2):
        by_source.setdefault(name, set()).add(target)
    for name in sorted(by_source, key=sources.index):
        phrases.append(f"{source(name)} on {targets(by_source[name])}")
        lost = [cell for cell in lost if not (cell[0] == name and cell[2] in by_source[name])]
    # Single points: what is lost alike for several sources and block counts is said once.
    points: dict[tuple, list[tuple[str, int]]] = {}
    by_place: dict[tuple[str, int], set] = {}
    for name, blocks, target, at in lost:
        by_place.setdefault((target, at), set()).add((name, blocks))
    for (target, at), lines in by_place.items():
        points.setdefault((target, tuple(sorted(lines))), []).append(at)
    drawn_lines = {(cell[0], cell[1]) for cell in have}
    alike: dict[tuple, list[str]] = {}
    for (target, lines), places in points.items():
        alike.setdefault((lines, tuple(sorted(places))), []).append(target)
    for (lines, places), names in alike.items():
        who = ""
        if not set(lines) >= drawn_lines:
            who = ", ".join(
                dict.fromkeys(
                    source(name) + (f" with {blocks_in_words(blocks)}" if several_blocks else "")
                    for name, blocks in lines
                )
            )
            who += " on "
        phrases.append(f"{who}{targets(names)} at {_places(places, x)}")
    return phrases


def describe_few(table: pd.DataFrame, experiment: dict[str, Any], x: str) -> list[str]:
    """Phrases for the cells with some models, fewer than planned, and for differences whose seeds do not match."""
    short = table[(table["quantity"] == "missing") & (table["models"] > 0) & (table["minus_source"] == "")]
    phrases = []
    for target in present(short, experiment["targets"]):
        mine = short[short["target"] == target].drop_duplicates(["images", "models", "models_expected"])
        mine = mine.sort_values(["images", "models"])
        counts = [f"{line.images:,} images ({line.models} of {line.models_expected})" for line in mine.itertuples()]
        phrases.append(f"{name_of(experiment, target)} at {', '.join(counts)}")
    unpaired = table[(table["quantity"] == "missing") & (table["minus_source"] != "")]
    for target in present(unpaired, experiment["targets"]):
        mine = unpaired[unpaired["target"] == target].sort_values("images").drop_duplicates(["images", "models"])
        counts = [f"{line.images:,} images ({line.models} of {line.models_expected})" for line in mine.itertuples()]
        phrases.append(f"seeds paired on {name_of(experiment, target)} at {', '.join(counts)}")
    return phrases


def describe_epochs(drawn: pd.DataFrame, experiment: dict[str, Any]) -> list[str]:
    """Phrases for the targets and sizes whose models had not all the same last epoch."""
    phrases = []
    for target in present(drawn, experiment["targets"]):
        mine = drawn[drawn["target"] == target]
        by_epochs: dict[tuple[int, ...], list[int]] = {}
        for images, group in mine.groupby("images"):
            epochs = tuple(sorted({int(epoch) for text in group["epochs"] for epoch in text.split()}))
            if len(epochs) > 1:
                by_epochs.setdefault(epochs, []).append(images)
        parts = [f"{_places(sizes, 'images')} ({_either(epochs)} epochs)" for epochs, sizes in by_epochs.items()]
        if parts:
            phrases.append(f"{name_of(experiment, target)} at {', '.join(parts)}")
    return phrases


def blocks_in_words(blocks: int) -> str:
    """A number of trained blocks."""
    return "1 block" if blocks == 1 else f"{blocks} blocks"


def _either(values: Sequence[int]) -> str:
    return " or ".join(filter(None, [", ".join(map(str, values[:-1])), str(values[-1])]))


def _places(values: Sequence[int], x: str) -> str:
    values = sorted(values)
    numbers = ", ".join(f"{value:,}" for value in values)
    if x == "images":
        return f"{numbers} images"
    return f"epoch{'s' if len(values) > 1 else ''} {numbers}"
