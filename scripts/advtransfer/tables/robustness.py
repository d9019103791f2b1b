"""How robust the sources are: rows, and the table that figures draw. No torch here.

Rows have the columns of `columns.ROBUSTNESS`.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from advtransfer.artefacts import load_table
from advtransfer.config.columns import ROBUSTNESS
from advtransfer.errors import InputError

COLUMNS = list(ROBUSTNESS)


def read_robustness(files: Iterable[str | Path]) -> pd.DataFrame:
    """The rows (COLUMNS) of all files, one after another; no rows without files.

    Raises InputError where a file is missing, damaged, or of another kind.
    """
    parts = []
    for file in files:
        part = load_table(file).to_pandas()
        if list(part.columns) != COLUMNS:
            raise InputError(f"{file}: no rows of a source's robustness. Remove the file and make it again.")
        parts.append(part)
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    return rows.astype({"epsilon": float, "accuracy": float})


def source_robustness(files: Iterable[str | Path]) -> pd.DataFrame:
    """The table of figure source_robustness: accuracy of each source against the epsilon of each norm, clean at 0.

    Columns as COLUMNS; the clean accuracy stands once for each norm that a source was attacked in.
    """
    rows = read_robustness(files)
    attacked = rows[rows["norm"] != ""]
    norms = attacked[["source", "norm"]].drop_duplicates()
    clean = norms.merge(rows[rows["norm"] == ""].drop(columns="norm"), on="source")
    table = pd.concat([clean, attacked], ignore_index=True)[COLUMNS]
    return table.sort_values(["source", "norm", "epsilon"], ignore_index=True)
