"""Draw an experiment's accuracies beside those that the paper's Table 5 prints: on the identity line, and their difference."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator

from advtransfer.tables.claims import in_roles
from advtransfer.tables.reproduction import sentence, summary
from figures import style
from figures.axes import format_x
from figures.footer import describe_faint, off_protocol
from figures.layout import NAME, OVER, UNDER, Place, most_columns, place_panels, stack

# The least width of a panel: its points are read against a line, not off its axis.
NARROWEST = 0.9
IDENTITY = {"color": "0.25", "linewidth": 0.7, "zorder": 1}
LABEL_ROOM = 0.1  # between the two kinds of panels


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """(a) ours against the printed mean, (b) ours less the printed one against training images; a panel for each source."""
    roles = [experiment["sources"].get(role) for role in style.selection(experiment)["roles"]]
    sources = style.present(table, filter(None, roles), "source")
    targets = style.present(table, experiment["targets"])
    width = style.figure_width()
    most = min(len(sources), most_columns(width, NARROWEST))
    columns = next((number for number in range(most, 1, -1) if len(sources) % number == 0), most)
    places = place_panels(width, len(sources), columns)
    rows = places[-1].row + 1
    high = min(places[0].width, 1.9)
    # Each row names its axis: panels of one kind may stand in several.
    heights = [(OVER, high, UNDER + NAME)] * (2 * rows)
    heights[rows] = (OVER + LABEL_ROOM, high, UNDER + NAME)
    looks = style.target_looks(experiment["targets"])
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=looks[target][1],
            color=looks[target][0],
            label=style.name_of(experiment, target),
        )
        for target in targets
    ]
    legend = style.Legend([*handles, Line2D([], [], label="equal", **IDENTITY)])
    made = style.canvas(width, sum(map(sum, heights)), legend.height(width), footer(table, experiment))
    made.legend(0, width, legend)
    bottoms = stack(made.top, heights)
    shown = _drawn(table)
    low, most_accurate = _limits(shown)
    for place, source in zip(places, sources, strict=True):
        mine = shown[shown["source"] == source]
        ax = made.axes(place.left, bottoms[place.row], place.width, high)
        _identity(ax, mine, targets, experiment, (low, most_accurate))
        _name(ax, place, experiment, source, style.ACCURACY_LABEL)
        ax = made.axes(place.left, bottoms[rows + place.row], place.width, high)
        _differences(ax, mine, shown, targets, experiment)
        _name(ax, place, experiment, source, style.DELTA_LABEL)
    made.letter(0.04, bottoms[0] + high, "a")
    made.letter(0.04, bottoms[rows] + high, "b")
    return made.figure


def footer(table: pd.DataFrame, experiment: dict[str, Any]) -> str:
    """What the figure says of itself: the experiment, what stands for the paper's sources, how many intervals hold the printed value."""
    faint = describe_faint(table)
    kind = {"t": "Student's t", "bootstrap": "percentile bootstrap"}[experiment["bands"]]
    lines = [
        f"Experiment: {experiment['name']}; protocol: {experiment['protocol']}{' except where faint' if faint else ''}; "
        f"{table['models'].sum():,} models. {in_roles(experiment)}Printed: the paper's Table 5. Points: means over seeds"
        + (f"; bars: their 95% intervals ({kind}), over seeds." if table["low_percent"].notna().any() else ".")
    ]
    lines += [faint] * bool(faint)
    lines.append(sentence(summary(table)))
    on = table[~off_protocol(table)]
    if faint and len(on):
        lines.append(f"Of the protocol's epochs: {sentence(summary(on))}")
    return "\n".join(lines)


def _drawn(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the ends of what is drawn, which are the means where there is no interval."""
    ends = {end: table[f"{end}_percent"].fillna(table["accuracy_percent"]) for end in ("low", "high")}
    return table.assign(**ends, off=off_protocol(table))


def _limits(table: pd.DataFrame) -> tuple[float, float]:
    """Limits of both axes of accuracies, percent: all panels share them."""
    low = min(table["low"].min(), table["published_percent"].min())
    high = max(table["high"].max(), table["published_percent"].max())
    pad = 0.04 * (high - low) or 1.0
    return low - pad, high + pad


def _name(ax: Axes, place: Place, experiment: dict[str, Any], source: str, label: str) -> None:
    style.set_title(ax, style.name_of(experiment, source))
    if place.first:
        ax.set_ylabel(label)
    ax.spines[["top", "right"]].set_visible(False)


def _identity(
    ax: Axes, mine: pd.DataFrame, targets: list[str], experiment: dict[str, Any], limits: tuple[float, float]
) -> None:
    ax.plot(limits, limits, **IDENTITY)
    looks = style.target_looks(experiment["targets"])
    for target in targets:
        colour, marker = looks[target]
        for line in mine[mine["target"] == target].itertuples(index=False):
            _point(ax, line.published_percent, line.accuracy_percent, line.low, line.high, colour, marker, line.off)
    ax.set_xlim(limits)
    ax.set_ylim(limits)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    ax.set_xlabel("printed (%)")
    tested = mine[mine["holds"].notna()]
    if len(tested):
        words = f"{int(tested['holds'].sum())} of {len(tested)} hold"
        ax.text(0.97, 0.04, words, transform=ax.transAxes, ha="right", va="bottom", fontsize=6.2, color="0.3")


def _differences(
    ax: Axes, mine: pd.DataFrame, everything: pd.DataFrame, targets: list[str], experiment: dict[str, Any]
) -> None:
    ax.axhline(0, **IDENTITY)
    looks = style.target_looks(experiment["targets"])
    for index, target in enumerate(targets):
        colour, marker = looks[target]
        shift = 2 ** (0.11 * (index - (len(targets) - 1) / 2))
        for line in mine[mine["target"] == target].itertuples(index=False):
            printed = line.published_percent
            ends = (line.difference_points, line.low - printed, line.high - printed)
            _point(ax, shift * line.images, *ends, colour, marker, line.off)
    format_x(ax, everything["images"], "training images")
    # Sides that every panel has alike: what differs between them is what differs between sources.
    low = min((everything["low"] - everything["published_percent"]).min(), -0.5)
    high = max((everything["high"] - everything["published_percent"]).max(), 0.5)
    ax.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    ax.yaxis.set_major_locator(FixedLocator(MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)))
    ax.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))


def _point(ax: Axes, x: float, y: float, low: float, high: float, colour: str, marker: str, faint: bool) -> None:
    alpha = style.FAINT if faint else 1.0
    ax.vlines([x], [low], [high], color=colour, linewidth=0.8, alpha=alpha, zorder=2)
    ax.plot(
        [x],
        [y],
        linestyle="none",
        marker=marker,
        color=colour,
        markersize=2.4,
        alpha=alpha,
        zorder=3,
        markeredgewidth=0,
    )
