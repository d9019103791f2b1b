"""Write table 5 as Markdown: accuracy by target, size and source, the published value beside ours."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd

from advtransfer.artefacts import whole_file
from advtransfer.grid import cells


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


def main() -> None:
    """Parse, read the table, write Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, help="table 5 (.csv)")
    parser.add_argument("--experiment", type=json.loads, required=True, help="the experiment, resolved, as JSON")
    parser.add_argument("--markdown", required=True, help="file to write")
    arguments = parser.parse_args()
    text = render(pd.read_csv(arguments.table), arguments.experiment)
    with whole_file(arguments.markdown) as part:
        part.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
