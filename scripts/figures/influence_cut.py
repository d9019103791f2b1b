"""Draw influence_cut: which inverse of the head's Hessian predicts retraining, and how figure 8 hangs on it."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from figures import style
from figures.axes import share_y
from figures.layout import stack, text_width
from figures.networks import ROLE_LOOKS, describe_bands, describe_inverse, footer, role_label

# Inches: left of a panel, between two, at the right; a panel's height; above the first row, between rows, below the last of a block.
LEFT, GAP, RIGHT = 0.52, 0.42, 0.14
HIGH, OVER, BETWEEN, UNDER = 0.9, 0.3, 0.1, 0.38
# Points, of the words at marks and of the numbers of levels.
SMALL = 6.2
# What stands in the rows: quantity, its name, a factor. Shares of the queries, or of training images at ranks 1 to 100.
SHARED = (
    ("score", "LDS", 1),
    ("top1", "top 1 (%)", 100),
    ("three_of_top5", "3 of top 5 (%)", 100),
    ("same_class", "ranks 1\N{EN DASH}100 (%)", 100),
)
LAST = {"cut": ("kept", "kept directions", 1), "ridge": ("loss", "test loss (nats)", 1)}
NAMES = {
    "cut": "cut",
    "damping": "damping",
    "ridge": "ridge",
}
HEADS = {
    "fine_tuned": ({"linewidth": 0.9, "marker": "o", "markerfacecolor": "white"}, "as fine-tuned"),
    "refitted": ({"linewidth": 1.6, "marker": "s"}, "refitted"),
}
# What the paper's text and its script take as cuts.
PAPER_CUTS = {1e-20: "text", 5e-2: "script"}
# Decades between neighbouring levels are drawn as at most so many.
WIDEST = 2.0


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """(a) against the cut, (b) against the damping: linear datamodeling score (LDS), and agreement as figure 8 counts it; (c) kept directions,
    (d) test loss against the ridge.
    """
    roles = style.present(table, ROLE_LOOKS, "role")
    lines = list(itertools.product(roles, style.present(table, HEADS, "head")))
    width = style.figure_width()
    wide = (width - LEFT - GAP - RIGHT) / 2
    handles = [
        Line2D([], [], **_look(role, head), label=f"{role_label(experiment, role)}, {HEADS[head][1]}")
        for role, head in lines
    ]
    handles.append(Line2D([], [], color="0.6", linestyle=":", label="any training image"))
    legend = style.Legend(handles)
    rows = [(OVER, HIGH, BETWEEN), *[(0.0, HIGH, BETWEEN)] * 2, (0.0, HIGH, UNDER), (0.14, HIGH, UNDER)]
    words = footer(experiment, "influence_cut", _words(table, experiment))
    made = style.canvas(width, sum(map(sum, rows)), legend.height(width), words)
    bottoms = stack(made.top, rows)
    ridge = {experiment["influence_cut"]["ridge"]: "ridge"}
    marks = {"cut": PAPER_CUTS, "damping": ridge, "ridge": ridge}
    for row, (quantity, name, factor) in enumerate(SHARED):
        axes = []
        for column, inverse in enumerate(("cut", "damping")):
            ax = made.axes(LEFT + column * (wide + GAP), bottoms[row], wide, HIGH)
            _draw_panel(ax, table, inverse, quantity, factor, lines)
            _set_levels(ax, table, inverse, wide, marks[inverse], named=row == 0, numbers=row == len(SHARED) - 1)
            axes.append(ax)
        share_y(axes)
        for ax in axes:
            ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axes[0].set_ylabel(name)
        axes[1].tick_params(labelleft=False)
        if row == 0:
            made.letter(0.06, bottoms[0] + HIGH + 0.06, "a")
            made.letter(LEFT + wide + GAP - 0.2, bottoms[0] + HIGH + 0.06, "b")
    for column, (inverse, (quantity, name, factor)) in enumerate(LAST.items()):
        left = LEFT + column * (wide + GAP)
        ax = made.axes(left, bottoms[-1], wide, HIGH)
        _draw_panel(ax, table, inverse, quantity, factor, lines)
        _set_levels(ax, table, inverse, wide, marks[inverse], named=False, numbers=True)
        if quantity == "kept":
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            ax.minorticks_off()
        else:
            ax.yaxis.set_major_locator(MaxNLocator(4))
        ax.set_ylabel(name, labelpad=1)
        made.letter((0.06, left - 0.4)[column], bottoms[-1] + HIGH, "cd"[column])
    made.legend(0, width, legend)
    return made.figure


def _look(role: str, head: str) -> dict[str, Any]:
    return {**ROLE_LOOKS[role], "markersize": 2.8, "markeredgewidth": 0.6, **HEADS[head][0]}


def _places(levels: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the levels, ascending, and where they are drawn: gaps of more than WIDEST decades are that wide."""
    logs = np.unique(np.log10(np.maximum(np.asarray(levels, float), 1e-300)).round(9))
    return logs, np.r_[0, np.minimum(np.diff(logs), WIDEST)].cumsum()


def _draw_panel(
    ax: Axes, table: pd.DataFrame, inverse: str, quantity: str, factor: float, lines: Sequence[tuple[str, str]]
) -> None:
    part = table[(table["inverse"] == inverse) & (table["quantity"] == quantity)]
    logs, places = _places(table.loc[table["inverse"] == inverse, "level"])
    for role, head in lines:
        mine = part[(part["role"] == role) & (part["head"] == head)].sort_values("level")
        x = np.interp(np.log10(np.maximum(mine["level"], 1e-300)), logs, places)
        mean, look = mine["seed"].isna().to_numpy(), _look(role, head)
        whole = mine[mean]
        if whole.empty:
            continue
        ax.plot(x[mean], factor * whole["mean"], **look, zorder=3)
        # On the logarithmic axis of the kept directions an interval of three networks often has no lower end.
        if quantity != "kept" and whole["low"].notna().all():
            low, high = factor * whole["low"], factor * whole["high"]
            ax.fill_between(x[mean], low, high, color=look["color"], alpha=0.13, linewidth=0, zorder=2)
    if quantity in ("top1", "same_class"):
        chance = table.loc[(table["quantity"] == "chance") & table["seed"].isna(), "mean"].mean()
        ax.axhline(factor * chance, color="0.6", linestyle=":", linewidth=1.0, zorder=1)
    if factor == 100:
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, 0), min(high, 103))
    ax.spines[["top", "right"]].set_visible(False)


def _set_levels(
    ax: Axes,
    table: pd.DataFrame,
    inverse: str,
    inches: float,
    marks: Mapping[float, str],
    named: bool,
    numbers: bool,
) -> None:
    """The axis of levels: numbers at as many as have room, and a line at each mark, with its words above where `named`."""
    levels = table.loc[table["inverse"] == inverse, "level"]
    logs, places = _places(levels)
    pad = 0.03 * max(places[-1], 1)
    ax.set_xlim(places[0] - pad, places[-1] + pad)
    scale = inches / (places[-1] - places[0] + 2 * pad)
    texts = [_level_text(10**log) for log in logs]
    shown: list[int] = []
    for index in [0, len(logs) - 1, *range(1, len(logs) - 1)]:
        if all(
            abs(places[index] - places[other]) * scale
            > (text_width(texts[index], SMALL) + text_width(texts[other], SMALL)) / 2 + 0.05
            for other in shown
        ):
            shown.append(index)
    shown.sort()
    ax.xaxis.set_major_locator(FixedLocator(places[shown]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FixedFormatter([texts[index] for index in shown]))
    ax.tick_params(axis="x", labelsize=SMALL, labelbottom=numbers, pad=2)
    if numbers:
        ax.set_xlabel(NAMES[inverse], labelpad=1)
    for level, words in marks.items():
        log = math.log10(level)
        if not logs[0] - 1e-6 <= log <= logs[-1] + 1e-6:
            continue
        x = np.interp(log, logs, places)
        ax.axvline(x, color="0.55", linewidth=0.7, linestyle=(0, (4, 2)), zorder=1)
        if named:
            ends = {"ha": "left" if log < logs.mean() else "right"} if inverse == "cut" else {"ha": "center"}
            ax.annotate(
                words,
                (x, 1),
                (0, 2),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                fontsize=SMALL,
                **ends,
            )


def _level_text(level: float) -> str:
    """A level in few characters, such as 0.05 or 10, and with the power of ten below a thousandth."""
    if level >= 9e-4:
        return f"{level:.3g}"
    mantissa, power = f"{level:.0e}".split("e")
    return f"{mantissa}e\N{MINUS SIGN}{-int(power)}"


def _words(table: pd.DataFrame, experiment: dict) -> str:
    looked = experiment["influence_cut"]
    several = int(table["networks"].max())
    return (
        f"LDS: linear datamodeling score, the mean over {int(table['queries'].max()):,} test images of Spearman's correlation between predicted and real "
        f"loss of {looked['halves']:,} heads, retrained on halves of the training images to the optimum with ridge {looked['ridge']:g}. Refitted: that head on all "
        f"of them. (a) Pseudo-inverse of the Hessian (the refitted head's: with its ridge) above the cut, a share of the largest eigenvalue; dashed: what "
        "the paper's text and its script take. (b) Inverse of the Hessian and a damping, the ridge included. "
        f"Figures 6 to 8 take the head {describe_inverse(looked)}. {describe_bands(experiment, several)}{' (c) has none.' if several > 1 else ''}"
    )
