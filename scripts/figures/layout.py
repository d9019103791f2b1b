"""Where things stand on a figure of a given width: panels in rows, legends above, the footer below; measured text. No torch here.

Places and sizes are in inches, font sizes in points: what is drawn at the width of the page is printed as it is, and its text keeps its size.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import LoadFlags
from matplotlib.lines import Line2D

FOOTER_POINTS = 6.2
# Room for the name and the numbers of a y axis, between two panels (the numbers of the right one), and at the right edge.
LEFT, GAP, RIGHT = 0.48, 0.36, 0.18
# The least width of a panel of accuracies that can be read.
NARROWEST = 1.05
# Room above a panel for its title, below it for the numbers of the x axis, and for that axis's name.
OVER, UNDER, NAME = 0.23, 0.19, 0.14


def figure_width() -> float:
    """The width of figures in inches, as `style.set_theme` set it."""
    return float(matplotlib.rcParams["figure.figsize"][0])


def points(size: float | str) -> float:
    """A font size in points, such as 8 or "small"."""
    return FontProperties(size=size).get_size_in_points()


def text_width(text: str, size: float | str) -> float:
    """Inches that one line of text takes in a font size, in the font of figures, as it is printed (without hinting to pixels)."""
    return _width(text, points(size), tuple(matplotlib.rcParams["font.family"]))


@functools.cache
def _width(text: str, size: float, family: tuple[str, ...]) -> float:
    font = get_font(findfont(FontProperties(family=list(family))))
    font.set_size(size, 72)
    font.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
    # 26.6 fixed point. A little more: images hint to their pixels.
    return 1.02 * font.get_width_height()[0] / 64 / 72


def shorten_text(text: str, inches: float, size: float | str) -> str:
    """One line of text that fits into a width: its beginning and an ellipsis where it is too long."""
    if text_width(text, size) <= inches:
        return text
    for length in range(len(text) - 1, 0, -1):
        shortened = f"{text[:length].rstrip()}…"
        if text_width(shortened, size) <= inches:
            return shortened
    return "…"


def wrap_text(text: str, inches: float, size: float | str, indent: str = "") -> list[str]:
    """The lines of a text wrapped into a width; a word that is wider than a line is cut. indent: of all lines but the first."""
    lines, line = [], ""
    blank = 0.33 * points(size) / 72
    used = 0.0
    for word in text.split():
        wide = text_width(word, size)
        if line.strip() and used + blank + wide <= inches:
            line, used = f"{line} {word}", used + blank + wide
            continue
        if line.strip():
            lines.append(line)
            line = indent
        room = inches - text_width(line, size)
        word = shorten_text(word, room, size) if wide > room else word
        line, used = f"{line}{word}", text_width(line, size) + min(wide, room)
    return [*lines, line] if line.strip() else lines


def label_size(key: str) -> float:
    """The size in points of what an rcParam such as "axes.titlesize" sets."""
    return points(matplotlib.rcParams[key])


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
        self.text(x, y + 0.055, f"({letter})", fontweight="bold", fontsize=matplotlib.rcParams["axes.titlesize"])

    def legend(self, left: float, right: float, legend: "Legend", top: float | None = None) -> None:
        """A legend between two places from the left, below `top` (of the figure by default), in inches."""
        self.figure.legend(
            handles=legend.fitted(right - left),
            title=legend.title or None,
            title_fontsize=matplotlib.rcParams["legend.fontsize"],
            loc="upper center",
            bbox_to_anchor=(
                (left + right) / 2 / self.width,
                ((self.height if top is None else top) - 0.04) / self.height,
            ),
            ncols=legend.columns(right - left),
            columnspacing=COLUMN_GAP,
            handlelength=HANDLE,
            handletextpad=HANDLE_GAP,
            labelspacing=0.3,
            borderpad=0,
            borderaxespad=0,
        )


# In font sizes: the line of an entry of a legend, its gap, and the gap between columns.
HANDLE, HANDLE_GAP, COLUMN_GAP = 2.4, 0.6, 1.3


@dataclass(frozen=True)
class Legend:
    """Entries of a legend, in as many columns as fit where it will stand."""

    handles: Sequence[Any]
    title: str = ""

    def columns(self, inches: float) -> int:
        """Columns that fit into a width, balanced, so that the last row is not a single leftover."""
        size = label_size("legend.fontsize")
        longest = max(text_width(handle.get_label(), size) for handle in self.handles)
        entry = (HANDLE + HANDLE_GAP + COLUMN_GAP) * size / 72 + longest
        most = max(1, int((inches + COLUMN_GAP * size / 72) / entry))
        return math.ceil(len(self.handles) / math.ceil(len(self.handles) / most))

    def fitted(self, inches: float) -> list[Any]:
        """The entries, their words shortened where a single column is too wide."""
        size = label_size("legend.fontsize")
        room = inches - (HANDLE + HANDLE_GAP + 1) * size / 72
        for handle in self.handles:
            handle.set_label(shorten_text(handle.get_label(), room, size))
        return list(self.handles)

    def height(self, inches: float) -> float:
        """Inches that the legend takes in this width, with the room around it."""
        rows = math.ceil(len(self.handles) / self.columns(inches)) + bool(self.title)
        return 0.08 + (1.31 * rows) * label_size("legend.fontsize") / 72


def canvas(width: float, panels: float, legend: float, footer: str) -> Canvas:
    """A canvas whose panels' area is `panels` high, below a legend `legend` high and above the wrapped footer."""
    lines = [part for line in footer.splitlines() for part in wrap_text(line, width - 0.2, FOOTER_POINTS, "    ")]
    below = 0.1 + len(lines) * FOOTER_POINTS * 1.3 / 72
    height = below + panels + legend
    made = Canvas(plt.figure(figsize=(width, height)), width, height, below + panels, below)
    made.text(0.1, 0.05, "\n".join(lines), fontsize=FOOTER_POINTS, color="0.3", va="bottom", linespacing=1.2)
    return made


class Place(NamedTuple):
    """Where a panel stands: its row from above, its left edge and its width in inches, and whether it begins its row."""

    row: int
    left: float
    width: float
    first: bool


def most_columns(width: float, narrowest: float) -> int:
    """How many panels of at least a width stand side by side in a figure, their gaps included."""
    return max(1, int((width - LEFT - RIGHT + GAP) / (narrowest + GAP)))


def place_panels(width: float, count: int, columns: int, tail: bool = False, edge: float = LEFT) -> list[Place]:
    """Places of `count` panels in rows of `columns`, and of one more, the tail, where asked for.

    No place stays empty: the tail takes what is left of the last row, or a row of its own; without one, the panels of the last row are wider.
    edge: the left edge of the first panels.
    """
    whole = width - edge - RIGHT
    unit = (whole - (columns - 1) * GAP) / columns
    used = count % columns
    places = []
    for index in range(count):
        row, column = divmod(index, columns)
        wide = (whole - (used - 1) * GAP) / used if used and not tail and row == count // columns else unit
        places.append(Place(row, edge + column * (wide + GAP), wide, column == 0))
    if tail:
        # The name of its y axis stands left of it.
        left = edge + used * (unit + GAP) + (0.24 if used else 0.0)
        places.append(Place(count // columns, left, width - RIGHT - left, used == 0))
    return places


def stack(top: float, rows: Sequence[tuple[float, float, float]]) -> list[float]:
    """The lower edges of panels in rows below `top`; of each row the room above, the panels' height, and the room below."""
    bottoms = []
    for over, high, under in rows:
        bottoms.append(top - over - high)
        top -= over + high + under
    return bottoms


def spread(values: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Values moved as little as it takes to lie `apart` from each other and between low and high, in the order that they had."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    placed = [min(max(values[index], low), high) for index in order]
    for _ in range(100):  # neighbours push each other away, and the ends push back
        for index in range(1, len(placed)):
            overlap = apart - (placed[index] - placed[index - 1])
            if overlap > 1e-9:
                placed[index - 1] -= overlap / 2
                placed[index] += overlap / 2
        if placed:
            shift = max(low - placed[0], 0) or min(high - placed[-1], 0)
            placed = [value + shift for value in placed]
    result = [0.0] * len(values)
    for index, value in zip(order, placed, strict=True):
        result[index] = value
    return result


def label_ends(ax: Axes, ends: Sequence[tuple[str, Any, float, float]]) -> None:
    """Names at the right of axes, beside the ends of their lines: (name, colour, x and y of the end), with thin leaders.

    The limits of the axes have to be final. Room for the names (`room_for_ends`) has to be free.
    """
    if not ends:
        return
    ax.get_xlim(), ax.get_ylim()  # settles the limits
    figure = ax.get_figure()
    wide, high = (
        size * edge
        for size, edge in zip(ax.get_position().size, (figure.get_figwidth(), figure.get_figheight()), strict=True)
    )
    to_axes = ax.transData + ax.transAxes.inverted()
    at = [to_axes.transform((x, y)) for _, _, x, y in ends]
    size = label_size("legend.fontsize")
    apart = 1.25 * size / 72 / high
    heights = spread([y for _, y in at], apart, apart / 2, 1 - apart / 2)
    for (name, colour, _, _), (x, y), placed in zip(ends, at, heights, strict=True):
        leader = Line2D(
            [x, 1 + 0.03 / wide, 1 + 0.09 / wide],
            [y, placed, placed],
            transform=ax.transAxes,
            color=colour,
            linewidth=0.6,
            linestyle=(0, (1, 2)),  # dotted: no data
        )
        figure.add_artist(leader)
        ax.text(
            1 + 0.11 / wide,
            placed,
            name,
            transform=ax.transAxes,
            color=colour,
            fontsize=size,
            va="center_baseline",
        )


def room_for_ends(names: Sequence[str]) -> float:
    """Inches that `label_ends` takes at the right of axes."""
    return 0.13 + max(text_width(name, label_size("legend.fontsize")) for name in names)
