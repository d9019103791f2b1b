"""Draw transferability_sources: figure transferability of sources that were trained on mixtures of classes (Liang et al. 2021)."""

import pandas as pd
from matplotlib.figure import Figure

from figures.transferability import draw as draw_comparison


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """As figure `transferability`; sources are labelled by the share of target-like classes that they were trained on."""
    return draw_comparison(table, experiment)
