"""Table 5: accuracy by target, size and source, the published value beside ours; as a table and as Markdown."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from advtransfer.config.columns import TABLE5
from advtransfer.config.grid import cells
from advtransfer.tables.accuracy import Accuracies

PUBLISHED = Path(__file__).resolve().parents[3] / "resources" / "published" / "table5.csv"


def table5(
    rows: pd.DataFrame, experiment: dict[str, Any], figure: str = "table5", published: str | Path = PUBLISHED
) -> pd.DataFrame:
    """Mean last-epoch test accuracy at 3 blocks, in percent, of every cell that has a model, in the experiment's order.

    Columns as `columns.TABLE5`. The last is the paper's value of the same
    target, size and source, out of the file `published`; it is empty where the paper or that file has none, and for any
    other protocol than the paper's.
    """
    found = Accuracies(rows, experiment, figure)
    printed = pd.read_csv(published).set_index(["target", "images", "source"])["published_percent"]
    lines = []
    for target in experiment["targets"]:
        mine = [cell for cell in found.grid if cell.target == target]
        for cell in sorted(mine, key=lambda cell: cell.images):  # stable: sources stay in the order of their roles
            models = found.models.get((cell.source, target, cell.blocks, cell.images, None))
            if models is not None:
                value = printed.get((target, cell.images, cell.source), np.nan)
                lines.append(
                    {
                        "target": target,
                        "images": cell.images,
                        "source": cell.source,
                        "accuracy_percent": 100 * models["test_accuracy"].mean(),
                        "models": len(models),
                        "published_percent": value if experiment["protocol"] == "paper" else np.nan,
                    }
                )
    return pd.DataFrame(lines, columns=list(TABLE5))


def render(table: pd.DataFrame, experiment: dict[str, Any]) -> str:
    """One row for each target and size, one column for each source, the row's best in bold, what is published in ().

    Sizes without any model have no row; a source without a model shows a dash.
    """
    labels = experiment["labels"]
    grid = list(cells(experiment, "table5"))
    sources = [source for source in dict.fromkeys(cell.source for cell in grid) if (table["source"] == source).any()]
    header = ["target", "images", *(labels.get(source, source) for source in sources), "models"]
    lines = [_row(header), _row([":--", *["--:"] * (len(header) - 1)])]
    for (target, images), group in table.groupby(["target", "images"], sort=False):
        mine = group.set_index("source")
        best = mine["accuracy_percent"].round(2).max()
        texts, models = [], []
        for source in sources:
            if source not in mine.index:
                texts.append("\N{EN DASH}")
                continue
            value, published = mine.loc[source, ["accuracy_percent", "published_percent"]]
            text = f"**{value:.2f}**" if round(value, 2) == best else f"{value:.2f}"
            texts.append(text if pd.isna(published) else f"{text} ({published:.2f})")
            models.append(int(mine.loc[source, "models"]))
        counts = str(models[0]) if len(set(models)) == 1 else ", ".join(map(str, models))
        lines.append(_row([labels.get(target, target), f"{images:,}", *texts, counts]))

    planned = {(cell.target, cell.images, cell.source): cell.models for cell in grid}
    found = dict(zip(zip(table["target"], table["images"], table["source"], strict=True), table["models"], strict=True))
    none = sum(cell not in found for cell in planned)
    fewer = sum(found[cell] < models for cell, models in planned.items() if cell in found)
    notes = [
        f"Experiment: {experiment['name']}; protocol: {experiment['protocol']}; {sum(found.values()):,} models. Mean test "
        "accuracy (%) after the last epoch with 3 blocks fine-tuned; bold: the best source of the row."
    ]
    if table["published_percent"].notna().any():
        notes.append("In parentheses: the published value.")
    if none or fewer:
        notes.append(f"Of {len(planned)} planned cells {none} have no model and {fewer} have fewer than planned.")
    return "\n".join([*lines, "", " ".join(notes), ""])


def _row(texts: list[str]) -> str:
    return "| " + " | ".join(texts) + " |"
