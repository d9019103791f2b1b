"""Draw figure 5: which threat the robust source was trained against."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from figures import style
from figures.axes import share_y
from figures.layout import GAP, LEFT, NAME, NARROWEST, OVER, RIGHT, UNDER, most_columns, place_panels, stack

# Inches from one panel of differences to the next, which shares its y axis.
APART = 0.3


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """(a, b) accuracy of the robust sources on two targets; below them a panel of all targets for each pair of sources."""
    selection, width = style.selection(experiment), style.figure_width()
    lines = style.drawn_lines(table, experiment, style.role_lines(experiment, selection["roles"]), "images")
    targets = style.present(table[table["quantity"] == "accuracy"], experiment["targets"])
    deltas = []
    for (plus, _), (minus, _) in selection["differences"]:
        names = [experiment["sources"].get(role) for role in (plus, minus)]
        part = table[
            table["quantity"].isin(["delta", "pair"])
            & (table["source"] == names[0])
            & (table["minus_source"] == names[1])
        ]
        if len(part):
            deltas.append((part, [style.name_of(experiment, name) for name in names]))

    places = place_panels(width, len(targets), min(len(targets), most_columns(width, NARROWEST)))
    rows = places[-1].row + 1
    high = float(np.clip(0.62 * places[0].width, 0.9, 1.7))
    heights = [(OVER, high, UNDER + NAME * (row == rows - 1)) for row in range(rows)]
    legend = style.Legend(style.line_handles(lines, table))
    above, between = legend.height(width), 0.0
    across = min(len(deltas), most_columns(width, NARROWEST))
    if deltas:
        shown = style.present(pd.concat([part for part, _ in deltas]), experiment["targets"])
        colours = style.Legend(style.target_handles(shown, experiment))
        between = colours.height(width)
        below = -(-len(deltas) // across)
        # A title of two lines: the source, and the one that is subtracted.
        heights += [(OVER + 0.08 + between * (row == 0), 1.5, UNDER + NAME) for row in range(below)]
    made = style.canvas(width, sum(map(sum, heights)), above, style.footer(table, experiment))
    made.legend(0, width, legend)
    bottoms = stack(made.top, heights)
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    for place, target in zip(places, targets, strict=True):
        ax = made.axes(place.left, bottoms[place.row], place.width, high)
        style.draw_accuracy_panel(ax, table, target, lines, "images", experiment, xlabel=place.row == rows - 1)
        if place.first:
            ax.set_ylabel(style.ACCURACY_LABEL)
        made.letter(place.left - (LEFT if place.first else GAP) + 0.04, bottoms[place.row] + high, next(letters))
    if not deltas:
        return made.figure
    made.legend(0, width, colours, bottoms[rows] + sum(heights[rows][:2]))
    axes = []
    for index, (part, (plus, minus)) in enumerate(deltas):
        row, column = divmod(index, across)
        many = min(across, len(deltas) - row * across)
        wide = (width - LEFT - RIGHT - (many - 1) * APART) / many
        left, bottom = LEFT + column * (wide + APART), bottoms[rows + row]
        ax = made.axes(left, bottom, wide, heights[rows + row][1])
        style.draw_delta(ax, part, "images", experiment)
        style.set_title(ax, plus, f"\N{MINUS SIGN} {minus}")
        made.letter(left - (LEFT - 0.04 if column == 0 else 0.2), bottom + heights[rows + row][1], next(letters))
        if column == 0:
            ax.set_ylabel(style.DELTA_LABEL)
        axes.append(ax)
    share_y(axes)
    for index, ax in enumerate(axes):
        ax.tick_params(labelleft=index % across == 0)
    return made.figure
