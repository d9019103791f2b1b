"""Draw influence_all: how often influential images have the query's class, through the head and through all weights."""

import pandas as pd
from matplotlib.figure import Figure

from figures.networks import draw_shares


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """Figure 8, with lines through all fine-tuned weights beside those through the head, which are pale and thin."""
    return draw_shares(table, experiment)
