"""Draw figure 10: figure 4 for each source."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from figures import style
from figures.axes import format_accuracy, format_x, share_y
from figures.layout import LEFT, NAME, UNDER, most_columns, place_panels, stack

# Room above a panel for its title, and below the panels of a source.
OVER, BETWEEN = 0.18, 0.06
# What all panels and the room around them take together, so that the figure fits on a page.
PANELS = 7.0


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """For each source: a panel for each target with one line for each block count; 3 blocks minus 1 block.

    Panels stand side by side under the source's name, only those that have a model, and the differences fill what is left of the last row.
    """
    accuracy, delta = (table[table["quantity"] == quantity] for quantity in ("accuracy", "delta"))
    width = style.figure_width()
    sources = [
        experiment["sources"][role] for role in style.selection(experiment)["roles"] if role in experiment["sources"]
    ]
    sources = style.present(accuracy, sources, "source")
    lines = [line for line in style.block_lines(experiment, sources[0]) if (accuracy["blocks"] == line.blocks).any()]
    blocks, rows = [], []
    for source in sources:
        targets = style.present(accuracy[accuracy["source"] == source], experiment["targets"])
        tail = bool((delta["source"] == source).any())
        columns = min(most_columns(width, 0.85), len(targets) + tail)
        places = place_panels(width, len(targets), columns, tail, LEFT + 0.14)
        blocks.append((source, targets, places, len(rows)))
        rows += [(OVER, 0.0, UNDER + BETWEEN * (row == places[-1].row)) for row in range(places[-1].row + 1)]
    high = float(np.clip(PANELS / len(rows) - OVER - UNDER, 0.55, 1.0))
    rows = [(over, high, under) for over, _, under in rows]
    rows[-1] = (OVER, high, UNDER + NAME)

    legends = [style.Legend(style.line_handles(lines))]
    compared = style.present(delta, experiment["targets"])
    if compared:
        legends.append(style.Legend(style.target_handles(compared, experiment)))
    tall = [legend.height(width) for legend in legends]
    made = style.canvas(width, sum(map(sum, rows)), sum(tall), style.footer(table, experiment))
    top = made.height
    for legend, tallness in zip(legends, tall, strict=True):
        made.legend(0, width, legend, top)
        top -= tallness
    bottoms, differences = stack(made.top, rows), []
    for source, targets, places, first in blocks:
        last, size = places[-1].row, style.label_size("axes.titlesize")
        lower, upper = bottoms[first + last], bottoms[first] + high
        # Bold letters are wider by about a tenth.
        name = style.shorten_text(style.name_of(experiment, source), 0.9 * (upper - lower + OVER), size)
        bold = {"fontsize": size, "fontweight": "bold", "rotation": 90, "ha": "center", "va": "center"}
        made.text(0.08, (lower + upper) / 2, name, **bold)
        for place, target in zip(places, [*targets, None][: len(places)], strict=True):
            ax = made.axes(place.left, bottoms[first + place.row], place.width, high)
            xlabel = style.XLABELS["images"] if first + place.row == len(rows) - 1 else ""
            if target is None:
                mine = table[table["quantity"].isin(["delta", "pair"]) & (table["source"] == source)]
                style.draw_delta(ax, mine, "images", experiment)
                format_x(ax, delta["images"], xlabel)
                ax.set_ylabel("diff. (points)")
                style.set_title(ax, style.difference_of_blocks(experiment))
                differences.append(ax)
                continue
            style.draw_accuracy(ax, table, target, style.block_lines(experiment, source), "images", experiment)
            format_accuracy(ax, *style.span(table, target))
            format_x(ax, accuracy[accuracy["target"] == target]["images"], xlabel)
            style.set_title(ax, style.name_of(experiment, target))
            if place.first:
                ax.set_ylabel("accuracy (%)")
    share_y(differences)
    return made.figure
