"""The authors' own logs as rows.

A log is a CSV file of the authors' repository, one line per evaluated epoch of a model; config.yaml (`published`) names them, and
resources/published/README.md says what they hold.
"""

import logging
from pathlib import Path

import pandas as pd

from advtransfer.errors import InputError
from advtransfer.tables.accuracy import ROW_COLUMNS, RUN, interrupts
from advtransfer.tables.printed import PROTOCOL
from advtransfer.targets.catalogue import PAPER_TARGETS

logger = logging.getLogger(__name__)

SOURCES = {0: "natural", 3: "l2_3", 4: "linf_4", 8: "linf_8"}
# unfrozen_blocks: bottleneck blocks. The authors wrote 6 for the 9 blocks of layer3 and layer4.
BLOCKS = {0: 0, 1: 1, 3: 3, 6: 9}

# The target's images for training: what the paper calls "all".
ALL_IMAGES = {target: data_set.train for target, data_set in PAPER_TARGETS.items()}
SIZES = tuple(100 * 2**power for power in range(9))

# column of the log: column of the rows
COLUMNS = {
    "source_eps": "source",
    "target_ds": "target",
    "unfrozen_blocks": "blocks",
    "num_training_images": "images",
    "seed": "seed",
    "epoch": "epoch",
    "nat_prec1": "test_accuracy",
    "train_prec1": "train_accuracy",
    "nat_loss": "test_loss",
    "train_loss": "train_loss",
    "time": "seconds",
}
WHOLE = ("unfrozen_blocks", "num_training_images", "seed", "epoch")


def read_log(path: str | Path, models: int | None = None) -> pd.DataFrame:
    """The rows of a log of the authors (CSV, plain or .gz), sorted by source, target, blocks, images, seed and epoch.

    Accuracies become fractions, losses stay in nats, `seconds` is the log's `time`: seconds since the run began. Lines
    of another source_eps than the paper's sources have (-1: training from scratch) are dropped. A line that repeats another word
    for word counts once; two different lines for one epoch of one model are an error, as nothing says which is the right one.
    What was read, dropped and found odd is logged. models: how many fine-tuned models the log is known to hold.

    Raises InputError, which names the column, where one is missing, a value is not a finite number or out of its range, a target,
    block count or size is not the paper's, or the log holds another number of models; and where there is no file.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file. Download the authors' log first, or correct the path.")
    try:
        raw = pd.read_csv(path)
    except (ValueError, OSError, EOFError) as error:  # pandas' own errors are ValueErrors, and so are those of UTF-8
        raise InputError(f"{path}: not a table in CSV ({' '.join(str(error).split())}). Download it again.") from None
    missing = [column for column in COLUMNS if column not in raw]
    if missing:
        raise InputError(
            f"{path}: column(s) {', '.join(missing)} missing; found {', '.join(map(str, raw.columns))}. "
            "Use a log that config.yaml names under 'published'."
        )
    raw = raw[list(COLUMNS)]
    read = len(raw)
    _require_numbers(raw, "source_eps", path)
    others = raw["source_eps"][~raw["source_eps"].isin(list(SOURCES))].value_counts().sort_index()
    dropped = ", ".join(f"{count} of {epsilon:g}" for epsilon, count in others.items()) or "none"
    raw = raw[raw["source_eps"].isin(list(SOURCES))]
    if raw.empty:
        raise InputError(
            f"{path}: column source_eps: no line has one of {', '.join(map(str, SOURCES))} ({dropped}). Use a log that "
            "config.yaml names under 'published'."
        )
    for column in COLUMNS:
        if column != "target_ds":
            _require_numbers(raw, column, path)
            # A word on a line that is dropped makes the whole column one of texts.
            raw[column] = pd.to_numeric(raw[column])
    kept = len(raw)
    raw = raw.drop_duplicates()
    repeated = kept - len(raw)

    _require_known(raw, "target_ds", raw["target_ds"].isin(list(ALL_IMAGES)), ALL_IMAGES, path)
    codes = [code if code == blocks else f"{code} (which stands for {blocks})" for code, blocks in BLOCKS.items()]
    _require_known(raw, "unfrozen_blocks", raw["unfrozen_blocks"].isin(list(BLOCKS)), codes, path)
    everything = raw["num_training_images"] == raw["target_ds"].map(ALL_IMAGES)
    sizes = [*SIZES, "all images of the target"]
    _require_known(raw, "num_training_images", raw["num_training_images"].isin(SIZES) | everything, sizes, path)
    for column in ("nat_prec1", "train_prec1"):
        _require_known(raw, column, raw[column].between(0, 100), ["0 to 100 percent"], path)

    rows = raw.astype(dict.fromkeys((*WHOLE, "source_eps"), "int64")).rename(columns=COLUMNS)
    rows["source"] = rows["source"].map(SOURCES)
    rows["blocks"] = rows["blocks"].map(BLOCKS)
    rows[["test_accuracy", "train_accuracy"]] /= 100
    rows.insert(0, "protocol", PROTOCOL)
    twice = rows.duplicated([*RUN, "epoch"])
    if twice.any():
        first = rows[twice].iloc[0]
        raise InputError(
            f"{path}: column epoch: {int(twice.sum())} epoch(s) logged twice with different values, the first: {first['source']} on "
            f"{first['target']}, {first['blocks']} blocks, {first['images']} images, seed {first['seed']}, epoch "
            f"{first['epoch']}. Keep one line for each."
        )
    if models is not None:
        _require_models(rows, models, dropped, path)
    ranks = {"source": list(SOURCES.values()), "target": list(ALL_IMAGES)}
    rows = rows.sort_values(
        [*RUN, "epoch"], key=lambda column: column.map(ranks[column.name].index) if column.name in ranks else column
    )
    rows = rows[ROW_COLUMNS].reset_index(drop=True)
    logger.info(
        f"{path}: {read} lines; {read - kept} of another source_eps than the paper's dropped ({dropped}), {repeated} repeated "
        f"word for word; {len(rows)} rows of {len(rows.drop_duplicates(RUN))} models."
    )
    for line in describe_schedules(rows):
        logger.info(f"{path}: {line}")
    return rows


def _require_numbers(raw: pd.DataFrame, column: str, path: str | Path) -> None:
    values = pd.to_numeric(raw[column], errors="coerce").astype("float64")
    bad = ~(values.abs() < float("inf"))
    if column in WHOLE:
        bad |= values % 1 != 0
    if bad.any():
        kind = "a whole number" if column in WHOLE else "a finite number"
        raise InputError(
            f"{path}: column {column}, line {int(bad.idxmax()) + 2}: '{raw[column][bad.idxmax()]}' is not {kind}. "
            "Download the file again, or correct it."
        )


def _require_known(raw: pd.DataFrame, column: str, known: pd.Series, choices: object, path: str | Path) -> None:
    if not known.all():
        line = int((~known).idxmax())
        raise InputError(
            f"{path}: column {column}, line {line + 2}: '{raw[column][line]}' is not one of "
            f"{', '.join(map(str, choices))}. Remove these lines, or use the log of the paper."
        )


def _require_models(rows: pd.DataFrame, models: int, dropped: str, path: str | Path) -> None:
    runs = rows.drop_duplicates(RUN)
    if len(runs) != models:
        by_source, by_blocks = runs["source"].value_counts(), runs["blocks"].value_counts()
        held = [f"{by_source.get(source, 0):,} of {source}" for source in SOURCES.values()]
        held += [f"{by_blocks.get(blocks, 0):,} with {blocks} blocks" for blocks in BLOCKS.values()]
        column = "seed" if len(by_source) == len(SOURCES) else "source_eps"
        raise InputError(
            f"{path}: column {column}: {len(runs):,} models (seeds of all sources, targets, sizes and block counts), but this log is "
            f"known to hold {models:,}; found {', '.join(held)}; lines of other source_eps: {dropped}. Download the file again, or "
            "correct 'models' of the log in config.yaml."
        )


def protocol_epochs(images: int) -> int:
    """Epochs of the paper's runs: 100 up to 1,600 images, 150 above (paper, Table 2)."""
    return 100 if images <= 1600 else 150


def describe_schedules(rows: pd.DataFrame) -> list[str]:
    """Sentences on runs that are not the paper's: those of other lengths, of mixed lengths, and stopped early.

    A run counts as stopped early where its evaluated epochs are the beginning of those of a longer run with the same
    target and number of images.
    """
    runs = rows.groupby(RUN, sort=False)["epoch"].agg(lambda epochs: tuple(sorted(epochs))).reset_index()
    runs["last"] = runs["epoch"].str[-1]
    lines = []
    other = runs[runs["last"] != runs["images"].map(protocol_epochs)]
    if len(other):
        counts = other["last"].value_counts().sort_index()
        lines.append(
            f"{len(other)} models have not the paper's number of epochs (100 up to 1,600 images, else 150): "
            + ", ".join(f"{count} ended at epoch {last}" for last, count in counts.items())
            + ". They are kept with their own last epoch."
        )
    mixed = runs.groupby(RUN[:-1])["last"].nunique()
    if (mixed > 1).any():
        places = mixed[mixed > 1].reset_index()[["target", "images"]].drop_duplicates()
        lines.append(
            f"{int((mixed > 1).sum())} cells mix models of different lengths: "
            + ", ".join(f"{target} at {images} images" for target, images in places.itertuples(index=False))
            + "."
        )
    for (target, images), group in runs.groupby(["target", "images"], sort=False):
        schedules = set(group["epoch"])
        stopped = group[[any(interrupts(run, other) for other in schedules) for run in group["epoch"]]]
        for last, some in stopped.groupby("last"):
            lines.append(
                f"{len(some)} model(s) on {target} at {images} images stopped early, at epoch {last}: "
                + ", ".join(
                    f"{source} ({blocks} blocks)" for source, blocks in zip(some["source"], some["blocks"], strict=True)
                )
                + "."
            )
    return lines
