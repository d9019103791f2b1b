"""Draw figure 7: influence matrices, sorted by class."""

import itertools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure

from figures import style
from figures.layout import text_width
from figures.networks import footer, influence_words, role_label, shorten

# The colour scale is linear up to this quantile of the absolute values and logarithmic from there to the largest: influence is heavy-tailed, and
# a linear scale shows a few pairs in black and white and all others in one grey.
QUANTILE = 0.75
# Decades of the logarithmic part at most, where most values are as good as nothing.
DECADES = 12
# The sizes of class names in points.
SMALLEST, LARGEST = 6.0, 7.0


def draw(table: tuple, experiment: dict) -> Figure:
    """Rows: queries from the training and the test set; columns: natural, robust. Grey map, dark is positive."""
    arrays, facts = table
    gap, over, bar, width = 0.1, 0.2, 0.6, style.figure_width()
    deep = max(text_width(shorten(name), LARGEST) for name in facts["class_names"])
    left = 0.24 + deep
    names = [name for name in ("natural", "robust") if f"{name}_train" in arrays]
    side = min(2.5, (width - left - bar - (len(names) - 1) * gap) / len(names))
    level = deep + 0.03 <= side / len(facts["class_names"])
    under = 0.33 if level else 0.24 + deep
    words = (
        f"{influence_words(experiment)} Matrices are divided by their Frobenius norm, sorted by class (lines: where classes end), and "
        f"averaged down to at most {max(map(max, (array.shape for array in arrays.values())))} cells a side; each row of panels has "
        f"one scale, linear about 0 and logarithmic beyond the {QUANTILE:.0%} quantile of the absolute values."
    )
    made = style.canvas(width, 2 * (side + over) + under, 0.05, footer(experiment, "influence", words))
    for row, queries in enumerate(("train", "test")):
        panels = {name: arrays[f"{name}_{queries}"] for name in names}
        scale = colour_scale(np.concatenate([panel.ravel() for panel in panels.values()]))
        bottom = made.top - (row + 1) * (side + over)
        for column, (name, panel) in enumerate(panels.items()):
            ax = made.axes(left + column * (side + gap), bottom, side, side)
            shown = ax.imshow(
                panel,
                cmap="Greys",
                norm=scale,
                extent=(0, 1, 1, 0),
                aspect="auto",
                interpolation="nearest",
            )
            mark_classes(ax, facts, "x", "train", side, labelled=row == 1, level=level)
            mark_classes(ax, facts, "y", queries, side, labelled=column == 0, level=True)
            if row == 0:
                style.set_title(ax, role_label(experiment, name))
            if column == 0:
                what = {"train": "training", "test": "test"}[queries]
                ax.set_ylabel(f"queries: {facts['sizes'][queries]:,} {what} images")
            if row == 1:
                ax.set_xlabel(f"{facts['sizes']['train']:,} training images")
        colours = made.axes(left + len(names) * (side + gap) - gap + 0.1, bottom + 0.15 * side, 0.07, 0.6 * side)
        legend = made.figure.colorbar(shown, cax=colours)
        powers = np.arange(np.ceil(np.log10(scale.linthresh)), np.floor(np.log10(scale.vmax)) + 1)
        ticks = [*(-(10 ** powers[::-1])), 0, *10**powers]
        legend.set_ticks(ticks, labels=list(map(_power, ticks)), fontsize=SMALLEST)
        legend.ax.minorticks_off()
        legend.ax.tick_params(length=2, pad=2)
    return made.figure


def colour_scale(values: np.ndarray) -> SymLogNorm:
    """The scale of a row of panels: symmetric about 0, to the largest absolute value; see QUANTILE and DECADES."""
    sizes = np.abs(values)
    limit = float(sizes.max()) or 1.0
    linear = max(float(np.quantile(sizes, QUANTILE)), limit * 10.0**-DECADES)
    return SymLogNorm(linthresh=min(linear, 0.5 * limit), linscale=0.3, vmin=-limit, vmax=limit)


def _power(value: float) -> str:
    """0, or a signed power of ten in few characters."""
    if value == 0:
        return "0"
    sign = "\N{MINUS SIGN}" if value < 0 else ""
    return f"{sign}1e{round(np.log10(abs(value)))}".replace("e-", "e\N{MINUS SIGN}")


def mark_classes(ax: Axes, facts: dict, axis: str, side: str, inches: float, labelled: bool, level: bool) -> None:
    """Lines where classes end, and each class's name at its middle, smaller or every so many where they are many; level or upright."""
    edges = [0.0, *facts["edges"][side]]
    draw_line = ax.axvline if axis == "x" else ax.axhline
    for edge in edges[1:-1]:
        draw_line(edge, color="#1f77b4", linewidth=0.35)
    middles = [(low + high) / 2 for low, high in itertools.pairwise(edges)]
    each = 72 * inches / len(middles)  # points of the axis for a class
    size = float(np.clip(each * 0.8, SMALLEST, LARGEST))
    step = max(1, int(np.ceil(size * 1.1 / each)))
    ticks = middles[::step] if labelled else []
    names = [shorten(name) for name in facts["class_names"][::step]] if labelled else []
    if axis == "x":
        ax.set_xticks(ticks, names, fontsize=size, rotation=0 if level else 90)
    else:
        ax.set_yticks(ticks, names, fontsize=size)
    ax.tick_params(axis=axis, length=0)
    ax.grid(False)
