"""The authors' logs as rows; with --shared, against the real file."""

import csv
import gzip
import logging
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pandas as pd
import pytest

from advtransfer.config.inputs import published_rows
from advtransfer.errors import InputError
from advtransfer.tables import published
from advtransfer.tables.accuracy import ROW_COLUMNS, compare
from advtransfer.tables.table5 import table5
from experiments import read_config, selections

LABELS = {"natural": "natural", "l2_3": "L2", "linf_4": "Linf 4", "linf_8": "Linf 8"}
EXPERIMENT = {
    "name": "published",
    "protocol": "paper",
    "sources": {"natural": "natural", "robust": "l2_3", "linf_small": "linf_4", "linf_large": "linf_8"},
    "targets": list(published.ALL_IMAGES),
    "labels": LABELS,
    "sizes": {
        target: [[images, 10] for images in published.SIZES[:7]] + [[12_800, 5], [25_600, 5], [images, 1]]
        for target, images in published.ALL_IMAGES.items()
    },
    "epochs": {str(images): published.protocol_epochs(images) for images in (*published.SIZES, 50_000, 60_000, 73_257)},
    "blocks": [0, 1, 3, 9],
    "fig3": {"images": 3200, "epochs": [11, 21, 41, 81, 150]},
    "epsilon": {
        "sources": [
            {"source": "natural", "norm": None, "epsilon": 0.0},
            {"source": "l2_3", "norm": "l2", "epsilon": 3.0},
            {"source": "linf_4", "norm": "linf", "epsilon": 4 / 255},
            {"source": "linf_8", "norm": "linf", "epsilon": 8 / 255},
        ],
        "images": [100, 1600],
    },
    "figures": selections(list(published.ALL_IMAGES)),
    "bands": "t",
    "rows": "results/published/rows.parquet",
    "cell_seeds": [],
    "resolution": None,
    "seeds_per_job": [[6400, 5, False], [1_000_000_000, 1, False]],
}


def a_log(*lines: dict) -> pd.DataFrame:
    """Lines of a log in the authors' columns, each changed from a valid one."""
    line = {
        "epoch": 100,
        "nat_prec1": 50.0,
        "adv_prec1": -1.0,
        "nat_loss": 1.5,
        "adv_loss": -1.0,
        "train_prec1": 75.0,
        "train_loss": 0.5,
        "time": 12.5,
        "source_eps": 3,
        "target_ds": "svhn",
        "num_training_images": 200,
        "unfrozen_blocks": 3,
        "seed": 20_000_000,
    }
    return pd.DataFrame([line | change for change in lines])


def write(log: pd.DataFrame, folder: Path, name: str = "log.csv") -> Path:
    # The authors' first column is an index that starts again in every part of the file.
    log.to_csv(folder / name, index=[0] * len(log))
    return folder / name


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_units_names_and_order(tmp_path, name, caplog):
    log = a_log(
        {"source_eps": 8}, {"source_eps": 0, "epoch": 21, "nat_prec1": 12.5}, {"source_eps": 0}, {"source_eps": -1}
    )
    caplog.set_level(logging.INFO)
    rows = published.read_log(write(log, tmp_path, name))
    assert list(rows) == ROW_COLUMNS
    assert list(rows["source"]) == ["natural", "natural", "linf_8"]
    first = rows.iloc[0]
    assert (first["protocol"], first["target"], first["blocks"], first["images"]) == ("paper", "svhn", 3, 200)
    assert (first["epoch"], first["seed"], first["seconds"]) == (21, 20_000_000, 12.5)
    assert (first["test_accuracy"], first["train_accuracy"]) == (0.125, 0.75)
    assert (first["test_loss"], first["train_loss"]) == (1.5, 0.5)
    assert "4 lines; 1 of another source_eps than the paper's dropped (1 of -1), 0 repeated" in caplog.messages[0]


def test_six_unfrozen_blocks_are_nine(tmp_path):
    rows = published.read_log(write(a_log(*({"unfrozen_blocks": code} for code in (6, 3, 1, 0))), tmp_path))
    assert list(rows["blocks"]) == [0, 1, 3, 9]


def test_other_epsilons_are_dropped_and_counted_whatever_else_their_lines_hold(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    others = {"source_eps": 0.25, "time": "n/a!", "num_training_images": 7}
    rows = published.read_log(write(a_log({}, others, others, {"source_eps": 16}), tmp_path))
    assert len(rows) == 1
    assert rows["seconds"].dtype == float
    assert "3 of another source_eps than the paper's dropped (2 of 0.25, 1 of 16)" in caplog.messages[0]
    with pytest.raises(InputError, match=r"column source_eps: no line has one of 0, 3, 4, 8 \(2 of 0.25\)"):
        published.read_log(write(a_log(others, others), tmp_path))


def test_another_number_of_models_than_known_is_refused(tmp_path):
    lines = [{"source_eps": epsilon, "epoch": epoch} for epsilon in (0, 3, 4, 8) for epoch in (1, 100)]
    assert len(published.read_log(write(a_log(*lines), tmp_path), models=4)) == 8
    with pytest.raises(InputError, match=r"column seed: 4 models .* hold 5; found 1 of natural, .*, 0 with 9 blocks;"):
        published.read_log(write(a_log(*lines), tmp_path), models=5)
    # One source under an unknown code.
    lines[-2:] = [{"source_eps": 7, "epoch": epoch} for epoch in (1, 100)]
    with pytest.raises(InputError, match=r"column source_eps: 3 models .* 0 of linf_8, .*other source_eps: 2 of 7\."):
        published.read_log(write(a_log(*lines), tmp_path), models=4)


def test_word_for_word_repetitions_count_once_and_contradictions_are_refused(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    rows = published.read_log(write(a_log({}, {}), tmp_path))
    assert len(rows) == 1
    assert "1 repeated word for word" in caplog.messages[0]
    with pytest.raises(
        InputError, match=r"column epoch: 1 epoch\(s\) logged twice with different values, the first: l2_3 on svhn"
    ):
        published.read_log(write(a_log({}, {"nat_prec1": 51.0}), tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source_eps": "four"}, "column source_eps, line 3: 'four' is not a finite number"),
        ({"target_ds": "stl10"}, "column target_ds, line 3: 'stl10' is not one of cifar100"),
        (
            {"unfrozen_blocks": 9},
            r"column unfrozen_blocks, line 3: '9' is not one of 0, 1, 3, 6 \(which stands for 9\)",
        ),
        ({"num_training_images": 60_000}, "column num_training_images, line 3"),  # SVHN has 73,257
        ({"nat_prec1": float("nan")}, "column nat_prec1, line 3: .* is not a finite number"),
        ({"nat_loss": float("inf")}, "column nat_loss, line 3"),
        ({"epoch": 1.5}, "column epoch, line 3: .* is not a whole number"),
        ({"nat_prec1": 101.0}, "column nat_prec1, line 3"),
    ],
)
def test_bad_values_name_their_line(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        published.read_log(write(a_log({}, {"epoch": 21} | change), tmp_path))


def test_missing_columns_and_files(tmp_path):
    with pytest.raises(InputError, match=r"column\(s\) seed missing"):
        published.read_log(write(a_log({}).drop(columns="seed"), tmp_path))
    with pytest.raises(InputError, match="no such file"):
        published.read_log(tmp_path / "absent.csv")
    for content in (b"", b"\xff\xfe\x00", b'a,b\n1,2,3\n4,5,6,7\n"'):
        (tmp_path / "odd.csv").write_bytes(content)
        with pytest.raises(InputError, match=r"odd\.csv: not a table in CSV"):
            published.read_log(tmp_path / "odd.csv")
    (tmp_path / "odd.csv.gz").write_bytes(b"plain")
    with pytest.raises(InputError, match=r"odd\.csv\.gz: not a table in CSV"):
        published.read_log(tmp_path / "odd.csv.gz")


def test_odd_runs_are_described(tmp_path, caplog):
    runs = {20_000_000: (1, 6, 11), 20_100_000: (1, 6), 20_200_000: (1, 21, 41)}
    lines = [
        {"seed": seed, "epoch": epoch, "num_training_images": 3200} for seed, epochs in runs.items() for epoch in epochs
    ]
    caplog.set_level(logging.INFO)
    published.read_log(write(a_log(*lines), tmp_path))
    assert "3 models have not the paper's number of epochs" in caplog.messages[1]
    assert "1 cells mix models of different lengths: svhn at 3200 images" in caplog.messages[2]
    assert "1 model(s) on svhn at 3200 images stopped early, at epoch 6: l2_3 (3 blocks)" in caplog.messages[3]


def test_an_experiment_names_its_log_or_takes_the_first():
    config = read_config()
    for experiment, log in (("published", "april"), ("published_full", "full"), ("demo", "april")):
        assert published_rows({**config, "experiment": experiment}) == f"results/published/{log}.parquet"


def test_torch_is_not_imported():
    import subprocess

    code = "import sys; import advtransfer.tables.published; sys.exit('torch' in sys.modules)"
    scripts = Path(published.__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=scripts, check=True)


@pytest.fixture(scope="module")
def log_file(shared: Path) -> Path:
    return shared / "reference" / "consolidated_results.csv.gz"


@pytest.fixture(scope="module")
def rows(log_file: Path) -> pd.DataFrame:
    return published.read_log(log_file, models=read_config()["published"]["april"]["models"])


@pytest.fixture(scope="module")
def means_by_hand(log_file: Path) -> dict[tuple[str, int, str], tuple[float, int]]:
    """{(target, images, source): (mean accuracy of the last epoch at 3 blocks in percent, models)}, with csv alone."""
    names = {"0": "natural", "3": "l2_3", "4": "linf_4", "8": "linf_8"}
    last: dict[tuple, tuple[int, float]] = {}
    with gzip.open(log_file, "rt", newline="") as file:
        for line in csv.DictReader(file):
            if line["source_eps"] in names and line["unfrozen_blocks"] == "3":
                cell = (line["target_ds"], int(line["num_training_images"]), names[line["source_eps"]])
                run = (cell, line["seed"])
                last[run] = max(last.get(run, (0, 0.0)), (int(line["epoch"]), float(line["nat_prec1"])))
    values = defaultdict(list)
    for (cell, _), (_, accuracy) in last.items():
        values[cell].append(accuracy)
    return {cell: (fmean(accuracies), len(accuracies)) for cell, accuracies in values.items()}


def test_real_log_is_read_whole(rows):
    assert len(rows) == 29_680 - 235
    assert len(rows.drop_duplicates(["source", "target", "blocks", "images", "seed"])) == 4_806
    assert set(rows[rows["source"] == "linf_8"]["target"]) == {"cifar10", "svhn"}
    assert rows["test_accuracy"].between(0, 1).all()
    assert rows["train_accuracy"].between(0, 1).all()


def test_real_log_has_three_models_that_stopped_early(rows):
    stopped = [line for line in published.describe_schedules(rows) if "stopped early" in line]
    assert len(stopped) == 1
    assert "3 model(s) on svhn at 73257 images stopped early, at epoch 21" in stopped[0]


def test_table5_is_the_authors_mean_in_every_cell(rows, means_by_hand):
    table = table5(rows, EXPERIMENT)
    found = {
        (line.target, line.images, line.source): (line.accuracy_percent, line.models)
        for line in table.itertuples(index=False)
    }
    assert len(found) == 200
    assert found.keys() == means_by_hand.keys()
    for cell, (accuracy, models) in means_by_hand.items():
        assert found[cell][0] == pytest.approx(accuracy, abs=1e-9)
        assert found[cell][1] == models
    # Every cell is printed; the runs up to 1,600 images are those behind the print, those above were shorter.
    assert table["published_percent"].notna().all()
    paper = table["images"].map(published.protocol_epochs).astype(str) == table["epochs"]
    assert set(table[paper]["images"]) == {100, 200, 400, 800, 1600}
    assert paper.sum() == 100
    assert (table[paper]["accuracy_percent"] - table[paper]["published_percent"]).abs().max() < 0.00501


def test_every_figure_can_be_made_of_the_real_log(rows):
    drawn = {
        figure: compare(rows, EXPERIMENT, figure)
        for figure in EXPERIMENT["figures"]
        if figure not in ("table5", "resolution")
    }
    # Natural against robust at 3 blocks: 6 targets, 10 sizes each.
    assert (drawn["fig2"]["quantity"].value_counts()[["accuracy", "delta", "printed"]] == [120, 60, 120]).all()
    # Panels of figure 5: CIFAR-10 and SVHN.
    assert (drawn["fig5"]["quantity"] == "printed").sum() == 60
    for table in drawn.values():
        off = table[(table["models"] > 0) & (table["run_epochs"] != table["planned_epochs"].astype(str))]
        assert off["images"].min() == 3200 if table["images"].max() > 1600 else off.empty
        assert set(" ".join(off["run_epochs"]).split()) <= {"21", "30", "50", "100"}
    # Two sizes of four sources on six targets, Linf 8/255 on two of them only.
    assert drawn["epsilon"]["quantity"].value_counts().to_dict() == {"accuracy": 40, "missing": 8}
    nine = drawn["fig4"][drawn["fig4"]["blocks"] == 9]
    assert set(nine["quantity"]) == {"missing"}
    assert (nine["models"] == 0).all()
