"""From rows to the table that a figure draws: means over seeds, their intervals, paired differences, what is missing.

Rows (ROW_COLUMNS) are one evaluated epoch of one model; accuracies are fractions, losses nats. A figure's table is in long
form (TABLE_COLUMNS), and `quantity` says what a line of it is:

    accuracy    mean test accuracy of `models` models, with its 95% interval from `low` to `high` (see `intervals`; none for one)
    delta       mean over seeds of the accuracy of (source, blocks) less that of (minus_source, minus_blocks), same interval.
                Each seed is paired with itself, as it draws the same images for both; a seed of one side only is left out
    model       one of the models behind an accuracy, where they are at most SINGLES
    pair        one of the pairs of models behind a delta, likewise
    missing     a cell of the experiment with fewer models than planned; or, with minus_source, a difference of two cells
                whose seeds do not match. It has no mean; figures say it in their footers
    printed     a mean that the paper's Table 5 prints, of the paper's source in the role of one that is drawn (see `printed`);
                only where the figure overlays them, and no models of ours are behind it

`epochs` holds the last epochs of the models behind a line ("100", or "30 100"), in fig3 the epoch that it is drawn at;
`run_epochs` holds the last epochs always, and `planned_epochs` the protocol's: figures draw a line faint where they differ.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from advtransfer.artefacts import differing, load_table, statement
from advtransfer.config.columns import ACCURACY, ROWS
from advtransfer.config.grid import Cell, cells
from advtransfer.errors import InputError
from advtransfer.tables.intervals import interval
from advtransfer.tables.printed import BLOCKS, PRINTED, printed_by_role

ROW_COLUMNS = list(ROWS)
CELL = ["source", "target", "blocks", "images"]
RUN = [*CELL, "seed"]

TABLE_COLUMNS = list(ACCURACY)
# Up to so many models are shown one by one beside their mean.
SINGLES = 5


def read_rows(
    files: Iterable[str | Path], expected: Mapping[str, Mapping[str, Any]] | None = None, remedy: str = "Remove them."
) -> pd.DataFrame:
    """The rows of parquet files, one after another; files that do not exist are passed over, as what they would hold
    appears as missing.

    expected: {file: the provenance that it should have}, for some files or none; remedy: what to do about others.
    Raises InputError where a file is damaged, has not the columns of rows, or another provenance, or none of the files exists.
    """
    import pyarrow

    files = list(dict.fromkeys(map(str, files)))
    parts, others = [], {}
    for file in files:
        if not Path(file).is_file():
            continue
        if expected is not None and file in expected:
            difference = differing(statement(file)[1], expected[file])
            if difference:
                others[file] = difference
                continue
        part = load_table(file)
        lacking = [column for column in ROW_COLUMNS if column not in part.column_names]
        if lacking:
            raise InputError(f"{file}: column(s) {', '.join(lacking)} missing. Remove the file and make it again.")
        parts.append(part.select(ROW_COLUMNS))
    if others:
        first = next(iter(others))
        raise InputError(
            f"{first}: these rows were made with other {others[first]} than the configuration now says"
            f"{f', and those of {len(others) - 1} more file(s)' if len(others) > 1 else ''}. {remedy}"
        )
    if not files:
        raise InputError(
            "rows: no file to read: the experiment has no model that the figure shows. Add its block counts and roles."
        )
    if not parts:
        raise InputError(
            f"{files[0]}: none of the {len(files)} file(s) of rows exists. Fine-tune first: ask "
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


def best_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """`last_rows`, each with the highest test accuracy that its model had at any evaluated epoch.

    Chosen on the test set, and so too high: it is what the authors drew in some figures.
    """
    best = rows.groupby(RUN)["test_accuracy"].max().rename("best")
    last = last_rows(rows).merge(best, left_on=RUN, right_index=True, validate="one_to_one")
    return last.assign(test_accuracy=last["best"]).drop(columns="best")


def _model(row: Any) -> str:
    return (
        f"the model of {row['source']} on {row['target']} ({row['blocks']} blocks, {row['images']} images, "
        f"seed {row['seed']})"
    )


class Accuracies:
    """Test accuracies by cell and seed, of the cells of one figure; makes the lines of its table."""

    def __init__(self, rows: pd.DataFrame, experiment: dict[str, Any], figure: str) -> None:
        selection = experiment["figures"][figure]
        by_epoch = selection["x"] == "epoch"
        self.grid = list(cells(experiment, figure))
        self.sources = experiment["sources"]
        self.targets = experiment["targets"]
        self.bands = experiment["bands"]
        self.planned = experiment["epochs"]
        place = f"experiment '{experiment['name']}', {figure}"
        if not self.grid:
            images = f" at {experiment['fig3']['images']} images" if by_epoch else ""
            shown = ", ".join(selection["roles"]) or "a family of sources"
            raise InputError(
                f"{place}: no model to draw; the figure shows {' or '.join(map(str, selection['blocks']))} blocks of "
                f"{shown}{images}, the experiment has {experiment['blocks']} blocks of "
                f"{', '.join(self.sources)}. Add what is missing, or leave the figure out."
            )
        mine = rows[rows["protocol"] == experiment["protocol"]]
        mine = mine.merge(pd.DataFrame(self.grid)[CELL], on=CELL)
        mine = mine.assign(run_epochs=mine.groupby(RUN)["epoch"].transform("max"))
        if by_epoch:
            self.epochs = experiment["fig3"]["epochs"]
            require_unique(mine)
            mine = mine[mine["epoch"].isin(self.epochs)].sort_values([*RUN, "epoch"])
        else:
            self.epochs = [None]
            mine = best_rows(mine) if selection["epoch"] == "best" else last_rows(mine)
        if mine.empty:
            raise InputError(
                f"{place}: none of its {len(self.grid)} cells has a model among the {len(rows)} rows of protocol(s) "
                f"{', '.join(sorted(rows['protocol'].unique()))}. Check 'protocol', 'sources' and 'targets'."
            )
        key = [*CELL, "epoch"] if by_epoch else CELL
        self.models: dict[tuple, pd.DataFrame] = {}
        for name, group in mine.groupby(key):
            self.models[name if by_epoch else (*name, None)] = group.set_index("seed")[["test_accuracy", "run_epochs"]]

    def accuracy(self, chosen: Iterable[Cell]) -> Iterator[dict[str, Any]]:
        """A line for each of the cells that has a model."""
        for cell in chosen:
            for epoch in self.epochs:
                models = self._models(cell, epoch)
                if models is not None:
                    values, epochs = models["test_accuracy"], set(models["run_epochs"])
                    yield self._line("accuracy", cell, None, values, epochs, cell.models, epoch)
                    yield from self._singles("model", cell, None, values, epochs, epoch)

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
                epochs = {*both["run_epochs"], *both["run_epochs_minus"]}
                if len(both):
                    values = both["test_accuracy"] - both["test_accuracy_minus"]
                    yield self._line("delta", cell, other, values, epochs, expected, epoch)
                    yield from self._singles("pair", cell, other, values, epochs, epoch)
                if len(both) < min(len(models), len(others)):
                    yield self._line("missing", cell, other, both["run_epochs"], epochs, expected, epoch)

    def missing(self) -> Iterator[dict[str, Any]]:
        """A line for each cell with fewer models than the experiment plans."""
        for cell in self.grid:
            for epoch in self.epochs:
                models = self._models(cell, epoch)
                seeds = pd.Series(dtype=float) if models is None else models["run_epochs"]
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

    def _singles(
        self, quantity: str, cell: Cell, minus: Cell | None, values: pd.Series, epochs: set[int], epoch: int | None
    ) -> Iterator[dict[str, Any]]:
        """A line for each of a few values; none for a single one, which is its mean."""
        if 1 < len(values) <= SINGLES:
            for seed in values.index:
                yield self._line(quantity, cell, minus, values.loc[[seed]], epochs, 1, epoch)

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
            "run_epochs": " ".join(map(str, sorted(epochs))),
            "planned_epochs": self.planned[str(cell.images)],
        }
        if quantity != "missing":
            line["mean"] = float(values.mean())
            identity = [quantity, *(line[key] for key in (*CELL, "minus_source", "minus_blocks")), epoch]
            line["low"], line["high"] = interval(values.to_numpy(), self.bands, repr(identity))
        return line


def compare(rows: pd.DataFrame, experiment: dict[str, Any], figure: str, printed: str | Path = PRINTED) -> pd.DataFrame:
    """The table (TABLE_COLUMNS) of a figure over fine-tuned models.

    The accuracies of its cells, on its panels' targets; its differences, on all targets; what is missing; and, where the figure
    overlays them, the paper's printed means out of the file `printed`. The experiment's `figures` says which these are (see
    `config.catalogue.Selection`).
    """
    selection = experiment["figures"][figure]
    found = Accuracies(rows, experiment, figure)
    shown = (cell for cell in found.grid if cell.target in selection["panels"])
    deltas = (line for plus, minus in selection["differences"] for line in found.delta(tuple(plus), tuple(minus)))
    lines = [*found.accuracy(shown), *deltas, *found.missing()]
    if selection["printed"]:
        lines += _printed_lines(printed_by_role(experiment, figure, printed), selection["panels"])
    table = pd.DataFrame(lines, columns=TABLE_COLUMNS)
    texts = ("minus_source", "epochs", "run_epochs")
    return table.astype(
        dict.fromkeys(("minus_blocks", "planned_epochs"), "Int64")
        | dict.fromkeys(texts, "str")
        | dict.fromkeys(("mean", "low", "high"), float)
    )


def _printed_lines(means: pd.DataFrame, panels: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A line for each printed mean on a target whose accuracy is shown."""
    for mean in means.itertuples(index=False):
        if mean.target in panels:
            yield {
                **{"quantity": "printed", "target": mean.target, "images": mean.images, "epochs": ""},
                **{"source": mean.source, "blocks": BLOCKS, "mean": mean.printed_percent / 100},
                **{"models": 0, "models_expected": 0, "run_epochs": ""},
            }
