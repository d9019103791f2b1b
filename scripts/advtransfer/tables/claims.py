"""Claims of the papers tested on an experiment: statistics, verdicts and the table of them (docs/verdict.md). No torch here.

A claim has *cells* (a target and a number of images, a target, a line of a table, ...), each with a value and a *condition* that it meets or
not: above or below a bound, or between two. The statistics:

    difference        accuracy of the sides `plus` less that of the sides `minus`, percentage points, mean over seeds. Each seed is paired with
                      itself; cells are targets and numbers of images (and `epochs`)
    trend             change of that difference for each doubling of the images: the least-squares slope against log2(images) of each seed
                      that all sizes have, mean over seeds; cells are targets. Points per doubling
    rank_correlation  of that difference (its mean) with the number of images, Spearman's; cells are targets
    best              the smallest lead of the side `plus` over its `rivals`, percentage points; cells as of difference
    agreement         mean accuracy less the printed one, percentage points, to lie `within` so many; of evidence "printed", the printed
                      one less that of the authors' own summary
    count             of models: in each cell (`per: cell`: source, target, blocks, images), of all, or of a plan
    schedule          share of a cell's models that were evaluated after exactly these `epochs`; cells are targets and numbers of images
    table             `column` of the lines of a table, or of lines `where` less those `less` with the same `by`; cells are lines

Tests are of the bounds of the condition, by Student's t over seeds (paired), two-sided; of a rank correlation by counting orders (see
`correlation`). Between two bounds, a value inside is tested for lying inside (the larger of the two one-sided p), one outside against the
nearest bound. Of `best`, a lead has the largest p over rivals, and no lead the smallest times their number. What has one value, or none of
seeds, has no test. p of a claim's cells are adjusted by Holm's method; a cell is significant where the adjusted p is below the level.

Verdicts, by how many cells meet the condition and which are significant:

    holds             all meet it, none is significant against it, and one at least is significant for it (or none has a test)
    mostly            the same of at least 80% of them
    does not hold     at most 20% meet it, none is significant for it, and one at least is significant against it (or none has a test)
    mixed             anything else; of a claim of one cell: not decided
    not testable      no cell has what the claim needs

`value` is the mean over cells; `low` and `high` its 95% interval over seeds by Student's t: of each seed's mean over the cells of several
seeds, for seeds that all of these have (`value` is then the mean of these means).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from advtransfer.config.claims import VERDICTS
from advtransfer.config.columns import CLAIMS
from advtransfer.tables.claim_cells import Evidence, Measured, cells_of
from advtransfer.tables.intervals import t_interval
from advtransfer.tables.printed import SOURCE_OF_ROLE

HOLDS, MOSTLY, MIXED, DOES_NOT_HOLD, NOT_TESTABLE = VERDICTS
SHARE = 0.8
PAPERS = {
    "utrera": "Utrera et al. 2020",
    "liang": "Liang et al. 2021",
    "nern": "Nern et al. 2022",
    "zhang": "Zhang et al. 2021",
}


def claims(content: Mapping[str, Any], evidence: Evidence) -> pd.DataFrame:
    """A line for each claim (columns CLAIMS). content: as `config.claims.read_claims` returns it."""
    return pd.DataFrame([judge(claim, evidence, content["level"]) for claim in content["claims"]], columns=list(CLAIMS))


def judge(claim: Mapping[str, Any], evidence: Evidence, level: float) -> dict[str, Any]:
    """The line of one claim."""
    found = cells_of(claim, evidence)
    cells = found.cells
    line = {key: claim[key] for key in ("id", "section", "claim", "statistic")}
    line |= {"paper": PAPERS[claim["paper"]], "cells": len(cells), "missing": found.missing}
    if not cells:
        return line | {"cells_holding": 0, "verdict": NOT_TESTABLE}
    adjusted = holm([cell.p for cell in cells])
    significant = [p < level for p in adjusted]
    met = [cell.met for cell in cells]
    value, low, high = overall(cells)
    return line | {
        "cells_holding": sum(met),
        "value": value,
        "low": low,
        "high": high,
        "p": min((p for p in adjusted if not math.isnan(p)), default=math.nan),
        "verdict": verdict(
            len(cells),
            sum(met),
            sum(sure and holds for sure, holds in zip(significant, met, strict=True)),
            sum(sure and not holds for sure, holds in zip(significant, met, strict=True)),
            any(not math.isnan(cell.p) for cell in cells),
        ),
    }


def verdict(cells: int, holding: int, in_favour: int, against: int, tested: bool) -> str:
    """The verdict on a claim.

    cells: how many it has; holding: how many meet its condition; in_favour, against: how many significantly meet it and do not; tested:
    whether any has a test.
    """
    if cells == 0:
        return NOT_TESTABLE
    if against == 0 and (in_favour or not tested):
        if holding == cells:
            return HOLDS
        # In whole numbers: 0.8 x 5 is not 4 in binary fractions.
        if 10 * holding >= round(10 * SHARE) * cells:
            return MOSTLY
    if in_favour == 0 and (against or not tested) and 10 * (cells - holding) >= round(10 * SHARE) * cells:
        return DOES_NOT_HOLD
    return MIXED


def holm(values: Sequence[float]) -> list[float]:
    """p-values adjusted by Holm's method (1979), in the same order; those that are NaN stay so and do not count."""
    adjusted = [math.nan] * len(values)
    order = sorted((index for index, p in enumerate(values) if not math.isnan(p)), key=values.__getitem__)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * values[index]))
        adjusted[index] = largest
    return adjusted


def overall(cells: Iterable[Measured]) -> tuple[float, float, float]:
    """(value, low, high) of a claim's cells: see the module."""
    cells = list(cells)
    several = [cell.by_seed for cell in cells if cell.by_seed is not None and len(cell.by_seed) > 1]
    if several:
        common = several[0].index
        for series in several[1:]:
            common = common.intersection(series.index)
        if len(common) > 1:
            means = np.mean([series.loc[sorted(common)].to_numpy() for series in several], axis=0)
            return float(means.mean()), *t_interval(means)
    return float(np.mean([cell.value for cell in cells])), math.nan, math.nan


def compared(published: pd.DataFrame, experiment: pd.DataFrame) -> pd.DataFrame:
    """The claims of an experiment beside those of the paper's own logs, columns `columns.CLAIMS_COMPARED`."""
    keys = ["id", "paper", "section", "claim", "statistic"]
    sides = [table.drop(columns=["paper", "section", "claim", "statistic"]) for table in (published, experiment)]
    joined = sides[1].merge(sides[0], "left", on="id", suffixes=("", "_published"), validate="one_to_one")
    return experiment[keys].merge(joined, on="id", validate="one_to_one")


def markdown(table: pd.DataFrame, experiment: Mapping[str, Any]) -> str:
    """The claims of an experiment as Markdown: how many have each verdict, and a table for each paper."""
    lines = [
        f"# Claims, tested on experiment {experiment['name']}",
        "",
        *([in_roles(experiment).strip(), ""] if in_roles(experiment) else []),
    ]
    rows = []
    for paper in PAPERS.values():
        counts = table.loc[table["paper"] == paper, "verdict"].value_counts()
        rows.append([paper, *(str(counts.get(words, 0)) for words in VERDICTS)])
    lines += [_row(["paper", *VERDICTS]), _row(["---", *["--:"] * len(VERDICTS)]), *map(_row, rows), ""]
    lines += [
        "A cell is a target and a number of images where nothing else is said; `value` is the mean over cells, in percentage points for",
        "difference, best and agreement, in points per doubling of the images for trend. Brackets: 95% t interval over seeds. p: smallest of the",
        "cells', adjusted by Holm's method. What each statistic and verdict is: `scripts/advtransfer/tables/claims.py`.",
    ]
    head = ["verdict", "claim", "section", "statistic", "cells that hold", "value", "p", "missing"]
    for paper in PAPERS.values():
        mine = table[table["paper"] == paper]
        if mine.empty:
            continue
        lines += ["", f"## {paper}", "", _row(head), _row(["---"] * len(head))]
        for line in mine.itertuples(index=False):
            tested = line.verdict != NOT_TESTABLE
            share = f"{line.cells_holding} of {line.cells}" if tested else ""
            p = number(line.p) if not pd.isna(line.p) else ""
            words = [line.verdict, line.claim, line.section, line.statistic, share, in_words(line), p]
            lines.append(_row([*words, line.missing if isinstance(line.missing, str) else ""]))
    return "\n".join([*lines, ""])


def in_roles(experiment: Mapping[str, Any]) -> str:
    """A sentence, and a blank, on what an experiment has in the place of the paper's sources; empty where it has those."""
    named = {"natural": "natural", "robust": "L2", "linf_small": "Linf 4/255", "linf_large": "Linf 8/255"}
    others = [
        f"{named[role]}: {experiment['labels'].get(source, source)}"
        for role, source in experiment["sources"].items()
        if source != SOURCE_OF_ROLE[role] and experiment["labels"].get(source) != named[role]
    ]
    return f"In the place of the paper's sources: {'; '.join(others)}. " if others else ""


def in_words(line: Any) -> str:
    """The value of a claim's line with its interval, empty where there is none."""
    if pd.isna(line.value):
        return ""
    interval = "" if pd.isna(line.low) else f" [{number(line.low)}, {number(line.high)}]"
    return f"{number(line.value)}{interval}"


def number(value: float) -> str:
    """A value as tables show it: whole ones as they are, others with two digits, small ones with two that are not 0."""
    if value == round(value):
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 0.01 else f"{value:.1e}"


def _row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", r"\|") for text in texts) + " |"
