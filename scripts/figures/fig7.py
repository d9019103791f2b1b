"""Draw figure 7: influence matrices, sorted by class."""

import itertools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style
from figures.axes import points
from figures.networks import footer, influence_words, role_label, shorten

# The colour scale ends at this quantile of the absolute values: a few pairs would otherwise leave the rest grey.
QUANTILE = 0.97


def draw(table: tuple, experiment: dict) -> Figure:
    """Rows: queries from the training and the test set; columns: natural, robust. Grey map, dark is positive."""
    arrays, facts = table
    side, gap, over, bar = 2.5, 0.3, 0.3, 0.75
    deep = max(len(shorten(name)) for name in facts["class_names"]) * 0.62 * points("small") / 72  # a class name
    left, under = 0.45 + deep, 0.35 + deep
    names = [name for name in ("natural", "robust") if f"{name}_train" in arrays]
    width = left + len(names) * (side + gap) - gap + bar + 0.1
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
            mark_classes(ax, facts, "x", "train", side, labelled=row == 1)
            mark_classes(ax, facts, "y", queries, side, labelled=column == 0)
            if row == 0:
                ax.set_title(role_label(experiment, name), pad=4)
            if column == 0:
                what = {"train": "training", "test": "test"}[queries]
                ax.set_ylabel(f"queries: {facts['sizes'][queries]:,} {what} images")
            if row == 1:
                ax.set_xlabel(f"{facts['sizes']['train']:,} training images")
        colours = made.axes(left + len(names) * (side + gap) - gap + 0.1, bottom + 0.2 * side, 0.1, 0.6 * side)
        scale = made.figure.colorbar(shown, cax=colours, extend="both")
        scale.formatter.set_powerlimits((0, 0))
        scale.ax.tick_params(labelsize=6, length=2)
        scale.ax.yaxis.set_offset_position("left")
        scale.ax.yaxis.get_offset_text().set_fontsize(6)
    return made.figure


def mark_classes(ax: Axes, facts: dict, axis: str, side: str, inches: float, labelled: bool) -> None:
    """Lines where classes end, and each class's name at its middle, smaller or every so many where they are many."""
    edges = [0.0, *facts["edges"][side]]
    draw_line = ax.axvline if axis == "x" else ax.axhline
    for edge in edges[1:-1]:
        draw_line(edge, color="#1f77b4", linewidth=0.35)
    middles = [(low + high) / 2 for low, high in itertools.pairwise(edges)]
    each = 72 * inches / len(middles)  # points of the axis for a class
    size = float(np.clip(each * 0.8, 4, points("small")))
    step = max(1, int(np.ceil(size * 1.1 / each)))
    ticks = middles[::step] if labelled else []
    names = [shorten(name) for name in facts["class_names"][::step]] if labelled else []
    if axis == "x":
        ax.set_xticks(ticks, names, fontsize=size, rotation=90)
    else:
        ax.set_yticks(ticks, names, fontsize=size)
    ax.tick_params(axis=axis, length=0)
    ax.grid(False)
