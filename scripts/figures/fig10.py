"""Draw figure 10: figure 4 for each source."""

import pandas as pd
from matplotlib.figure import Figure

from figures import style
from figures.axes import format_accuracy, format_x, labels_fit, room_below, share_y


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """A row for each source: a panel for each target with one line for each block count; 3 blocks minus 1 block."""
    accuracy, delta = (table[table["quantity"] == quantity] for quantity in ("accuracy", "delta"))
    sources = [
        experiment["sources"][role] for role in style.selection(experiment)["roles"] if role in experiment["sources"]
    ]
    sources = style.present(accuracy, sources, "source")
    targets = style.present(accuracy, experiment["targets"])
    lines = [line for line in style.block_lines(experiment, sources[0]) if (accuracy["blocks"] == line.blocks).any()]

    high, wide, tall, left, gap, over = 1.5, 1.5, 2.55, 0.95, 0.4, 0.3
    under = room_below(labels_fit(accuracy["images"], wide))
    across = left + len(targets) * (wide + gap) - gap
    width = across + (0.65 + tall if len(delta) else 0) + 0.15
    legend = style.Legend(style.line_handles(lines))
    colours = style.Legend(style.target_handles(style.present(delta, targets), experiment)) if len(delta) else None
    above = max(legend.height(across), colours.height(width - across) if colours else 0)
    made = style.canvas(width, len(sources) * (high + over) + under, above, style.footer(table, experiment))
    axes = {}
    for row, source in enumerate(sources):
        y = made.top - (row + 1) * (high + over)
        made.text(
            0.12,
            y + high / 2,
            style.name_of(experiment, source),
            rotation=90,
            va="center",
            fontsize=9,
            fontweight="bold",
        )
        for column, target in enumerate(targets):
            mine = accuracy[(accuracy["source"] == source) & (accuracy["target"] == target)]
            if len(mine):
                ax = axes[row, column] = made.axes(left + column * (wide + gap), y, wide, high)
                style.draw_accuracy(ax, table, target, style.block_lines(experiment, source), "images", experiment)
                column_of = accuracy[accuracy["target"] == target]
                format_accuracy(ax, *style.span(table, target))
                format_x(ax, column_of["images"], "")
                ax.set_title(style.name_of(experiment, target), pad=4)
        mine = table[table["quantity"].isin(["delta", "pair"]) & (table["source"] == source)]
        if len(mine):
            ax = axes[row, len(targets)] = made.axes(across + 0.65, y, tall, high)
            style.draw_delta(ax, mine, "images", experiment)
            format_x(ax, delta["images"], "")
            ax.set_ylabel("difference (points)")
            ax.set_title(style.difference_of_blocks(experiment), pad=4)
    for (row, column), ax in axes.items():
        if (row + 1, column) in axes:  # the panel below has the same axis
            ax.tick_params(labelbottom=False)
        else:
            ax.set_xlabel(style.XLABELS["images"])
        if column == min(place[1] for place in axes if place[0] == row):
            ax.set_ylabel("test accuracy (%)")
    share_y([ax for (_, column), ax in axes.items() if column == len(targets)])
    made.legend(0, across, legend)
    if colours:
        made.legend(across, width, colours)
    return made.figure
