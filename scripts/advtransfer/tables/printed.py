"""The means that the paper's Table 5 prints (resources/published/table5.csv): beside an experiment's own, by source or by role."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from advtransfer.config.grid import Cell, cells

PRINTED = Path(__file__).resolve().parents[3] / "resources" / "published" / "table5.csv"
# The protocol and the trained blocks of its models.
PROTOCOL = "paper"
BLOCKS = 3
# The paper's source in each role.
SOURCE_OF_ROLE = {"natural": "natural", "robust": "l2_3", "linf_small": "linf_4", "linf_large": "linf_8"}

KEYS = ["target", "images", "source"]


def printed_means(experiment: dict[str, Any], figure: str, printed: str | Path = PRINTED) -> pd.DataFrame:
    """The means that Table 5 prints of the cells that a figure of the experiment draws.

    Columns target, images, source, printed_percent (mean last-epoch test accuracy over seeds with 3 blocks, percent), in the
    order of the figure's cells. Cells that Table 5 has not are left out: other block counts, sizes, targets and sources, and all of
    an experiment with another protocol than the paper's. printed: file of the printed values.
    """
    shown = (cell for cell in cells(experiment, figure) if experiment["protocol"] == PROTOCOL)
    return _look_up(((cell, cell.source) for cell in shown), printed)


def printed_by_role(experiment: dict[str, Any], figure: str, printed: str | Path = PRINTED) -> pd.DataFrame:
    """The means that Table 5 prints of the paper's sources in the roles of the cells that a figure of the experiment draws.

    As `printed_means`, but of any experiment on the paper's targets: `source` is the paper's, whichever network the experiment has
    in its role, and whatever its protocol.
    """
    theirs = {source: SOURCE_OF_ROLE[role] for role, source in experiment["sources"].items()}
    return _look_up(((cell, theirs.get(cell.source)) for cell in cells(experiment, figure)), printed)


def _look_up(shown: Iterator[tuple[Cell, str | None]], printed: str | Path) -> pd.DataFrame:
    """The printed values of cells, each with the paper's source that stands for it."""
    mine = [(cell.target, cell.images, source) for cell, source in shown if cell.blocks == BLOCKS]
    values = pd.read_csv(printed).set_index(KEYS)["printed_percent"]
    found = pd.Series([values.get(cell) for cell in mine], dtype="float64")
    return pd.DataFrame(mine, columns=KEYS).assign(printed_percent=found).dropna(ignore_index=True)
