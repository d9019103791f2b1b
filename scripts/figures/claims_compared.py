"""Draw the claims as tested on an experiment beside those as tested on the paper's own logs."""

import pandas as pd
from matplotlib.figure import Figure

from advtransfer.tables.claims import in_roles
from figures.claims import draw_claims


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """A row for each claim; of both symbols, effects (one above the other) and counts the paper's own comes first."""
    words = (
        f"First (logs): the paper's own logs; second (here): experiment {experiment['name']}. {in_roles(experiment)}"
    )
    return draw_claims(table, [("_published", "logs"), ("", "here")], words)
