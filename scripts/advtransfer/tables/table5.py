"""Table 5: accuracy by target, size and source, the published value beside ours; as a table, as Markdown and as LaTeX."""

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from advtransfer.config.columns import TABLE5
from advtransfer.config.grid import cells
from advtransfer.tables.accuracy import Accuracies
from advtransfer.tables.printed import PRINTED, printed_means

DAGGER = "\N{DAGGER}"
# What LaTeX reads as a command or as an argument of the row before, and what its usual fonts lack or show as another sign.
LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"[": "{[}", "*": "{*}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    | {"∞": r"$\infty$", "ε": r"$\varepsilon$", DAGGER: r"$^\dagger$", "\N{EN DASH}": "--"}
)


def table5(
    rows: pd.DataFrame, experiment: dict[str, Any], figure: str = "table5", printed: str | Path = PRINTED
) -> pd.DataFrame:
    """Mean last-epoch test accuracy at 3 blocks, in percent, of every cell that has a model, in the experiment's order.

    Columns as `columns.TABLE5`. `published_percent` is the paper's value of the same target, size and source, out of the file
    `printed`; it is empty where the paper has none, and for any other protocol than the paper's.
    """
    found = Accuracies(rows, experiment, figure)
    theirs = printed_means(experiment, figure, printed).set_index(["target", "images", "source"])["printed_percent"]
    lines = []
    for target in experiment["targets"]:
        mine = [cell for cell in found.grid if cell.target == target]
        for cell in sorted(mine, key=lambda cell: cell.images):  # stable: sources stay in the order of their roles
            models = found.models.get((cell.source, target, cell.blocks, cell.images, None))
            if models is not None:
                lines.append(
                    {
                        "target": target,
                        "images": cell.images,
                        "source": cell.source,
                        "accuracy_percent": 100 * models["test_accuracy"].mean(),
                        "models": len(models),
                        "published_percent": theirs.get((target, cell.images, cell.source), np.nan),
                        "epochs": " ".join(map(str, sorted(set(models["run_epochs"])))),
                    }
                )
    return pd.DataFrame(lines, columns=list(TABLE5))


def markdown(table: pd.DataFrame, experiment: dict[str, Any], epochs: Mapping[str, int]) -> str:
    """Table 5 as Markdown.

    One row for each target and size that has a model, one column for each source; the row's best in bold, what is published in
    parentheses, a dash where a source has no model. A row with models of other epochs than the protocol's has a dagger.

    epochs: {number of images, as text: the protocol's epochs}.
    """
    head = _head(table, experiment)
    lines = [_markdown_row(head), _markdown_row([":--", *["--:"] * (len(head) - 1)])]
    lines += [_markdown_row(row) for row in _rows(table, experiment, epochs, "**{}**".format)]
    return "\n".join([*lines, "", " ".join(_notes(table, experiment, epochs)), ""])


def latex(table: pd.DataFrame, experiment: dict[str, Any], epochs: Mapping[str, int]) -> str:
    """Table 5 as LaTeX for a document to input: the rows, marks and notes of `markdown` in a longtable with booktabs' rules.

    The document needs the packages booktabs and longtable; the table goes on over pages, and has the label tab:table5.
    """
    names = [text.translate(LATEX) for text in _head(table, experiment)]
    head = [r"\toprule", _latex_row(names), r"\midrule"]
    lines = [
        r"% Table 5. The preamble needs: \usepackage{booktabs,longtable}",
        r"\begingroup",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{3pt}",
        r"\setlength{\LTcapwidth}{\linewidth}",
        rf"\begin{{longtable}}{{l{'r' * (len(names) - 1)}}}",
        rf"\caption{{{' '.join(_notes(table, experiment, epochs)).translate(LATEX)}}}\label{{tab:table5}}\\",
        *head,
        r"\endfirsthead",
        *head,
        r"\endhead",
        r"\bottomrule",
        r"\endfoot",
    ]
    rows = _rows(table, experiment, epochs, r"\textbf{{{}}}".format, LATEX)
    for number, (_, group) in enumerate(groupby(rows, key=lambda row: row[0])):
        lines += [r"\midrule"] if number else []
        lines += map(_latex_row, group)
    return "\n".join([*lines, r"\end{longtable}", r"\endgroup", ""])


def wide(
    table: pd.DataFrame, experiment: dict[str, Any], epochs: Mapping[str, int], bold: Callable[[str], str]
) -> tuple[list[str], list[list[str]], list[str]]:
    """The head, the rows and the notes of `markdown` in texts. bold: marks the best source of a row."""
    rows = list(_rows(table, experiment, epochs, bold))
    return _head(table, experiment), rows, _notes(table, experiment, epochs)


def _markdown_row(texts: list[str]) -> str:
    return "| " + " | ".join(text.replace("|", r"\|") for text in texts) + " |"


def _latex_row(texts: list[str]) -> str:
    return " & ".join(texts) + r" \\"


def _sources(table: pd.DataFrame, experiment: dict[str, Any]) -> list[str]:
    """The experiment's sources that have a model."""
    grid = cells(experiment, "table5")
    return [source for source in dict.fromkeys(cell.source for cell in grid) if (table["source"] == source).any()]


def _head(table: pd.DataFrame, experiment: dict[str, Any]) -> list[str]:
    labels = experiment["labels"]
    return [
        "target",
        "images",
        *(labels.get(source, source) for source in _sources(table, experiment)),
        "models",
        "epochs",
    ]


def _rows(
    table: pd.DataFrame,
    experiment: dict[str, Any],
    epochs: Mapping[str, int],
    bold: Callable[[str], str],
    escapes: Mapping[int, str] | None = None,
) -> Iterator[list[str]]:
    """The texts of each row. bold: marks the best; escapes: what to write for single characters (`str.translate`)."""
    escapes = escapes or {}
    for (target, images), group in table.groupby(["target", "images"], sort=False):
        mine = group.set_index("source")
        best = mine["accuracy_percent"].round(2).max()
        texts, models = [], []
        for source in _sources(table, experiment):
            if source not in mine.index:
                texts.append("\N{EN DASH}".translate(escapes))
                continue
            value, published = mine.loc[source, ["accuracy_percent", "published_percent"]]
            text = bold(f"{value:.2f}") if round(value, 2) == best else f"{value:.2f}"
            texts.append(text if pd.isna(published) else f"{text} ({published:.2f})")
            models.append(int(mine.loc[source, "models"]))
        counts = str(models[0]) if len(set(models)) == 1 else ", ".join(map(str, models))
        ended = sorted({int(epoch) for text in mine["epochs"] for epoch in text.split()})
        mark = "" if ended == [epochs[str(images)]] else f" {DAGGER}"
        last = f"{', '.join(map(str, ended))}{mark}"
        label = experiment["labels"].get(target, target)
        yield [label.translate(escapes), f"{images:,}", *texts, counts, last.translate(escapes)]


def _notes(table: pd.DataFrame, experiment: dict[str, Any], epochs: Mapping[str, int]) -> list[str]:
    """What stands with the table, in plain sentences."""
    grid = list(cells(experiment, "table5"))
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
    if any(ended != str(epochs[str(images)]) for images, ended in zip(table["images"], table["epochs"], strict=True)):
        sizes = groupby(sorted((int(images), count) for images, count in epochs.items()), key=lambda size: size[1])
        spans = [(count, [images for images, _ in group]) for count, group in sizes]
        words = ", ".join(f"{count} up to {images[-1]:,} images" for count, images in spans)
        notes.append(f"{DAGGER} Trained for other epochs (last column) than the protocol's: {words}.")
    if none or fewer:
        notes.append(f"Of {len(planned)} planned cells {none} have no model and {fewer} have fewer than planned.")
    return notes
