"""Draw figure 5: which threat the robust source was trained against."""

import pandas as pd
from matplotlib.figure import Figure

from figures import style
from figures.axes import labels_fit, room_below, share_y


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """(a, b) accuracy of the robust sources on two targets; then a panel of all targets for each pair of sources."""
    selection = style.selection(experiment)
    lines = style.role_lines(experiment, selection["roles"])
    accuracy = table[table["quantity"] == "accuracy"]
    targets = style.present(accuracy, experiment["targets"])
    deltas = []
    for (plus, _), (minus, _) in selection["differences"]:
        names = [experiment["sources"].get(role) for role in (plus, minus)]
        part = table[
            table["quantity"].isin(["delta", "pair"])
            & (table["source"] == names[0])
            & (table["minus_source"] == names[1])
        ]
        if len(part):
            deltas.append(
                (part, style.difference_of([style.role_lines(experiment, [role])[0] for role in (plus, minus)]))
            )

    rows = max(1, len(targets))
    high, wide, tall, left, gap, over = (1.5 if rows > 1 else 2.2), 2.1, 2.55, 0.62, 0.5, 0.28
    under = room_below(labels_fit(table["images"], wide))
    across = left + wide
    width = across + len(deltas) * (tall + gap) + (0.3 if deltas else 0) + 0.15
    legend = style.Legend(style.line_handles([line for line in lines if (accuracy["source"] == line.source).any()]))
    colours = None
    if deltas:
        shown = style.present(pd.concat([part for part, _ in deltas]), experiment["targets"])
        colours = style.Legend(style.target_handles(shown, experiment))
    above = max(legend.height(across), colours.height(width - across) if colours else 0)
    made = style.canvas(width, rows * (high + under + over), above, style.footer(table, experiment))
    letters = iter("abcdefgh")
    for row, target in enumerate(targets):
        y = made.top - (row + 1) * (high + over) - row * under
        ax = made.axes(left, y, wide, high)
        style.draw_accuracy_panel(ax, table, target, lines, "images", experiment, xlabel=row == rows - 1)
        ax.set_ylabel("test accuracy (%)")
        made.letter(0.1, y + high, next(letters))
    made.legend(0, across, legend)
    if colours is None:
        return made.figure
    height = rows * (high + over) + (rows - 1) * under - over
    axes = []
    for index, (part, difference) in enumerate(deltas):
        x = across + 0.3 + gap + index * (tall + gap)
        ax = made.axes(x, made.top - over - height, tall, height)
        style.draw_delta(ax, part, "images", experiment)
        ax.set_title(difference, pad=4)
        made.letter(x - 0.4, made.top - over, next(letters))
        axes.append(ax)
    axes[0].set_ylabel(style.DELTA_LABEL)
    share_y(axes)
    made.legend(across, width, colours)
    return made.figure
