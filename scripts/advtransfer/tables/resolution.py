"""The table of robust minus natural against the target's own resolution (beyond the paper)."""

from typing import Any

import pandas as pd

from advtransfer.config.columns import RESOLUTION
from advtransfer.tables.accuracy import compare


def resolution(rows: pd.DataFrame, experiment: dict[str, Any], figure: str) -> pd.DataFrame:
    """The table (columns RESOLUTION) of accuracies and of their differences, paired by seed, at each resolution of a target.

    rows: of the targets and of their shrunk versions, which the table calls by the target's name and their `pixels`. The same
    seed draws the same images at every resolution.
    """
    table = compare(rows, experiment, figure)
    places = {
        name: (target, pixels)
        for target, shrunk in experiment["resolution"]["targets"].items()
        for pixels, name in shrunk
    }
    table["pixels"] = [places[name][1] for name in table["target"]]
    table["target"] = [places[name][0] for name in table["target"]]
    return table[list(RESOLUTION)]
