"""Draw figure 4: accuracy against images of the robust source for each number of fine-tuned blocks."""

import pandas as pd
from matplotlib.figure import Figure

from figures import style


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """(a) a panel for each target, one line for each block count; (b) 3 blocks minus 1 block."""
    source = experiment["sources"]["robust"]
    return style.draw_comparison(
        table,
        experiment,
        style.block_lines(experiment, source),
        "images",
        style.difference_of_blocks(experiment),
        heading=style.name_of(experiment, source),
    )
