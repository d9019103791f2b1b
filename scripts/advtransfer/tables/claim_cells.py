"""The cells of a claim, out of the evidence that it names; `tables.claims` says what each statistic is. No torch here."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from advtransfer.config.claims import FIGURES, SOURCES, as_list
from advtransfer.config.grid import cells
from advtransfer.errors import InputError
from advtransfer.tables.accuracy import RUN, best_rows, last_rows, require_unique
from advtransfer.tables.conditions import Condition
from advtransfer.tables.correlation import rank_correlation
from advtransfer.tables.printed import BLOCKS, SOURCE_OF_ROLE

# Points that a slope or a rank correlation needs.
FEWEST_SIZES = 3


@dataclass(frozen=True)
class Measured:
    """A cell: where, its value and whether it meets the condition, the same by seed, and its p, NaN where it has no test."""

    place: tuple
    value: float
    met: bool
    by_seed: pd.Series | None = None
    p: float = math.nan


@dataclass
class Found:
    """The cells of a claim, and in words what is missing."""

    cells: list[Measured] = field(default_factory=list)
    missing: str = ""


@dataclass
class Skipped:
    """Cells that a claim speaks of and that cannot be used: without models, and of runs of other epochs; and the odd ones that are used."""

    absent: int = 0
    odd: int = 0
    used: int = 0

    def words(self, total: int) -> str:
        """What is missing of so many cells; empty where nothing is."""
        parts = []
        if self.absent:
            parts.append(f"{self.absent} of {total} cells have no models, or too few")
        if self.odd:
            parts.append(
                f"{self.odd} of {total} cells are left out: their runs ended after other epochs than the protocol's"
            )
        if self.used:
            parts.append(f"{self.used} of {total} cells are of runs that ended after other epochs than the protocol's")
        return "; ".join(parts)


class Evidence:
    """What claims are tested on: an experiment's rows, the paper's printed means, and tables."""

    def __init__(
        self,
        experiment: Mapping[str, Any],
        rows: pd.DataFrame | None,
        printed: pd.DataFrame,
        tables: Mapping[str, pd.DataFrame],
        lacking: Mapping[str, str],
    ) -> None:
        """rows: of fine-tuned models, None without any. printed: resources/published/table5.csv. tables: {a name that claims use: the
        table}; lacking: {name: why the experiment has not that table}.
        """
        self.experiment, self.lacking = experiment, lacking
        self.roles = {source: role for role, source in experiment["sources"].items()}
        self.tables = {
            name: table.assign(role=table["source"].map(self.roles)) if "source" in table else table
            for name, table in tables.items()
        }
        self.planned = {
            (self.roles[cell.source], cell.target, cell.blocks, cell.images)
            for figure in FIGURES
            if figure in experiment["figures"]
            for cell in cells(experiment, figure)
        }
        theirs = {source: role for role, source in SOURCE_OF_ROLE.items()}
        self.printed = printed.assign(role=printed["source"].map(theirs))
        self.rows = None if rows is None else self._mine(rows)
        self._models: dict[Any, dict[tuple, pd.DataFrame]] = {}

    def _mine(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of the experiment's models, with role, accuracy in percent, and whether the run has the protocol's epochs."""
        rows = rows[(rows["protocol"] == self.experiment["protocol"]) & rows["source"].isin(list(self.roles))]
        grid = pd.DataFrame(sorted(self.planned), columns=["role", "target", "blocks", "images"])
        rows = rows.assign(role=rows["source"].map(self.roles)).merge(grid, on=list(grid))
        require_unique(rows)
        epochs = rows["images"].astype(str).map(self.experiment["epochs"])
        return rows.assign(as_planned=rows.groupby(RUN)["epoch"].transform("max") == epochs)

    def models(self, epoch: int | str) -> dict[tuple, pd.DataFrame]:
        """{(role, target, blocks, images): columns percent and as_planned by seed} after an epoch, or each run's "last" or "best" one."""
        if epoch not in self._models:
            if epoch == "last":
                chosen = last_rows(self.rows)
            elif epoch == "best":
                chosen = best_rows(self.rows)
            else:
                chosen = self.rows[self.rows["epoch"] == epoch]
            chosen = chosen.assign(percent=100 * chosen["test_accuracy"]).sort_values("seed")
            groups = chosen.groupby(["role", "target", "blocks", "images"])
            self._models[epoch] = {key: group.set_index("seed")[["percent", "as_planned"]] for key, group in groups}
        return self._models[epoch]

    def sizes(self, claim: Mapping[str, Any]) -> dict[str, list[int]]:
        """{target: numbers of images} that a claim speaks of."""
        if claim.get("evidence") == "printed":
            have = self.printed.groupby("target", sort=False)["images"].unique().map(sorted).to_dict()
        else:
            have = {
                target: [images for images, _ in self.experiment["sizes"][target]]
                for target in self.experiment["targets"]
            }
        images = claim.get("images", {})
        return {
            target: [
                size
                for size in sizes
                if images.get("from", 1) <= size <= images.get("to", math.inf)
                and ("only" not in images or size in images["only"])
            ]
            for target, sizes in have.items()
            if target in claim.get("targets", have)
        }


def source_accuracies(published: Mapping[str, float | None]) -> pd.DataFrame:
    """The table `config.claims.SOURCES` out of {role: published accuracy, percent, or None}.

    Columns role, accuracy_percent, and how far it is above the best and above the worst of the other sources (points).
    """
    known = {role: value for role, value in published.items() if value is not None}
    lines = []
    for role, value in known.items():
        others = [other for name, other in known.items() if name != role]
        if others:
            lines.append([role, value, round(value - max(others), 6), round(value - min(others), 6)])
    return pd.DataFrame(lines, columns=["role", "accuracy_percent", "above_best_rival", "above_worst_rival"])


def cells_of(claim: Mapping[str, Any], evidence: Evidence) -> Found:
    """The cells of a claim, or none and the reason."""
    reason = _unsuited(claim, evidence)
    if reason:
        return Found(missing=reason)
    found = {
        "difference": _difference,
        "trend": _across_sizes,
        "rank_correlation": _across_sizes,
        "best": _best,
        "agreement": _agreement,
        "count": _count,
        "schedule": _schedule,
        "table": _table,
    }[claim["statistic"]](claim, evidence)
    if not found.cells and not found.missing:
        found.missing = _not_in(claim, evidence)
    if found.cells and "note" in claim:
        found.missing = "; ".join(filter(None, [found.missing, claim["note"]]))
    return found


def _unsuited(claim: Mapping[str, Any], evidence: Evidence) -> str:
    """Why an experiment cannot speak to a claim at all; empty where it may."""
    if claim["statistic"] == "none":
        return claim["missing"]
    experiment, kind = evidence.experiment, claim.get("evidence", "rows")
    if claim.get("protocol", experiment["protocol"]) != experiment["protocol"]:
        return f"speaks of protocol '{claim['protocol']}', the experiment has '{experiment['protocol']}'"
    # What the authors printed, ran and planned is audited by their own rows only.
    theirs = kind == "printed" or claim["statistic"] in ("agreement", "count", "schedule")
    if theirs and experiment["rows"] is None:
        return "speaks of the authors' own runs and tables: choose experiment 'published'"
    if kind in evidence.lacking:
        return f"needs {kind}: the experiment {evidence.lacking[kind]}"
    if kind == "rows" and evidence.rows is None and "planned" not in claim:
        return "the experiment has no models of the paper's figures"
    return ""


def _not_in(claim: Mapping[str, Any], evidence: Evidence) -> str:
    """Why none of a claim's cells is one of the experiment's."""
    sides = [side for key in ("plus", "minus", "rivals") for side in as_list(claim.get(key, []))]
    lost = sorted({side["role"] for side in sides} - set(evidence.experiment["sources"]))
    if lost:
        return f"the experiment has no source in the role {' or '.join(lost)}"
    sizes = evidence.sizes(claim)
    if not sizes:
        return f"the experiment has none of the targets {', '.join(claim['targets'])}"
    if not any(sizes.values()):
        return "the experiment has none of its numbers of images"
    return "the experiment has no cells with all that is compared"


def _places(claim: Mapping[str, Any], evidence: Evidence) -> Iterator[tuple[str, int, int | None]]:
    """(target, images, epoch or None) of a claim's cells."""
    for target, sizes in evidence.sizes(claim).items():
        yield from itertools.product([target], sizes, claim.get("epochs", [None]))


def _side(
    evidence: Evidence, claim: Mapping[str, Any], side: Mapping[str, Any], place: tuple
) -> pd.DataFrame | float | None:
    """A side's models at a place (columns percent, as_planned by seed), or its printed mean; None where nothing of it is planned."""
    target, images, epoch = place
    at = images * side.get("images_times", 1)
    if claim["evidence"] == "printed":
        lines = evidence.printed
        mine = lines[(lines["role"] == side["role"]) & (lines["target"] == target) & (lines["images"] == at)]
        return float(mine["printed_percent"].iloc[0]) if len(mine) else None
    key = (side["role"], target, side.get("blocks", BLOCKS), int(at))
    if at != int(at) or key not in evidence.planned:
        return None
    return evidence.models(side.get("epoch", epoch or "last")).get(key, pd.DataFrame(columns=["percent", "as_planned"]))


def _combined(
    evidence: Evidence, claim: Mapping[str, Any], plus: Any, minus: Any, place: tuple, skipped: Skipped
) -> pd.Series | float | None:
    """Sum of the sides `plus` less that of `minus` by seed, for the seeds that all have (or of printed means); None where there is none."""
    signs = [*((1, side) for side in as_list(plus)), *((-1, side) for side in as_list(minus))]
    parts = [(sign, _side(evidence, claim, side, place)) for sign, side in signs]
    if any(part is None for _, part in parts):
        return None
    if claim["evidence"] == "printed":
        # What is printed has two decimals.
        return round(float(sum(sign * part for sign, part in parts)), 6)
    seeds = sorted(set.intersection(*(set(part.index) for _, part in parts)))
    planned = [seed for seed in seeds if all(part["as_planned"][seed] for _, part in parts)]
    if not seeds:
        skipped.absent += 1
    elif claim.get("runs") == "any":
        skipped.used += len(planned) < len(seeds)
    else:
        skipped.odd += not planned
        seeds = planned
    if not seeds:
        return pd.Series(dtype=float)
    return sum(sign * part["percent"].loc[seeds].astype(float) for sign, part in parts)


def _measured(place: tuple, found: pd.Series | float, condition: Condition) -> Measured:
    if isinstance(found, float):
        return Measured(place, found, condition.met(found))
    value = float(found.mean())
    return Measured(place, value, condition.met(value), found, condition.p(found.to_numpy()))


def _usable(found: pd.Series | float | None) -> bool:
    return found is not None and (isinstance(found, float) or len(found) > 0)


def _difference(claim: Mapping[str, Any], evidence: Evidence) -> Found:
    condition, skipped, made, total = Condition.of(claim["condition"]), Skipped(), [], 0
    for place in _places(claim, evidence):
        found = _combined(evidence, claim, claim["plus"], claim["minus"], place, skipped)
        total += found is not None
        if _usable(found):
            made.append(_measured(place, found, condition))
    return Found(made, skipped.words(total))


def _across_sizes(claim: Mapping[str, Any], evidence: Evidence) -> Found:
    """Trends and rank correlations: a cell for each target with at least FEWEST_SIZES sizes."""
    condition, skipped, made, total = Condition.of(claim["condition"]), Skipped(), [], 0
    for target, sizes in evidence.sizes(claim).items():
        by_size = {}
        for images in sizes:
            found = _combined(evidence, claim, claim["plus"], claim["minus"], (target, images, None), skipped)
            total += found is not None
            if _usable(found):
                by_size[images] = found
        if len(by_size) < FEWEST_SIZES:
            continue
        images = np.array(list(by_size))
        means = np.array([np.mean(found) for found in by_size.values()])
        if claim["statistic"] == "rank_correlation":
            found = rank_correlation(images, means)
            if not math.isnan(found.value):
                made.append(Measured((target,), found.value, condition.met(found.value), None, found.p))
            continue
        centred = np.log2(images) - np.log2(images).mean()
        slopes = float(centred @ means / (centred @ centred))
        if not isinstance(next(iter(by_size.values())), float):
            wide = pd.concat(by_size.values(), axis=1, join="inner").sort_index()
            slopes = pd.Series(wide.to_numpy() @ centred / (centred @ centred), wide.index)
        if _usable(slopes):
            made.append(_measured((target,), slopes, condition))
    missing = skipped.words(total)
    if not made and total and not missing:
        missing = f"no target has {FEWEST_SIZES} numbers of images with all that is compared"
    return Found(made, missing)


def _best(claim: Mapping[str, Any], evidence: Evidence) -> Found:
    condition, skipped, made, total = Condition(low=0, strict=True), Skipped(), [], 0
    rivals = as_list(claim["rivals"])
    for place in _places(claim, evidence):
        mine = Skipped()
        found = [_combined(evidence, claim, claim["plus"], rival, place, mine) for rival in rivals]
        if any(part is None for part in found):
            continue
        total += 1
        skipped.absent += bool(mine.absent)
        skipped.odd += bool(mine.odd) and not mine.absent
        skipped.used += bool(mine.used) and not mine.absent
        if not all(map(_usable, found)):
            continue
        leads = [_measured(place, part, condition) for part in found]
        closest = min(leads, key=lambda lead: lead.value)
        if closest.met:
            p = max(lead.p for lead in leads)
        else:
            behind = min(lead.p for lead in leads if not lead.met)
            p = behind if math.isnan(behind) else min(1.0, len(leads) * behind)
        made.append(Measured(place, closest.value, closest.met, closest.by_seed, p))
    return Found(made, skipped.words(total))


def _agreement(claim: Mapping[str, Any], evidence: Evidence) -> Found:
    condition, skipped, made, total = Condition(-claim["within"], claim["within"]), Skipped(), [], 0
    sizes = evidence.sizes(claim)
    for line in evidence.printed.itertuples(index=False):
        if line.images not in sizes.get(line.target, []) or line.role not in claim.get("roles", SOURCE_OF_ROLE):
            continue
        total += 1
        if claim["evidence"] == "printed":
            theirs = line.printed_percent if pd.isna(line.summary_percent) else line.summary_percent
            value = round(line.printed_percent - theirs, 6)
        else:
            place = (line.target, line.images, None)
            found = _combined(evidence, claim, {"role": line.role}, [], place, skipped)
            if not _usable(found):
                skipped.absent += found is None
                continue
            value = float(found.mean()) - line.printed_percent
        made.append(Measured((line.target, line.images, line.role), value, condition.met(value)))
    return Found(made, skipped.words(total))


def _count(claim: Mapping[str, Any], evidence: Evidence) -> Found:
    condition = Condition.of(claim["condition"])
    if "planned" in claim:
        plan = claim["planned"]
        models = float(plan["sources"] * plan["targets"] * plan["blocks"] * sum(plan["seeds"]))
        return Found([Measured(("plan",), models, condition.met(models))])
    sizes = evidence.sizes(claim)
    counts = {key: len(models) for key, models in evidence.models("last").items() if key[3] in sizes.get(key[1], [])}
    if claim.get("per") != "cell":
        counts = {("all",): sum(counts.values())} if counts else {}
    planned = sum(key[3] in sizes.get(key[1], []) for key in evidence.planned)
    skipped = Skipped(absent=planned - len(counts) if claim.get("per") == "cell" else 0)
    made = [Measured(key, float(count), condition.met(count)) for key, count in counts.items()]
    return Found(made, skipped.words(planned))


def _schedule(claim: Mapping[str, Any], evidence: Evidence) -> Found:
    sizes, condition, wanted = evidence.sizes(claim), Condition(low=1), sorted(claim["epochs"])
    made = []
    for (target, images), rows in evidence.rows.groupby(["target", "images"], sort=True):
        if images in sizes.get(target, []):
            alike = [sorted(run) == wanted for _, run in rows.groupby(RUN)["epoch"]]
            value = float(np.mean(alike))
            made.append(Measured((target, int(images)), value, condition.met(value)))
    return Found(made)


def _table(claim: Mapping[str, Any], evidence: Evidence) -> Found:
    name, column, condition = claim["evidence"], claim["column"], Condition.of(claim["condition"])
    table = evidence.tables[name]
    for wanted in (column, *claim.get("where", {}), *claim.get("less", {}), *claim.get("by", [])):
        if wanted not in table:
            raise InputError(f"claims.yaml: claim '{claim['id']}': table {name} has no column '{wanted}'. Correct it.")
    lines = _lines(table, claim.get("where", {}))
    if "less" in claim:
        both = lines.merge(_lines(table, claim["less"]), on=claim["by"], suffixes=("", "_less"))
        values = both[column] - both[f"{column}_less"]
    else:
        values = lines[column]
    values = values.dropna().astype(float)
    made = [Measured((place,), value, condition.met(value)) for place, value in values.items()]
    what = "no accuracies of the experiment's sources are published" if name == SOURCES else f"{name} has no such lines"
    return Found(made, "" if made else what)


def _lines(table: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    for column, wanted in where.items():
        table = table[table[column] == wanted]
    return table
