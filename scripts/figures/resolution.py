"""Draw robust minus natural against the target's own resolution (beyond the paper)."""

import math

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style
from figures.axes import format_delta, format_x, share_y
from figures.epsilon import SIZES


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """A panel for each target, a line for each number of training images; the rightmost point is the target as it is."""
    delta = table[table["quantity"] == "delta"]
    targets = style.present(delta, experiment["targets"])
    sizes = [images for images in experiment["resolution"]["images"] if (delta["images"] == images).any()]
    looks = style.target_looks(experiment["targets"])

    columns = min(len(targets), 3)
    rows = math.ceil(len(targets) / columns)
    width, high, left, gap, over, under = 5.5, 1.7, 0.62, 0.25, 0.28, 0.5
    wide = min(2.25, (width - left - 0.15 - (columns - 1) * gap) / columns)
    look = {images: SIZES[index % len(SIZES)] for index, images in enumerate(sizes)}
    legend = style.Legend(
        [
            Line2D([], [], color=style.shaded("#666666", shade), marker=marker, label=f"{images:,} training images")
            for images, (marker, shade) in look.items()
        ]
    )
    made = style.canvas(
        width, rows * (high + over + under), legend.height(width), style.footer(*_told_apart(table, experiment))
    )
    panels = []
    for index, target in enumerate(targets):
        row, column = divmod(index, columns)
        y = made.top - (row + 1) * (high + over) - row * under
        ax = made.axes(left + column * (wide + gap), y, wide, high)
        mine = table[table["target"] == target]
        for images, (marker, shade) in look.items():
            part = mine[(mine["quantity"] == "delta") & (mine["images"] == images)]
            singles = mine[(mine["quantity"] == "pair") & (mine["images"] == images)]
            colour = style.shaded(looks[target][0], shade)
            style.draw_singles(ax, singles, singles["pixels"], colour, marker)
            if len(part):
                style.draw_line(ax, part, part["pixels"], color=colour, marker=marker, linestyle="-")
        format_delta(ax)
        format_x(ax, mine["pixels"], "resolution of the target (pixels)")
        ax.set_title(style.name_of(experiment, target), pad=4)
        if column == 0:
            ax.set_ylabel("robust \N{MINUS SIGN} natural (points)")
        else:
            ax.tick_params(labelleft=False)
        panels.append(ax)
    share_y(panels)
    made.legend(0, width, legend)
    return made.figure


def _told_apart(table: pd.DataFrame, experiment: dict) -> tuple[pd.DataFrame, dict]:
    """The table and the experiment with a target of its own for each resolution, as the footer counts models by target."""
    names = {
        (target, pixels): f"{style.name_of(experiment, target)} at {pixels} pixels"
        for target, places in experiment["resolution"]["targets"].items()
        for pixels, _ in places
    }
    labelled = [names[place] for place in zip(table["target"], table["pixels"], strict=True)]
    return table.assign(target=labelled), {**experiment, "targets": list(names.values())}
