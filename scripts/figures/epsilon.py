"""Draw the epsilon ladder (beyond the paper): target accuracy against the epsilon that the source was trained with."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style
from figures.axes import epsilon_text, format_accuracy
from figures.layout import NAME, NARROWEST, OVER, UNDER, Place, most_columns, place_panels, stack, text_width

# Looks of the sizes, from few images (light) to many (dark).
SIZES = (("o", 0.6), ("s", 0.35), ("^", 0.0), ("D", -0.35), ("v", -0.6))
NORMS = {"l2": "L2", "linf": "L∞"}


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """For each norm a panel for each target, a line for each size; epsilon 0 is the natural source.

    The epsilons stand at equal distances, as they span orders of magnitude and begin at 0.
    """
    rungs = experiment["epsilon"]["sources"]
    accuracy = table[table["quantity"] == "accuracy"]
    targets = style.present(accuracy, experiment["targets"])
    sizes = [images for images in experiment["epsilon"]["images"] if (accuracy["images"] == images).any()]
    norms = [norm for norm in NORMS if any(rung["norm"] == norm for rung in rungs)]
    looks = style.target_looks(experiment["targets"])

    ladders = {norm: [rung for rung in rungs if rung["norm"] in (None, norm)] for norm in norms}
    width = style.figure_width()
    most = min(len(targets), most_columns(width, NARROWEST))
    # Rows of equally many panels, where there is such a number.
    columns = next((number for number in range(most, 1, -1) if len(targets) % number == 0), most)
    places = place_panels(width, len(targets), columns)
    rows = places[-1].row + 1
    high = float(np.clip(0.7 * places[0].width, 0.9, 1.5))
    level = {norm: ticks_fit(ladders[norm], norm, places) for norm in norms}
    heights = [
        (OVER, high, (UNDER if level[norm] else 0.36) + NAME * (row == rows - 1))
        for norm in norms
        for row in range(rows)
    ]
    look = {images: SIZES[index % len(SIZES)] for index, images in enumerate(sizes)}
    legend = style.Legend(
        [
            Line2D([], [], color=style.shaded("#666666", shade), marker=marker, label=f"{images:,} training images")
            for images, (marker, shade) in look.items()
        ]
    )
    made = style.canvas(width, sum(map(sum, heights)), legend.height(width), style.footer(table, experiment))
    bottoms = stack(made.top, heights)
    for block, norm in enumerate(norms):
        at = {rung["source"]: index for index, rung in enumerate(ladders[norm])}
        for place, target in zip(places, targets, strict=True):
            ax = made.axes(place.left, bottoms[block * rows + place.row], place.width, high)
            panel = accuracy[(accuracy["target"] == target) & accuracy["source"].isin(at)]
            for images, (marker, shade) in look.items():
                part = panel[panel["images"] == images]
                if part.empty:
                    continue
                colour = style.shaded(looks[target][0], shade)
                singles = table[
                    (table["quantity"] == "model") & (table["target"] == target) & (table["images"] == images)
                ]
                singles = singles[singles["source"].isin(at)]
                style.draw_singles(ax, singles, singles["source"].map(at), colour, marker)
                style.draw_line(ax, part, part["source"].map(at), color=colour, marker=marker, linestyle="-")
            format_accuracy(ax, *style.span(table, target))
            texts = [epsilon_text(rung["epsilon"], norm) for rung in ladders[norm]]
            ax.set_xticks(range(len(texts)), texts, rotation=0 if level[norm] else 90)
            ax.set_xlim(-0.3, len(texts) - 0.7)
            if place.row == rows - 1:
                ax.set_xlabel(f"source {NORMS[norm]} ε (0: natural)")
            style.set_title(ax, style.name_of(experiment, target))
            if place.first:
                ax.set_ylabel(style.ACCURACY_LABEL)
    made.legend(0, width, legend)
    return made.figure


def ticks_fit(ladder: list[dict], norm: str, places: list[Place]) -> bool:
    """Whether the epsilons of a ladder stand side by side below the narrowest panel."""
    size = style.label_size("xtick.labelsize")
    widest = max(text_width(epsilon_text(rung["epsilon"], norm), size) for rung in ladder)
    return (widest + 0.04) * (len(ladder) - 0.4) <= min(place.width for place in places)
