"""From rows to the table that a figure draws: means over seeds, their bootstrap bands, paired differences, what is missing.

Rows (ROW_COLUMNS) are one evaluated epoch of one model; accuracies are fractions, losses nats. A figure's table is in long
form (TABLE_COLUMNS), and `quantity` says what a line of it is:

    accuracy    mean test accuracy of `models` models, with its band from `low` to `high`
    delta       mean over seeds of the accuracy of (source, blocks) less that of (minus_source, minus_blocks), same band.
                Each seed is paired with itself, as it draws the same images for both; a seed of one side only is left out
    missing     a cell of the experiment with fewer models than planned; or, with minus_source, a difference of two cells
                whose seeds do not match. It has no mean; figures say it in their footers

`epochs` holds the last epochs of the models behind a line ("100", or "30 100"), in fig3 the epoch that it is drawn at.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from advtransfer.errors import InputError
from advtransfer.grid import FIGURES, ROLES, Cell, cells

ROW_COLUMNS = [
    "protocol",
    "source",
    "target",
    "blocks",
    "images",
    "seed",
    "epoch",
    "test_accuracy",
    "train_accuracy",
    "test_loss",
    "train_loss",
    "seconds",
]
CELL = ["source", "target", "blocks", "images"]
RUN = [*CELL, "seed"]

TABLE_COLUMNS = [
    "quantity",
    "target",
    "images",
    "epochs",
    "source",
    "blocks",
    "minus_source",
    "minus_blocks",
    "mean",
    "low",
    "high",
    "models",
    "models_expected",
]
RESAMPLES = 2000
PUBLISHED = Path(__file__).resolve().parents[2] / "resources" / "published" / "table5.csv"


def read_rows(files: Iterable[str | Path]) -> pd.DataFrame:
    """The rows of parquet files, one after another; files that do not exist are passed over, as what they would hold
    appears as missing. Raises InputError where a file has not the columns of rows, or none of the files exists.
    """
    import pyarrow
    from pyarrow import parquet

    files = list(dict.fromkeys(map(str, files)))
    parts = []
    for file in files:
        if not Path(file).is_file():
            continue
        with parquet.ParquetFile(file) as part:
            lacking = [column for column in ROW_COLUMNS if column not in part.schema_arrow.names]
            if lacking:
                raise InputError(f"{file}: column(s) {', '.join(lacking)} missing. Remove the file and make it again.")
            parts.append(part.read(columns=ROW_COLUMNS, use_threads=False))
    if not parts:
        raise InputError(
            f"{files[0] if files else 'rows'}: none of the {len(files)} file(s) of rows exists. Fine-tune first: ask "
            "Snakemake for the figure, or correct 'rows' in the experiment."
        )
    return pyarrow.concat_tables(parts, promote_options="permissive").to_pandas()


def interrupts(run: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether a run, given by its evaluated epochs, is the beginning of another one: it stopped early."""
    return len(run) < len(other) and other[: len(run)] == run


def require_unique(rows: pd.DataFrame) -> None:
    """Raise InputError where an epoch of a model occurs twice."""
    twice = rows.duplicated([*RUN, "epoch"])
    if twice.any():
        row = rows.loc[twice.idxmax()]
        raise InputError(f"rows: epoch {row['epoch']} of {_model(row)} occurs twice. Keep one of them.")


def last_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The row of each model's last evaluated epoch, sorted by source, target, blocks, images, seed.

    Models of one cell may have been trained for different numbers of epochs (the authors mixed them); each counts with
    its own last epoch. Raises InputError where an epoch of a model occurs twice, or where a model stopped early: its
    evaluated epochs are the beginning of those of another seed.
    """
    require_unique(rows)
    rows = rows.sort_values([*RUN, "epoch"], ignore_index=True)
    last = rows[~rows.duplicated(RUN, keep="last")]
    # Only cells whose models differ in length can hold a model that stopped early.
    lengths = last.groupby(CELL)["epoch"].transform("nunique")
    if (lengths > 1).any():
        suspects = rows.merge(last.loc[lengths > 1, CELL].drop_duplicates(), on=CELL)
        schedules = suspects.groupby(RUN)["epoch"].agg(tuple).reset_index()
        for _, group in schedules.groupby(CELL):
            for model in group.itertuples(index=False):
                if any(interrupts(model.epoch, other) for other in group["epoch"]):
                    raise InputError(
                        f"rows: {_model(model._asdict())} ends at epoch {model.epoch[-1]}, other seeds of its cell go on. "
                        "Finish it, or remove its rows."
                    )
    return last.reset_index(drop=True)


def _model(row: Any) -> str:
    return (
        f"the model of {row['source']} on {row['target']} ({row['blocks']} blocks, {row['images']} images, "
        f"seed {row['seed']})"
    )


def bootstrap_band(values: np.ndarray, identity: str) -> tuple[float, float]:
    """The 95% percentile-bootstrap band of the mean of `values` [n]; (mean, mean) of a single value.

    The resamples are drawn from a generator that is seeded by `identity` alone: a band does not depend on what else is
    computed. `values` must come in an order of its own, such as by seed.
    """
    if len(values) == 1:
        return float(values[0]), float(values[0])
    seed = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big")
    drawn = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


class _Accuracies:
    """Test accuracies by cell and seed, of the cells of one figure; makes the lines of its table."""

    def __init__(self, rows: pd.DataFrame, experiment: dict[str, Any], figure: str) -> None:
        self.grid = list(cells(experiment, figure))
        self.sources = experiment["sources"]
        self.targets = experiment["targets"]
        place = f"experiment '{experiment['name']}', {figure}"
        if not self.grid:
            blocks = FIGURES[figure][1]
            images = f" at {experiment['fig3']['images']} images" if figure == "fig3" else ""
            shown = ", ".join(FIGURES[figure][0]) or "a family of sources"
            raise InputError(
                f"{place}: no model to draw; the figure shows {' or '.join(map(str, blocks or ()))} blocks of "
                f"{shown}{images}, the experiment has {experiment['blocks']} blocks of "
                f"{', '.join(self.sources)}. Add what is missing, or leave the figure out."
            )
        mine = rows[rows["protocol"] == experiment["protocol"]]
        mine = mine.merge(pd.DataFrame(self.grid)[CELL], on=CELL)
        if figure == "fig3":
            self.epochs = experiment["fig3"]["epochs"]
            require_unique(mine)
            mine = mine[mine["epoch"].isin(self.epochs)].sort_values([*RUN, "epoch"])
        else:
            self.epochs = [None]
            mine = last_rows(mine)
        if mine.empty:
            raise InputError(
                f"{place}: none of its {len(self.grid)} cells has a model among the {len(rows)} rows of protocol(s) "
                f"{', '.join(sorted(rows['protocol'].unique()))}. Check 'protocol', 'sources' and 'targets'."
            )
        key = [*CELL, "epoch"] if figure == "fig3" else CELL
        self.models: dict[tuple, pd.DataFrame] = {}
        for name, group in mine.groupby(key):
            self.models[name if figure == "fig3" else (*name, None)] = group.set_index("seed")[
                ["test_accuracy", "epoch"]
            ]

    def accuracy(self, chosen: Iterable[Cell] | None = None) -> Iterator[dict[str, Any]]:
        """A line for each cell that has a model."""
        for cell in self.grid if chosen is None else chosen:
            for epoch in self.epochs:
                models = self._models(cell, epoch)
                if models is not None:
                    yield self._line(
                        "accuracy", cell, None, models["test_accuracy"], set(models["epoch"]), cell.models, epoch
                    )

    def delta(self, plus: tuple[str, int], minus: tuple[str, int]) -> Iterator[dict[str, Any]]:
        """A line for each target and size at which two (role, blocks) have a seed in common.

        Where both cells have all their models and yet seeds do not match, a `missing` line says so.
        """
        for cell, other in self._pairs(plus, minus):
            for epoch in self.epochs:
                models, others = self._models(cell, epoch), self._models(other, epoch)
                if models is None or others is None:
                    continue
                both = models.join(others, how="inner", rsuffix="_minus").sort_index()
                expected = max(cell.models, other.models, len(models.index.union(others.index)))
                epochs = {*both["epoch"], *both["epoch_minus"]}
                if len(both):
                    values = both["test_accuracy"] - both["test_accuracy_minus"]
                    yield self._line("delta", cell, other, values, epochs, expected, epoch)
                if len(both) < min(len(models), len(others)):
                    yield self._line("missing", cell, other, both["epoch"], epochs, expected, epoch)

    def missing(self) -> Iterator[dict[str, Any]]:
        """A line for each cell with fewer models than the experiment plans."""
        for cell in self.grid:
            for epoch in self.epochs:
                models = self._models(cell, epoch)
                seeds = pd.Series(dtype=float) if models is None else models["epoch"]
                if len(seeds) < cell.models:
                    yield self._line("missing", cell, None, seeds, set(seeds), cell.models, epoch)

    def _models(self, cell: Cell, epoch: int | None) -> pd.DataFrame | None:
        return self.models.get((cell.source, cell.target, cell.blocks, cell.images, epoch))

    def _pairs(self, plus: tuple[str, int], minus: tuple[str, int]) -> Iterator[tuple[Cell, Cell]]:
        if plus[0] not in self.sources or minus[0] not in self.sources:
            return
        by_place = {(cell.source, cell.blocks, cell.target, cell.images): cell for cell in self.grid}
        for (source, blocks, target, images), cell in by_place.items():
            if (source, blocks) == (self.sources[plus[0]], plus[1]):
                other = by_place.get((self.sources[minus[0]], minus[1], target, images))
                if other is not None:
                    yield cell, other

    def _line(
        self,
        quantity: str,
        cell: Cell,
        minus: Cell | None,
        values: pd.Series,
        epochs: set[int],
        expected: int,
        epoch: int | None,
    ) -> dict[str, Any]:
        line = {
            "quantity": quantity,
            "target": cell.target,
            "images": cell.images,
            "epochs": " ".join(map(str, sorted(epochs))) if epoch is None else str(epoch),
            "source": cell.source,
            "blocks": cell.blocks,
            "minus_source": minus.source if minus else None,
            "minus_blocks": minus.blocks if minus else None,
            "models": len(values),
            "models_expected": expected,
        }
        if quantity != "missing":
            line["mean"] = float(values.mean())
            identity = [quantity, *(line[key] for key in (*CELL, "minus_source", "minus_blocks")), epoch]
            line["low"], line["high"] = bootstrap_band(values.to_numpy(), repr(identity))
        return line


def _table(lines: Iterable[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(lines, columns=TABLE_COLUMNS)
    return table.astype(
        {"minus_blocks": "Int64", "minus_source": "str", "epochs": "str"}
        | dict.fromkeys(("mean", "low", "high"), float)
    )


def fig2(rows: pd.DataFrame, experiment: dict[str, Any]) -> pd.DataFrame:
    """Accuracy against images of robust and natural at 3 blocks; robust minus natural."""
    found = _Accuracies(rows, experiment, "fig2")
    return _table([*found.accuracy(), *found.delta(("robust", 3), ("natural", 3)), *found.missing()])


def fig3(rows: pd.DataFrame, experiment: dict[str, Any]) -> pd.DataFrame:
    """Like fig2, at the experiment's `fig3` number of images and at each of its epochs."""
    found = _Accuracies(rows, experiment, "fig3")
    return _table([*found.accuracy(), *found.delta(("robust", 3), ("natural", 3)), *found.missing()])


def fig4(rows: pd.DataFrame, experiment: dict[str, Any]) -> pd.DataFrame:
    """Accuracy against images of robust at every block count; 3 blocks minus 1 block."""
    found = _Accuracies(rows, experiment, "fig4")
    return _table([*found.accuracy(), *found.delta(("robust", 3), ("robust", 1)), *found.missing()])


def fig5(rows: pd.DataFrame, experiment: dict[str, Any]) -> pd.DataFrame:
    """Accuracy of the three robust sources on two targets at 3 blocks; their differences on all targets."""
    found = _Accuracies(rows, experiment, "fig5")
    targets = fig5_targets(experiment)
    accuracy = found.accuracy(cell for cell in found.grid if cell.target in targets)
    pairs = (("linf_small", "linf_large"), ("robust", "linf_small"), ("robust", "linf_large"))
    deltas = (line for plus, minus in pairs for line in found.delta((plus, 3), (minus, 3)))
    return _table([*accuracy, *deltas, *found.missing()])


def fig5_targets(experiment: dict[str, Any]) -> list[str]:
    """The targets of fig5 (a, b): the paper's CIFAR-10 and SVHN where the experiment has both, else its first two."""
    paper = ["cifar10", "svhn"]
    return paper if set(paper) <= set(experiment["targets"]) else experiment["targets"][:2]


def fig10(rows: pd.DataFrame, experiment: dict[str, Any]) -> pd.DataFrame:
    """Like fig4, for each source."""
    found = _Accuracies(rows, experiment, "fig10")
    deltas = (line for role in ROLES for line in found.delta((role, 3), (role, 1)))
    return _table([*found.accuracy(), *deltas, *found.missing()])


def epsilon(rows: pd.DataFrame, experiment: dict[str, Any]) -> pd.DataFrame:
    """Accuracy of every source of a family at 3 blocks and at the experiment's `epsilon` sizes (beyond the paper)."""
    found = _Accuracies(rows, experiment, "epsilon")
    return _table([*found.accuracy(), *found.missing()])


def table5(rows: pd.DataFrame, experiment: dict[str, Any], published: str | Path = PUBLISHED) -> pd.DataFrame:
    """Mean last-epoch test accuracy at 3 blocks, in percent, of every cell that has a model, in the experiment's order.

    Columns target, images, source, accuracy_percent, models, published_percent. The last is the paper's value of the same
    target, size and source, out of the file `published`; it is empty where the paper or that file has none, and for any
    other protocol than the paper's.
    """
    found = _Accuracies(rows, experiment, "table5")
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
    return pd.DataFrame(lines)


TABLES = {"fig2": fig2, "fig3": fig3, "fig4": fig4, "fig5": fig5, "fig10": fig10, "epsilon": epsilon, "table5": table5}
