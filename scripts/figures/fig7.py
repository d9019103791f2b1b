"""Draw figure 7: influence matrices, sorted by class."""

import itertools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style
from figures.layout import text_width
from figures.networks import footer, influence_words, role_label, shorten

# The colour scale ends at this quantile of the absolute values: a few pairs would otherwise leave the rest grey.
QUANTILE = 0.97
# The sizes of class names in points.
SMALLEST, LARGEST = 6.0, 7.0


def draw(table: tuple, experiment: dict) -> Figure:
    """Rows: queries from the training and the test set; columns: natural, robust. Grey map, dark is positive."""
    arrays, facts = table
    gap, over, bar, width = 0.1, 0.2, 0.46, style.figure_width()
    deep = max(text_width(shorten(name), LARGEST) for name in facts["class_names"])
    left = 0.24 + deep
    names = [name for name in ("natural", "robust") if f"{name}_train" in arrays]
    side = min(2.5, (width - left - bar - (len(names) - 1) * gap) / len(names))
    level = deep + 0.03 <= side / len(facts["class_names"])
    under = 0.33 if level else 0.24 + deep
    words = (
        f"{influence_words(experiment)} Matrices are divided by their Frobenius norm, sorted by class (lines: where classes end), and "
        f"averaged down to at most {max(map(max, (array.shape for array in arrays.values())))} cells a side; each row of panels has "
        f"one scale, which ends at the {QUANTILE:.0%} quantile of the absolute values."
    )
    made = style.canvas(width, 2 * (side + over) + under, 0.05, footer(experiment, "influence", words))
    for row, queries in enumerate(("train", "test")):
        panels = {name: arrays[f"{name}_{queries}"] for name in names}
        limit = np.quantile(np.abs(np.concatenate([panel.ravel() for panel in panels.values()])), QUANTILE) or 1.0
        bottom = made.top - (row + 1) * (side + over)
        for column, (name, panel) in enumerate(panels.items()):
            ax = made.axes(left + column * (side + gap), bottom, side, side)
            shown = ax.imshow(
                panel,
                cmap="Greys",
                vmin=-limit,
                vmax=limit,
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
        scale = made.figure.colorbar(shown, cax=colours, extend="both")
        scale.formatter.set_powerlimits((0, 0))
        scale.ax.tick_params(labelsize=SMALLEST, length=2)
        scale.ax.yaxis.set_offset_position("left")
        scale.ax.yaxis.get_offset_text().set_fontsize(SMALLEST)
    return made.figure


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
