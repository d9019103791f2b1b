"""Draw figure 8: how often the most influential training images have the target's class."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style
from figures.inspection import ROLE_LOOKS, footer, influence_words, role_label

PANELS = {"train": "training images as targets", "test": "test images as targets"}


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """(a) training images, (b) test images as targets: share of same-class images at each influence rank."""
    high, wide, left, gap, over, under = 2.2, 2.9, 0.62, 0.3, 0.28, 0.5
    width = left + 2 * wide + gap + 0.15
    roles = style.present(table, ROLE_LOOKS, "role")
    handles = [Line2D([], [], label=role_label(experiment, role), **ROLE_LOOKS[role]) for role in roles]
    handles.append(Line2D([], [], color="0.6", linestyle=":", label="any training image"))
    legend = style.Legend(handles)
    counts = {name: table.loc[table["targets"] == name, "target_images"].max() for name in PANELS}
    words = (
        f"Shares over {counts['train']:,} training and {counts['test']:,} test images. {influence_words(experiment)}"
    )
    made = style.canvas(width, high + over + under, legend.height(width), footer(experiment, "influence", words))
    for column, (targets, title) in enumerate(PANELS.items()):
        x = left + column * (wide + gap)
        ax = made.axes(x, made.top - over - high, wide, high)
        part = table[table["targets"] == targets]
        for role in roles:
            mine = part[part["role"] == role]
            ax.plot(mine["rank"], 100 * mine["same_class_share"], **ROLE_LOOKS[role], zorder=3)
        ax.axhline(100 * part["chance"].iloc[0], color="0.6", linestyle=":", linewidth=1.0, zorder=2)
        ax.set(xlim=(0, part["rank"].max() + 1), ylim=(0, 100), xlabel="influence rank", title=title)
        ax.set_xticks([1, *range(20, part["rank"].max() + 1, 20)])
        made.letter(x - 0.5 if column == 0 else x - 0.2, made.top - over, "ab"[column])
        if column == 0:
            ax.set_ylabel("same class (%)")
        else:
            ax.tick_params(labelleft=False)
    made.legend(0, width, legend)
    return made.figure


if __name__ == "__main__":
    style.main(draw, __doc__)
