"""Draw the claims of the papers, a row each: how large the effect is, and what the verdict on it is."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from advtransfer.config.claims import VERDICTS
from advtransfer.tables.claims import in_roles
from figures import style
from figures.layout import wrap_text

# Colour and marker of a verdict: either tells them apart.
LOOKS = {
    "holds": ("#0072d6", "o"),
    "mostly": ("#4fa86c", "^"),
    "mixed": ("#7f7f7f", "D"),
    "does not hold": ("#8a2f06", "X"),
    "not testable": ("#b0b0b0", "o"),
}
# Statistics whose values are percentage points, and stand on the axis; others are written.
POINTS = ("difference", "best", "agreement")
TEXT, LINE, ROOM = 6.2, 0.103, 0.02
RANKS, DOUBLING = "rank corr. ", "/doubling"
SECTION, COUNT, EDGE = 0.52, 0.42, 0.08
FOOTER = (
    "{experiment}Numbers at the right: cells that meet the claim, of all that could be tested (a cell: target and number of images, where the "
    "claim says nothing else). Effects: means over cells in percentage points, of what the claim names first less the other; bars: 95% intervals over "
    "seeds (Student's t). Written values: models, shares, rank correlations, points per doubling of the images (trend). Verdicts need "
    "tests corrected by Holm's method within a claim; mostly: at least 80% of the cells and none significantly against it."
)


class Row(NamedTuple):
    """Where a claim stands: the place of its middle from the top in inches, and its words in lines."""

    middle: float
    lines: list[str]
    section: str


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """A row for each claim, by paper and section."""
    return draw_claims(table, [("", "")], f"Experiment: {experiment['name']}. {in_roles(experiment)}")


def draw_claims(table: pd.DataFrame, shown: Sequence[tuple[str, str]], words: str) -> Figure:
    """The figure. shown: (suffix of the columns, heading) of each test whose verdicts stand side by side. words: of the footer."""
    width = style.figure_width()
    counts = COUNT * len(shown)
    axis = 0.21 * width
    left, right = EDGE + SECTION + 0.14 * len(shown), width - EDGE - counts
    inches = right - axis - left - 0.08
    rows, headings, deep = place_rows(table, inches)
    legend = style.Legend([_symbol(verdict, label=verdict) for verdict in VERDICTS])
    over = 0.2  # for the numbers of the upper axis
    made = style.canvas(width, over + deep + 0.36, legend.height(width), FOOTER.format(experiment=words))
    made.legend(0, width, legend)
    top = made.top - over
    ax = made.axes(right - axis, top - deep, axis, deep)
    _format(ax, table, [suffix for suffix, _ in shown], deep)
    for deepness, text in headings:
        made.text(EDGE, top - deepness, text, fontsize=TEXT + 0.4, fontweight="bold", va="center_baseline")
    for line, row in zip(table.to_dict("records"), rows, strict=True):
        faint = all(line[f"verdict{suffix}"] == "not testable" for suffix, _ in shown)
        y, colour = top - row.middle, "0.45" if faint else "0.1"
        made.text(EDGE, y, row.section, fontsize=TEXT, color="0.35", va="center")
        made.text(left, y, "\n".join(row.lines), fontsize=TEXT, color=colour, va="center", linespacing=1.15)
        for place, (suffix, _) in enumerate(shown):
            _mark(made, left - 0.08 - 0.14 * (len(shown) - 1 - place), y, line[f"verdict{suffix}"])
            cells = f"{line[f'cells_holding{suffix}']:.0f}/{line[f'cells{suffix}']:.0f}"
            if line[f"verdict{suffix}"] != "not testable":
                made.text(right + COUNT * (place + 1), y, cells, fontsize=TEXT, va="center", ha="right")
        _effects(ax, line, row.middle, [suffix for suffix, _ in shown])
    for place, (_, heading) in enumerate(shown):
        if heading:
            made.text(
                right + COUNT * (place + 1),
                top + 0.02,
                heading,
                fontsize=TEXT,
                ha="right",
                va="bottom",
                linespacing=1.0,
            )
    return made.figure


def place_rows(table: pd.DataFrame, inches: float) -> tuple[list[Row], list[tuple[float, str]], float]:
    """Rows of all claims, (place, words) of each paper's heading, and the height of both together; words wrap into a width."""
    rows, headings, deep, paper, section = [], [], 0.0, "", ""
    for line in table.itertuples(index=False):
        if line.paper != paper:
            deep += 0.16
            headings.append((deep - 0.05, line.paper))
            paper, section = line.paper, ""
        own = line.section.split(",")[0].split(" (")[0]
        lines = wrap_text(line.claim, inches, TEXT)
        names = wrap_text(own, SECTION - 0.06, TEXT) if own != section else []
        high = LINE * max(len(lines), len(names)) + ROOM
        rows.append(Row(deep + high / 2, lines, "\n".join(names)))
        deep += high
        section = own
    return rows, headings, deep + 0.03


def _symbol(verdict: str, **settings: Any) -> Line2D:
    colour, marker = LOOKS[verdict]
    fill = "none" if verdict == "not testable" else colour
    return Line2D([], [], linestyle="none", marker=marker, markersize=4, color=colour, markerfacecolor=fill, **settings)


def _mark(made: Any, x: float, y: float, verdict: str) -> None:
    """The symbol of a verdict at a place in inches."""
    mark = _symbol(verdict)
    mark.set_data([x / made.width], [y / made.height])
    mark.set_transform(made.figure.transFigure)
    made.figure.add_artist(mark)


def _format(ax: Axes, table: pd.DataFrame, suffixes: Sequence[str], deep: float) -> None:
    """Limits and ticks: inches from the top downwards, percentage points sidewards, named at both ends."""
    ax.set_ylim(deep, 0)
    mine = table[table["statistic"].isin(POINTS)]
    values = pd.concat([mine[f"{name}{suffix}"] for suffix in suffixes for name in ("value", "low", "high")]).dropna()
    low, high = min(values.min(), 0.0, -1.0) if len(values) else -1.0, max(values.max(), 1.0) if len(values) else 1.0
    ax.set_xlim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    ax.locator_params(axis="x", nbins=4)
    ax.tick_params(axis="x", top=True, labeltop=True)
    ax.set_yticks([])
    ax.grid(axis="x")
    ax.axvline(0, color="0.4", linewidth=0.7, zorder=1)
    ax.spines[["left", "right"]].set_visible(False)
    ax.set_xlabel("effect (points)")


def _effects(ax: Axes, line: dict[str, Any], y: float, suffixes: Sequence[str]) -> None:
    """The effect of a claim on the axis, or its value in words; of several tests one above the other."""
    for place, suffix in enumerate(suffixes):
        value, verdict = line[f"value{suffix}"], line[f"verdict{suffix}"]
        if pd.isna(value):
            continue
        at = y + 0.035 * (place - (len(suffixes) - 1) / 2) * 2 if len(suffixes) > 1 else y
        colour, marker = LOOKS[verdict]
        if line["statistic"] in POINTS:
            if not pd.isna(line[f"low{suffix}"]):
                ax.plot([line[f"low{suffix}"], line[f"high{suffix}"]], [at, at], color=colour, linewidth=1.4, zorder=2)
            ax.plot([value], [at], linestyle="none", marker=marker, markersize=3.2, color=colour, zorder=3)
        elif place == len(suffixes) - 1 or pd.isna(line[f"value{suffixes[-1]}"]):
            words = [value_in_words(line, name) for name in suffixes if not pd.isna(line[f"value{name}"])]
            # Side by side without their units, which a claim has once.
            words = words if len(words) == 1 else [text.removeprefix(RANKS).removesuffix(DOUBLING) for text in words]
            text = ax.text(
                sum(ax.get_xlim()) / 2, y, "; ".join(words), fontsize=TEXT, ha="center", va="center", color="0.25"
            )
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.6})


def value_in_words(line: dict[str, Any], suffix: str = "") -> str:
    """A value that is not in points, as it is written."""
    value = line[f"value{suffix}"]
    if line["statistic"] == "count":
        return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"
    if line["statistic"] == "schedule":
        return f"{100 * value:.0f}%"
    if line["statistic"] == "rank_correlation":
        return f"{RANKS}{value:.2f}".replace("-", "\N{MINUS SIGN}")
    if line["statistic"] == "trend":
        return f"{value:+.2f}{DOUBLING}".replace("-", "\N{MINUS SIGN}")
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
