"""Draw the epsilon ladder (beyond the paper): target accuracy against the epsilon that the source was trained with."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style
from figures.axes import epsilon_text, format_accuracy

# Looks of the sizes, from few images (light) to many (dark).
SIZES = (("o", 0.6), ("s", 0.35), ("^", 0.0), ("D", -0.35), ("v", -0.6))
NORMS = {"l2": "L2", "linf": "L∞"}


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """A row for each norm, a panel for each target, a line for each size; epsilon 0 is the natural source.

    The epsilons stand at equal distances, as they span orders of magnitude and begin at 0.
    """
    rungs = experiment["epsilon"]["sources"]
    accuracy = table[table["quantity"] == "accuracy"]
    targets = style.present(accuracy, experiment["targets"])
    sizes = [images for images in experiment["epsilon"]["images"] if (accuracy["images"] == images).any()]
    norms = [norm for norm in NORMS if any(rung["norm"] == norm for rung in rungs)]
    looks = style.target_looks(experiment["targets"])

    high, left, gap, over, under = 1.7, 0.62, 0.42, 0.28, 0.5
    ladders = {norm: [rung for rung in rungs if rung["norm"] in (None, norm)] for norm in norms}
    wide = max(1.6, 0.33 * max(map(len, ladders.values()), default=0))
    width = left + len(targets) * (wide + gap) - gap + 0.15
    look = {images: SIZES[index % len(SIZES)] for index, images in enumerate(sizes)}
    legend = style.Legend(
        [
            Line2D([], [], color=style.shaded("#666666", shade), marker=marker, label=f"{images:,} training images")
            for images, (marker, shade) in look.items()
        ]
    )
    made = style.canvas(
        width, len(norms) * (high + over + under), legend.height(width), style.footer(table, experiment)
    )
    for row, norm in enumerate(norms):
        y = made.top - (row + 1) * (high + over) - row * under
        place = {rung["source"]: index for index, rung in enumerate(ladders[norm])}
        for column, target in enumerate(targets):
            ax = made.axes(left + column * (wide + gap), y, wide, high)
            panel = accuracy[(accuracy["target"] == target) & accuracy["source"].isin(place)]
            for images, (marker, shade) in look.items():
                part = panel[panel["images"] == images]
                colour = style.shaded(looks[target][0], shade)
                singles = table[
                    (table["quantity"] == "model") & (table["target"] == target) & (table["images"] == images)
                ]
                singles = singles[singles["source"].isin(place)]
                style.draw_singles(ax, singles, singles["source"].map(place), colour, marker)
                style.draw_line(ax, part, part["source"].map(place), color=colour, marker=marker, linestyle="-")
            format_accuracy(ax, *style.span(table, target))
            texts = [epsilon_text(rung["epsilon"], norm) for rung in ladders[norm]]
            ax.set_xticks(range(len(texts)), texts)
            ax.set_xlim(-0.3, len(texts) - 0.7)
            ax.set_xlabel(f"source {NORMS[norm]} epsilon (0: natural)")
            ax.set_title(style.name_of(experiment, target), pad=4)
            if column == 0:
                ax.set_ylabel("test accuracy (%)")
    made.legend(0, width, legend)
    return made.figure
