"""What all figures share: theme, colours, axes, legends, footer and saving. Reads tables, imports no torch.

Sizes are in inches, so that a panel and its labels keep their size however many panels a figure has.
"""

import json
import math
import textwrap
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
from advtransfer.targets.catalogue import PAPER_TARGETS
from figures.axes import format_accuracy, format_delta, format_x, labels_fit, points, room_below
from figures.footer import blocks_in_words, footer, name_of, points_only, present, x_of

# The six targets of the paper keep their colours whatever else is drawn; further targets take the colours that follow.
# Seaborn's colour-blind palette, its light blue moved forward: its brown is too close to the orange.
PALETTE = tuple(sns.color_palette("colorblind").as_hex()[index] for index in (0, 1, 2, 3, 4, 9, 5, 7, 6, 8))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")

THEME = {
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelsize": 8,
    "axes.linewidth": 0.7,
    "axes.titlesize": 9,
    "axes.unicode_minus": True,
    "figure.dpi": 100,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.8,
    "pdf.fonttype": 42,  # TrueType: text stays text in the PDF, as publishers ask for
    "savefig.dpi": 200,
    "text.parse_math": False,  # a label with two dollar signs is no formula
    "xtick.labelsize": 7,
    "xtick.major.size": 2.5,
    "xtick.major.width": 0.7,
    "ytick.labelsize": 7,
    "ytick.major.size": 2.5,
    "ytick.major.width": 0.7,
}
FOOTER_POINTS = 6.5
XLABELS = {"images": "training images", "epoch": "epoch"}
DELTA_LABEL = "difference (percentage points)"

# The line of each role: robust solid with circles, natural dashed (paper, Fig. 2). The shade lightens or darkens a target's
# colour, so that sources differ in print without colours too.
ROLE_LINES = {
    "natural": ("--", "", 0.0),
    "robust": ("-", "o", 0.0),
    "linf_small": ("--", "s", -0.45),
    "linf_large": (":", "^", 0.4),
}
BLOCK_LINES = (("-", "o", 0.55), ("-", "s", 0.25), ("-", "^", -0.15), ("-", "D", -0.6))


# Of a line that has no marker, where it is a single point.
POINT = "x"


@dataclass(frozen=True)
class Line:
    """One line of an accuracy panel: which models, what the legend calls them, and how they look."""

    source: str
    blocks: int
    label: str
    linestyle: str
    marker: str
    shade: float  # from -1 (black) over 0 (the target's colour) to 1 (white)


def set_theme(style: Mapping[str, Any]) -> None:
    """Apply the project's theme, then the user's rcParams. Raises InputError where matplotlib does not know one."""
    sns.set_theme(context="paper", style="ticks", palette="colorblind", rc=THEME)
    for key, value in style.items():
        try:
            matplotlib.rcParams[key] = value
        except (KeyError, ValueError) as error:
            raise InputError(
                f"style: {key} = {value!r} is no setting that matplotlib accepts. See matplotlib's rcParams."
            ) from error


def read_table(file: str | BinaryIO) -> pd.DataFrame:
    """A figure's table as `advtransfer.tables` made it, out of its CSV file; empty texts stay empty."""
    texts = {"epochs": str, "minus_source": str}
    return pd.read_csv(file, dtype=texts | {"minus_blocks": "Int64"}).fillna({"epochs": "", "minus_source": ""})


def save_figure(figure: Figure, pdf: str, png: str, caption: str, provenance: Mapping[str, Any]) -> None:
    """Write a figure as PDF (no date inside: the same table gives the same bytes) and as PNG, titled in their properties; close it.

    provenance: what made it (`artefacts.made_of`); the PNG keeps it.
    """
    with whole_file(pdf) as part:
        figure.savefig(part, format="pdf", metadata={"Title": caption, "CreationDate": None})
    with whole_file(png) as part:
        figure.savefig(
            part, format="png", metadata={"Title": caption, PROVENANCE: json.dumps(provenance, sort_keys=True)}
        )
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
        Line(sources[role], blocks, name_of(experiment, sources[role]), *ROLE_LINES[role])
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


# Layout


@dataclass
class Canvas:
    """A figure with room for a legend above its panels and for its footer below."""

    figure: Figure
    width: float
    height: float
    top: float  # of the panels' area, from the figure's lower edge
    bottom: float

    def axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        """Axes at a place in inches from the figure's lower left corner."""
        return self.figure.add_axes((left / self.width, bottom / self.height, width / self.width, height / self.height))

    def text(self, x: float, y: float, text: str, **settings: Any) -> None:
        """Text at a place in inches."""
        self.figure.text(x / self.width, y / self.height, text, **settings)

    def letter(self, x: float, y: float, letter: str) -> None:
        """The bold letter of a panel whose upper edge is at y."""
        self.text(x, y + 0.07, f"({letter})", fontweight="bold", fontsize=9)

    def legend(self, left: float, right: float, legend: "Legend") -> None:
        """A legend above the panels that stand between two places, in inches from the left."""
        self.figure.legend(
            handles=legend.handles,
            title=legend.title or None,
            title_fontsize=matplotlib.rcParams["legend.fontsize"],
            loc="upper center",
            bbox_to_anchor=((left + right) / 2 / self.width, (self.height - 0.04) / self.height),
            ncols=legend.columns(right - left),
            columnspacing=1.2,
            handlelength=2.4,
            borderaxespad=0,
        )


@dataclass(frozen=True)
class Legend:
    """Entries of a legend, in as many columns as fit where it will stand."""

    handles: list[Line2D]
    title: str = ""

    def columns(self, inches: float) -> int:
        """Columns of equal width that fit into a width; balanced, so that the last row is not a single leftover."""
        size = points(matplotlib.rcParams["legend.fontsize"])
        longest = max(len(handle.get_label()) for handle in self.handles)
        entry = (2.4 + 0.8 + 1.2 + 0.56 * longest) * size  # line, its gap, the gap between columns, words
        most = max(1, int((72 * inches + 1.2 * size) / entry))
        return math.ceil(len(self.handles) / math.ceil(len(self.handles) / most))

    def height(self, inches: float) -> float:
        """Inches that the legend takes in this width."""
        rows = math.ceil(len(self.handles) / self.columns(inches)) + bool(self.title)
        return 0.15 + rows * 1.75 * points(matplotlib.rcParams["legend.fontsize"]) / 72


def canvas(width: float, panels: float, legend: float, footer: str) -> Canvas:
    """A canvas whose panels' area is `panels` high, below a legend `legend` high and above the wrapped footer."""
    characters = int((width - 0.3) * 72 / (0.56 * FOOTER_POINTS))
    lines = [part for line in footer.splitlines() for part in textwrap.wrap(line, characters, subsequent_indent="    ")]
    below = 0.12 + len(lines) * FOOTER_POINTS * 1.35 / 72
    height = below + panels + legend
    made = Canvas(plt.figure(figsize=(width, height)), width, height, below + panels, below)
    made.text(0.15, 0.08, "\n".join(lines), fontsize=FOOTER_POINTS, color="0.3", va="bottom", linespacing=1.25)
    return made


# Panels


def draw_line(ax: Axes, part: pd.DataFrame, x: pd.Series, **look: Any) -> None:
    """One line with its band, from the means and intervals of a table, at the places x [rows of part].

    A line of one point is a marker with a bar: its band would have no width.
    """
    part = part.assign(x=x).sort_values("x")
    if len(part) == 1:
        look = {**look, "marker": look["marker"] or POINT}
        edge = {} if look["marker"] == POINT else {"markeredgecolor": "white", "markeredgewidth": 0.4}
        ax.plot(part["x"], part["mean"], zorder=3, **edge, **look)
        ax.vlines(part["x"], part["low"], part["high"], color=look["color"], linewidth=0.9, zorder=2)
        return
    ax.fill_between(part["x"], part["low"], part["high"], color=look["color"], alpha=0.17, linewidth=0, zorder=2)
    ax.plot(part["x"], part["mean"], markeredgecolor="white", markeredgewidth=0.4, zorder=3, **look)


def draw_singles(ax: Axes, part: pd.DataFrame, x: pd.Series, color: Any, marker: str) -> None:
    """A small mark for each of a few models, or pairs of models, behind a line: a dash where the line has no markers."""
    look = {"marker": "_", "linewidths": 0.6, "s": 9} if marker == "" else {"marker": "o", "linewidths": 0, "s": 4}
    ax.scatter(x, part["mean"], color=[color], alpha=0.6, zorder=2.5, **look)


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
    mine = table[(table["quantity"] == "accuracy") & (table["target"] == target)]
    format_accuracy(ax, *span(table, target))
    # Sizes are the target's own ("all" differs); epochs are common to all targets.
    everywhere = table[table["quantity"] == "accuracy"]
    format_x(ax, x_of(mine if x == "images" else everywhere, x), XLABELS[x] if xlabel else "")
    ax.set_title(name_of(experiment, target), pad=4)


def span(table: pd.DataFrame, target: str) -> tuple[pd.Series, pd.Series]:
    """The lower and the upper ends of all that a target's accuracy panels show: intervals, single models, and means without either."""
    mine = table[(table["target"] == target) & table["quantity"].isin(["accuracy", "model"])]
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


def line_handles(lines: list[Line]) -> list[Line2D]:
    """Legend entries for the lines of accuracy panels, grey: the colour is the target's."""
    return [
        Line2D(
            [], [], color=shaded("#666666", line.shade), linestyle=line.linestyle, marker=line.marker, label=line.label
        )
        for line in lines
    ]


def target_handles(targets: Iterable[str], experiment: dict[str, Any]) -> list[Line2D]:
    """Legend entries for the targets of a panel of differences."""
    looks = target_looks(experiment["targets"])
    return [
        Line2D([], [], color=looks[target][0], marker=looks[target][1], label=name_of(experiment, target))
        for target in targets
    ]


def draw_comparison(
    table: pd.DataFrame, experiment: dict[str, Any], lines: list[Line], x: str, difference: str, heading: str = ""
) -> Figure:
    """(a) a panel of accuracy for each target, (b) one tall panel with the difference for every target.

    difference: the words for what is subtracted from what. heading: the title of the lines' legend. Where the table has
    no differences, (a) stands alone.
    """
    accuracy, delta = (table[table["quantity"] == quantity] for quantity in ("accuracy", "delta"))
    lines = [
        line for line in lines if ((accuracy["source"] == line.source) & (accuracy["blocks"] == line.blocks)).any()
    ]
    if points_only(table, experiment, x):
        lines = [replace(line, marker=line.marker or POINT) for line in lines]
    targets = present(accuracy, experiment["targets"])
    columns = len(targets) if len(targets) <= 3 else math.ceil(len(targets) / 2)
    columns = min(columns, 4)
    rows = math.ceil(len(targets) / columns)
    # A single row is drawn higher, or the tall panel would not be tall.
    wide, high, left, gap, over = 1.75, (1.5 if rows > 1 else 2.2), 0.62, 0.42, 0.28
    under = room_below(labels_fit(x_of(accuracy, x), wide))
    tall = 2.9 if len(delta) else 0.0
    across = left + columns * wide + (columns - 1) * gap
    width = across + (left + 0.1 + tall if tall else 0) + 0.15
    legend = Legend(line_handles(lines), heading)
    colours = Legend(target_handles(present(delta, targets), experiment)) if tall else None
    above = max(legend.height(across), colours.height(width - across) if colours else 0)
    made = canvas(width, rows * (high + under + over), above, footer(table, experiment, x))
    for index, target in enumerate(targets):
        row, column = divmod(index, columns)
        y = made.top - (row + 1) * (high + over) - row * under
        ax = made.axes(left + column * (wide + gap), y, wide, high)
        lowest = index + columns >= len(targets)
        draw_accuracy_panel(ax, table, target, lines, x, experiment, xlabel=lowest)
        if column == 0:
            ax.set_ylabel("test accuracy (%)")
    made.letter(0.1, made.top - over, "a")
    made.legend(0, across, legend)
    if colours:
        height = rows * (high + over) + (rows - 1) * under - over
        ax = made.axes(across + left + 0.1, made.top - over - height, tall, height)
        draw_delta(ax, table[table["quantity"].isin(["delta", "pair"])], x, experiment)
        ax.set_title(difference, pad=4)
        ax.set_ylabel(DELTA_LABEL)
        made.letter(across + 0.2, made.top - over, "b")
        made.legend(across, width, colours)
    return made.figure
