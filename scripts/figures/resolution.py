"""Draw robust minus natural against the target's own resolution (beyond the paper)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style
from figures.axes import format_delta, format_x, share_y
from figures.epsilon import SIZES
from figures.layout import NAME, OVER, UNDER, most_columns, place_panels, stack

NARROWEST = 1.3


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """A panel for each target, a line for each number of training images; the rightmost point is the target as it is."""
    delta = table[table["quantity"] == "delta"]
    targets = style.present(delta, experiment["targets"])
    sizes = [images for images in experiment["resolution"]["images"] if (delta["images"] == images).any()]
    looks = style.target_looks(experiment["targets"])
    shades = SIZES if len(sizes) > 1 else (("o", 0.0),)
    look = {images: shades[index % len(shades)] for index, images in enumerate(sizes)}

    width = style.figure_width()
    places = place_panels(width, len(targets), min(len(targets), most_columns(width, NARROWEST)))
    high = float(np.clip(0.7 * places[0].width, 1.1, 1.7))
    rows = [(OVER, high, UNDER + NAME)] * (places[-1].row + 1)
    legend = style.Legend(
        [
            Line2D([], [], color=style.shaded("#666666", shade), marker=marker, label=f"{images:,} training images")
            for images, (marker, shade) in look.items()
        ]
    )
    words = style.footer(*_told_apart(table, experiment))
    made = style.canvas(width, sum(map(sum, rows)), legend.height(width), words)
    bottoms = stack(made.top, rows)
    panels = []
    for place, target in zip(places, targets, strict=True):
        ax = made.axes(place.left, bottoms[place.row], place.width, high)
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
        style.set_title(ax, style.name_of(experiment, target))
        if place.first:
            ax.set_ylabel("robust \N{MINUS SIGN} natural (points)")
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
