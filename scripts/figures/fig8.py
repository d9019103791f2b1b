"""Draw figure 8: how often the most influential training images have the query's class."""

import pandas as pd
from matplotlib.figure import Figure

from figures.networks import draw_shares


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """(a) training images, (b) test images as queries: share of same-class images at each influence rank."""
    return draw_shares(table, experiment)
