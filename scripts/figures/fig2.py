"""Draw figure 2: accuracy against images of the robust and the natural source, and their difference."""

import pandas as pd
from matplotlib.figure import Figure

from figures import style


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """(a) a panel for each target, robust solid with circles, natural dashed; (b) robust minus natural."""
    lines = style.role_lines(experiment, reversed(style.selection(experiment)["roles"]))
    return style.draw_comparison(table, experiment, lines, "images", style.difference_of(lines))
