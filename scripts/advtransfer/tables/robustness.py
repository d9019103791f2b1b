"""How robust the sources are: rows, those that a training record holds already, and the table that figures draw. No torch here.

Rows have the columns of `columns.ROBUSTNESS`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from advtransfer.artefacts import load_table
from advtransfer.config.columns import ROBUSTNESS
from advtransfer.errors import InputError

COLUMNS = list(ROBUSTNESS)


def describe_attack(attack: str, steps: int, restarts: int) -> str:
    """The words that tables and figures use for an attack."""
    if attack == "autoattack":
        return "AutoAttack"
    return f"PGD-{steps}" + (f", {restarts} restarts" if restarts > 1 else "")


def recorded(metadata: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Rows (COLUMNS) out of the training record that a source artefact carries; none where it carries none."""
    origin = metadata.get("origin", {})
    record = origin.get("record", origin)
    if "measured" not in record:
        return []
    measured, steps = record["measured"], record["settings"]["evaluation"]["attack_steps"]
    common = {"source": name, "origin": "training record"}
    clean = {"norm": "", "epsilon": 0.0, "accuracy": measured["test_accuracy"], "images": measured["test_images"]}
    return [
        {**common, **clean, "attack": "none"},
        *(
            {**common, **threat, "images": measured["attacked_images"], "attack": describe_attack("pgd", steps, 1)}
            for threat in measured["robust_accuracy"]
        ),
    ]


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
