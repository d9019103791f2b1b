"""What all figures share: theme, colours, lines, panels and saving. Reads tables, imports no torch.

Figures are as wide as they are printed (`set_theme`), so that their text has its size on the page; `layout` has the places.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from advtransfer.artefacts import PROVENANCE, whole_file
from advtransfer.errors import InputError
from advtransfer.tables.printed import SOURCE_OF_ROLE
from advtransfer.targets.catalogue import PAPER_TARGETS
from figures.axes import format_accuracy, format_delta, format_x
from figures.footer import blocks_in_words, footer, name_of, off_protocol, points_only, present, x_of
from figures.layout import (
    LEFT,
    NAME,
    NARROWEST,
    OVER,
    UNDER,
    Legend,
    canvas,
    figure_width,
    label_ends,
    label_size,
    most_columns,
    place_panels,
    room_for_ends,
    shorten_text,
    stack,
)

# The width of a figure in inches: a column of text of most journals and conferences in this field.
WIDTH = 5.5

# The six targets of the paper keep their colours whatever else is drawn; further targets take the colours that follow. The six differ
# for readers without red or green cones as well (tests/figures/test_print.py has the simulation and the distances).
PALETTE = (
    *("#0072d6", "#e59c06", "#4fa86c", "#8a2f06", "#8e4d7d", "#5cc8f2"),
    *("#7f7f7f", "#e58fc4", "#2b2b2b", "#b5b32a"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")

THEME = {
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelpad": 2.0,
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.titlesize": 7.5,
    "axes.unicode_minus": True,
    "figure.dpi": 100,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.0,
    "pdf.fonttype": 42,  # TrueType: text stays text in the PDF, as publishers ask for
    "savefig.dpi": 300,
    "text.parse_math": False,  # a label with two dollar signs is no formula
    "xtick.labelsize": 6.5,
    "xtick.major.pad": 2.0,
    "xtick.major.size": 2.0,
    "xtick.major.width": 0.6,
    "ytick.labelsize": 6.5,
    "ytick.major.pad": 2.0,
    "ytick.major.size": 2.0,
    "ytick.major.width": 0.6,
}
XLABELS = {"images": "training images", "epoch": "epoch"}
DELTA_LABEL = "difference (points)"
ACCURACY_LABEL = "test accuracy (%)"

# The line of each role: robust solid with circles, natural dashed (paper, Fig. 2). The shade lightens or darkens a target's
# colour, so that sources differ in print without colours too.
ROLE_LINES = {
    "natural": ("--", "", 0.0),
    "robust": ("-", "o", 0.0),
    "linf_small": ("--", "s", -0.45),
    "linf_large": (":", "^", 0.4),
}
BLOCK_LINES = (("-", "o", 0.5), ("-", "s", 0.2), ("-", "^", -0.2), ("-", "D", -0.6))

# What the paper calls its own sources, whose printed means are laid over the lines.
PRINTED_LABELS = {"natural": "natural", "l2_3": "L2, ε = 3", "linf_4": "L∞, ε = 4/255", "linf_8": "L∞, ε = 8/255"}

# Of a line that has no marker: where it is a single point, and of the printed means laid over it.
POINT, HOLLOW = "x", "D"

PRINTED_SIZE = 4.2

# Inches that a target's name may take beside the end of its line.
LONGEST_END = 1.0

# How much of a line is left where its models had other epochs than the protocol's.
FAINT = 0.38


@dataclass(frozen=True)
class Line:
    """One line of an accuracy panel: which models, what the legend calls them, and how they look."""

    source: str
    blocks: int
    label: str
    linestyle: str
    marker: str
    shade: float  # from -1 (black) over 0 (the target's colour) to 1 (white)
    printed: str = ""  # the paper's source in this role, whose printed means lie over the line


def set_theme(style: Mapping[str, Any], width: float = WIDTH) -> None:
    """Apply the project's theme, then the user's rcParams. Raises InputError where matplotlib does not know one.

    width: of figures, in inches; a figure's height follows from what it shows.
    """
    sns.set_theme(context="paper", style="ticks", palette="colorblind", rc={**THEME, "figure.figsize": (width, width)})
    for key, value in style.items():
        try:
            matplotlib.rcParams[key] = value
        except (KeyError, ValueError) as error:
            raise InputError(
                f"style: {key} = {value!r} is no setting that matplotlib accepts. See matplotlib's rcParams."
            ) from error


def read_table(file: str | BinaryIO) -> pd.DataFrame:
    """A figure's table as `advtransfer.tables` made it, out of its CSV file; empty texts stay empty."""
    texts, counts = ("epochs", "run_epochs", "minus_source"), ("minus_blocks", "planned_epochs")
    table = pd.read_csv(file, dtype=dict.fromkeys(texts, str) | dict.fromkeys(counts, "Int64"))
    return table.fillna(dict.fromkeys(texts, ""))


def save_figure(
    figure: Figure, pdf: str, png: str, caption: str, provenance: Mapping[str, Any], experiment: str = ""
) -> None:
    """Write a figure as PDF (no date inside: the same table gives the same bytes) and as PNG, titled in their properties; close it.

    provenance: what made it (`artefacts.made_of`), which both keep, with the experiment's name: the PDF as keywords and subject.
    """
    made = json.dumps(provenance, sort_keys=True)
    words = {"Title": caption, "Subject": f"Experiment: {experiment}", "Keywords": made, "CreationDate": None}
    with whole_file(pdf) as part:
        figure.savefig(part, format="pdf", metadata=words)
    with whole_file(png) as part:
        figure.savefig(part, format="png", metadata={"Title": caption, "Experiment": experiment, PROVENANCE: made})
    plt.close(figure)


# Colours and lines


def target_looks(targets: Sequence[str]) -> dict[str, tuple[str, str]]:
    """{target: (colour, marker)}: fixed for the paper's targets, the following ones in order for all others."""
    others = [target for target in targets if target not in PAPER_TARGETS]
    # Without any of the paper's targets, the whole palette is free.
    first = len(PAPER_TARGETS) if len(others) < len(targets) else 0
    places = {target: list(PAPER_TARGETS).index(target) for target in targets if target in PAPER_TARGETS}
    places |= {target: first + index for index, target in enumerate(others)}
    return {target: (PALETTE[at % len(PALETTE)], MARKERS[at % len(MARKERS)]) for target, at in places.items()}


def shaded(colour: str, shade: float) -> tuple[float, float, float]:
    """A colour mixed with black (shade down to -1) or white (up to 1)."""
    end = np.ones(3) if shade > 0 else np.zeros(3)
    return tuple((1 - abs(shade)) * np.array(to_rgb(colour)) + abs(shade) * end)


def selection(experiment: dict[str, Any]) -> dict[str, Any]:
    """Which models the figure shows: the experiment of a drawing has one figure's selection (see `config.resolve.experiment_for`)."""
    (mine,) = experiment["figures"].values()
    return mine


def role_lines(experiment: dict[str, Any], roles: Iterable[str]) -> list[Line]:
    """A line for each of the roles that the experiment has, at the figure's number of trained blocks."""
    sources, blocks = experiment["sources"], selection(experiment)["blocks"][0]
    return [
        Line(sources[role], blocks, name_of(experiment, sources[role]), *ROLE_LINES[role], SOURCE_OF_ROLE[role])
        for role in roles
        if role in sources
    ]


def block_lines(experiment: dict[str, Any], source: str) -> list[Line]:
    """A line for each block count of the experiment; more blocks are darker."""
    return [
        Line(source, blocks, blocks_in_words(blocks), *BLOCK_LINES[index % len(BLOCK_LINES)])
        for index, blocks in enumerate(experiment["blocks"])
    ]


def difference_of_blocks(experiment: dict[str, Any]) -> str:
    """The words for what a figure by trained blocks subtracts from what."""
    (_, plus), (_, minus) = selection(experiment)["differences"][0]
    return f"{blocks_in_words(plus)} \N{MINUS SIGN} {blocks_in_words(minus)}"


def difference_of(lines: Sequence[Line]) -> str:
    """The words for the first line minus the second; empty for a single line."""
    return f"{lines[0].label}  \N{MINUS SIGN}  {lines[1].label}" if len(lines) > 1 else ""


# Panels


def draw_line(ax: Axes, part: pd.DataFrame, x: pd.Series, **look: Any) -> None:
    """One line with its band, from the means and intervals of a table, at the places x [rows of part].

    A line of one point is a marker with a bar: its band would have no width. What had other epochs than the protocol's is faint
    (`footer.off_protocol`).
    """
    part = part.assign(x=x, off=off_protocol(part)).sort_values("x")
    off = part["off"].to_numpy()
    faint = {"alpha": FAINT, "linewidth": 0.8 * matplotlib.rcParams["lines.linewidth"]}
    edge = {"markeredgecolor": "white", "markeredgewidth": 0.3}
    if len(part) == 1:
        look = {**look, "marker": look["marker"] or POINT} | (faint if off.any() else {})
        ax.plot(part["x"], part["mean"], zorder=3, **({} if look["marker"] == POINT else edge), **look)
        bar = {"color": look["color"], "alpha": look.get("alpha"), "linewidth": 0.9, "zorder": 2}
        ax.vlines(part["x"], part["low"], part["high"], **bar)
        return
    # A segment is faint where one of its ends is.
    beside = off | np.append(off[1:], False) | np.append(False, off[:-1])
    for shown, alpha in ((~off, 0.17), (beside & off.any(), 0.17 * FAINT)):
        if shown.any():
            band = {"color": look["color"], "alpha": alpha, "linewidth": 0, "zorder": 2}
            ax.fill_between(part["x"], part["low"].where(shown), part["high"].where(shown), **band)
    if off.any():
        own = {**look, **faint} if off.all() else {**look, **faint, "label": "_faint"}
        marked = list(np.flatnonzero(off))
        ax.plot(part["x"], part["mean"].where(beside), zorder=3, markevery=marked, **edge, **own)
    if not off.all():
        ax.plot(part["x"], part["mean"].where(~off), zorder=3, **edge, **look)


def draw_singles(ax: Axes, part: pd.DataFrame, x: pd.Series, color: Any, marker: str) -> None:
    """A small mark for each of a few models, or pairs of models, behind a line: a dash where the line has no markers."""
    look = {"marker": "_", "linewidths": 0.5, "s": 6} if marker == "" else {"marker": "o", "linewidths": 0, "s": 2.5}
    colours = [(*to_rgb(color), 0.6 * FAINT if off else 0.6) for off in off_protocol(part)]
    ax.scatter(x, part["mean"], color=colours, zorder=2.5, **look)


def draw_printed(ax: Axes, part: pd.DataFrame, x: pd.Series, color: Any, marker: str) -> None:
    """A hollow marker for each mean that the paper prints, above everything else."""
    look = {"markerfacecolor": "none", "markeredgecolor": color, "markeredgewidth": 0.7, "markersize": PRINTED_SIZE}
    ax.plot(x, part["mean"], linestyle="none", marker=marker, zorder=4, label="_printed", **look)


def hollow_marker(line: Line) -> str:
    """The marker of the printed means that lie over a line."""
    return HOLLOW if line.marker in ("", POINT) else line.marker


def shifts(count: int, x: pd.Series) -> list[float]:
    """Factors of x for each of so many lines: all 1, but where the lines are points at one x they stand side by side."""
    if x.nunique() != 1:
        return [1.0] * count
    # A log2 axis of one value reaches half a doubling to either side.
    doublings = min(0.15, 0.7 / count)
    return [2 ** (doublings * (index - (count - 1) / 2)) for index in range(count)]


def draw_accuracy(
    ax: Axes, table: pd.DataFrame, target: str, lines: list[Line], x: str, experiment: dict[str, Any]
) -> None:
    """All lines of one target that the table has."""
    colour, _ = target_looks(experiment["targets"])[target]
    mine = table[table["target"] == target]
    for line, shift in zip(lines, shifts(len(lines), x_of(mine[mine["quantity"] == "accuracy"], x)), strict=True):
        models = mine[(mine["source"] == line.source) & (mine["blocks"] == line.blocks)]
        part, singles = (models[models["quantity"] == quantity] for quantity in ("accuracy", "model"))
        printed = mine[(mine["quantity"] == "printed") & (mine["source"] == line.printed)]
        if len(printed):
            draw_printed(ax, printed, shift * x_of(printed, x), shaded(colour, line.shade), hollow_marker(line))
        if len(part):
            draw_singles(ax, singles, shift * x_of(singles, x), shaded(colour, line.shade), line.marker)
            draw_line(
                ax,
                part,
                shift * x_of(part, x),
                color=shaded(colour, line.shade),
                linestyle=line.linestyle,
                marker=line.marker,
                label=line.label,
            )


def draw_accuracy_panel(
    ax: Axes, table: pd.DataFrame, target: str, lines: list[Line], x: str, experiment: dict[str, Any], xlabel: bool
) -> None:
    """A whole accuracy panel: lines, both axes, title; the label of the x axis only where asked for."""
    draw_accuracy(ax, table, target, lines, x, experiment)
    mine = table[(table["quantity"].isin(["accuracy", "printed"])) & (table["target"] == target)]
    # Over epochs a panel is fitted to its data: a run's accuracy changes by less than a grid's.
    format_accuracy(ax, *span(table, target), least=10 if x == "epoch" else 20)
    format_x(ax, x_of(mine, x), XLABELS[x] if xlabel else "")
    set_title(ax, name_of(experiment, target))


def set_title(ax: Axes, *lines: str) -> None:
    """A title, each of its lines shortened to the width of its axes and most of a gap."""
    inches = ax.get_position().width * ax.get_figure().get_figwidth() + 0.3
    size = label_size("axes.titlesize")
    ax.set_title("\n".join(shorten_text(line, inches, size) for line in lines), pad=3, linespacing=1.1)


def span(table: pd.DataFrame, target: str) -> tuple[pd.Series, pd.Series]:
    """The lower and the upper ends of all that a target's accuracy panels show: intervals, single models, and means without either."""
    mine = table[(table["target"] == target) & table["quantity"].isin(["accuracy", "model", "printed"])]
    return mine["low"].fillna(mine["mean"]), mine["high"].fillna(mine["mean"])


def draw_delta(ax: Axes, part: pd.DataFrame, x: str, experiment: dict[str, Any]) -> None:
    """A line for each target, with the zero line. part: of a table, differences and the pairs behind them."""
    looks = target_looks(experiment["targets"])
    everything, part = part, part[part["quantity"] == "delta"]
    targets = present(part, experiment["targets"])
    for target, shift in zip(targets, shifts(len(targets), x_of(part, x)), strict=True):
        mine, (colour, marker) = part[part["target"] == target], looks[target]
        pairs = everything[(everything["target"] == target) & (everything["quantity"] == "pair")]
        draw_singles(ax, pairs, shift * x_of(pairs, x), colour, marker)
        label = name_of(experiment, target)
        draw_line(ax, mine, shift * x_of(mine, x), color=colour, marker=marker, linestyle="-", label=label)
    format_delta(ax)
    format_x(ax, x_of(part, x), XLABELS[x])


def label_targets(ax: Axes, part: pd.DataFrame, x: str, experiment: dict[str, Any]) -> None:
    """The targets' names beside the ends of their lines, in the place of a legend; after `draw_delta`, its limits final."""
    part, looks = part[part["quantity"] == "delta"], target_looks(experiment["targets"])
    ends = []
    for target in present(part, experiment["targets"]):
        mine = part[part["target"] == target].assign(x=x_of(part, x)).sort_values("x").iloc[-1]
        name = shorten_text(name_of(experiment, target), LONGEST_END, label_size("legend.fontsize"))
        # Light colours are hard to read as text.
        ends.append((name, shaded(looks[target][0], -0.25), mine["x"], mine["mean"]))
    label_ends(ax, ends)


def line_handles(lines: list[Line], table: pd.DataFrame | None = None) -> list[Line2D]:
    """Legend entries for the lines of accuracy panels, grey: the colour is the target's.

    table: where given, an entry for the printed means that it has follows that of the line that they lie over.
    """
    shown = set() if table is None else set(table.loc[table["quantity"] == "printed", "source"])
    handles = []
    for line in lines:
        colour = shaded("#666666", line.shade)
        handles.append(Line2D([], [], color=colour, linestyle=line.linestyle, marker=line.marker, label=line.label))
        if line.printed in shown:
            look = {"markerfacecolor": "none", "markeredgecolor": colour, "markeredgewidth": 0.7}
            label = f"printed: {PRINTED_LABELS[line.printed]}"
            marker = {"marker": hollow_marker(line), "markersize": PRINTED_SIZE}
            handles.append(Line2D([], [], linestyle="none", label=label, **marker, **look))
    return handles


def target_handles(targets: Iterable[str], experiment: dict[str, Any]) -> list[Line2D]:
    """Legend entries for the targets of a panel of differences."""
    looks = target_looks(experiment["targets"])
    return [
        Line2D([], [], color=looks[target][0], marker=looks[target][1], label=name_of(experiment, target))
        for target in targets
    ]


def drawn_lines(table: pd.DataFrame, experiment: dict[str, Any], lines: list[Line], x: str) -> list[Line]:
    """Those of the lines that a table has; with a marker each where all are single points."""
    accuracy = table[table["quantity"] == "accuracy"]
    lines = [
        line for line in lines if ((accuracy["source"] == line.source) & (accuracy["blocks"] == line.blocks)).any()
    ]
    if points_only(table, experiment, x):
        return [replace(line, marker=line.marker or POINT) for line in lines]
    return lines


def draw_comparison(
    table: pd.DataFrame, experiment: dict[str, Any], lines: list[Line], x: str, difference: str, heading: str = ""
) -> Figure:
    """(a) a panel of accuracy for each target, (b) one panel with the difference for every target.

    difference: the words for what is subtracted from what. heading: the title of the lines' legend. Where the table has
    no differences, (a) stands alone.
    """
    accuracy, delta = (table[table["quantity"] == quantity] for quantity in ("accuracy", "delta"))
    lines, width = drawn_lines(table, experiment, lines, x), figure_width()
    targets, compared = present(accuracy, experiment["targets"]), present(delta, experiment["targets"])
    columns = min(most_columns(width, NARROWEST), len(targets) + bool(compared))
    places = place_panels(width, len(targets), columns, tail=bool(compared))
    panels, tail = (places[:-1], places[-1]) if compared else (places, None)
    rows = panels[-1].row + 1
    own_row = tail is not None and tail.row == rows
    high = float(np.clip(0.75 * panels[0].width, 0.9, 1.7))
    heights = [(OVER, high, UNDER + NAME * (row == rows - 1)) for row in range(rows)]
    if own_row:
        heights.append((OVER, 1.75, UNDER + NAME))
    # Names at the ends of lines, where there is room for them; a legend otherwise.
    ends = (
        room_for_ends(
            [
                shorten_text(name_of(experiment, target), LONGEST_END, label_size("legend.fontsize"))
                for target in compared
            ]
        )
        if compared
        else 0.0
    )
    named = (
        tail is not None and tail.width - ends >= 1.8 and len(compared) <= 10 and not points_only(table, experiment, x)
    )

    legends = [Legend(line_handles(lines, table), heading)]
    if compared and not named:
        legends.append(Legend(target_handles(compared, experiment)))
    # Side by side where the differences stand in the first row, else one above the other.
    beside = len(legends) == 2 and tail.row == 0
    spans = [(0.0, tail.left - 0.3), (tail.left - 0.3, width)] if beside else [(0.0, width)] * len(legends)
    tall = [legend.height(right - left) for legend, (left, right) in zip(legends, spans, strict=True)]
    above = max(tall) if beside else sum(tall)
    made = canvas(width, sum(map(sum, heights)), above, footer(table, experiment, x))
    bottoms = stack(made.top, heights)
    top = made.height
    for legend, (left, right), tallness in zip(legends, spans, tall, strict=True):
        made.legend(left, right, legend, top)
        top -= 0.0 if beside else tallness
    for place, target in zip(panels, targets, strict=True):
        ax = made.axes(place.left, bottoms[place.row], place.width, high)
        draw_accuracy_panel(ax, table, target, lines, x, experiment, xlabel=place.row == rows - 1)
        if place.first:
            ax.set_ylabel(ACCURACY_LABEL)
    made.letter(0.04, bottoms[0] + high, "a")
    if tail:
        tallness = heights[tail.row][1]
        part = table[table["quantity"].isin(["delta", "pair"])]
        ax = made.axes(tail.left, bottoms[tail.row], tail.width - (ends if named else 0.0), tallness)
        draw_delta(ax, part, x, experiment)
        set_title(ax, difference)
        ax.set_ylabel(DELTA_LABEL)
        if named:
            label_targets(ax, part, x, experiment)
        made.letter(tail.left - LEFT + 0.04, bottoms[tail.row] + tallness, "b")
    return made.figure
