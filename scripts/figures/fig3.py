"""Draw figure 3: accuracy against epoch of the robust and the natural source, and their difference."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
from matplotlib.figure import Figure

from figures import style


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """(a) a panel for each target, robust solid with circles, natural dashed; (b) robust minus natural."""
    lines = style.role_lines(experiment, ("robust", "natural"))
    return style.draw_comparison(table, experiment, lines, "epoch", style.difference_of(lines))


if __name__ == "__main__":
    style.main(draw, __doc__)
