"""From rows to tables: last epoch, pairing by seed, bands, missing cells."""

import time

import numpy as np
import pandas as pd
import pytest

from advtransfer.artefacts import save_table
from advtransfer.config.catalogue import CATALOGUE
from advtransfer.config.resolve import resolve_selection
from advtransfer.errors import InputError
from advtransfer.tables.accuracy import compare, read_rows
from advtransfer.tables.table5 import table5
from experiments import an_experiment, rows_of


def compare_as(figure: str, rows: pd.DataFrame, experiment: dict) -> pd.DataFrame:
    return compare(rows, experiment, figure)


def tabulate(figure: str, rows: pd.DataFrame, experiment: dict) -> pd.DataFrame:
    return (table5 if figure == "table5" else compare)(rows, experiment, figure)


def only(table: pd.DataFrame, **values) -> pd.Series:
    """The single line of a table with these values."""
    for column, value in values.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_last_epoch_counts_not_best_one():
    experiment = an_experiment()
    rows = rows_of(experiment, lambda s, t, b, i, seed, epoch: {1: 0.1, 11: 0.9, 20: 0.6}[epoch])
    rows = rows.sample(frac=1, random_state=0)
    table = compare_as("fig2", rows, experiment)
    assert np.allclose(table[table["quantity"] == "accuracy"]["mean"], 0.6)
    assert set(table["epochs"]) == {"20"}


def test_each_model_counts_with_its_own_last_epoch():
    """The authors mixed schedules within a cell: epochs 1, 6, 11 beside 1, 21, 41."""
    experiment = an_experiment(models=2)
    rows = rows_of(experiment, lambda s, t, b, i, seed, epoch: 0.2 if seed else {1: 0.1, 11: 0.2, 20: 0.6}[epoch])
    other = rows["seed"] == 1
    rows.loc[other, "epoch"] = rows.loc[other, "epoch"].map({1: 1, 11: 31, 20: 50})
    line = only(compare_as("fig2", rows, experiment), quantity="accuracy", source="l2", target="leaves", images=100)
    assert line["mean"] == pytest.approx((0.6 + 0.2) / 2)
    assert line["epochs"] == "20 50"


def test_model_that_stopped_early_is_refused():
    experiment = an_experiment()
    rows = rows_of(experiment)
    stopped = (rows["seed"] == 2) & (rows["epoch"] == 20) & (rows["source"] == "l2") & (rows["images"] == 100)
    with pytest.raises(InputError, match=r"model of l2 on leaves \(3 blocks, 100 images, seed 2\) ends at epoch 11"):
        compare_as("fig2", rows[~stopped], experiment)


@pytest.mark.parametrize("figure", ["fig2", "fig3"])
def test_epoch_given_twice_is_refused(figure):
    experiment = an_experiment()
    rows = rows_of(experiment)
    twice = pd.concat([rows, rows[(rows["source"] == "l2") & (rows["seed"] == 1)]])
    with pytest.raises(InputError, match="occurs twice"):
        tabulate(figure, twice, experiment)


def test_deltas_are_paired_by_seed():
    """Accuracies vary by 20 points with the seed, the difference is always 3: the paired band has no width."""
    experiment = an_experiment(models=5)
    rows = rows_of(experiment, lambda source, t, b, i, seed, e: 0.5 + 0.05 * seed + 0.03 * (source == "l2"))
    table = compare_as("fig2", rows.sample(frac=1, random_state=1), experiment)
    delta = only(table, quantity="delta", target="leaves", images=100)
    assert (delta["mean"], delta["low"], delta["high"]) == pytest.approx((0.03, 0.03, 0.03))
    assert (delta["source"], delta["minus_source"]) == ("l2", "plain")
    accuracy = only(table, quantity="accuracy", target="leaves", images=100, source="l2")
    assert accuracy["high"] - accuracy["low"] > 0.05  # what an unpaired band would have been made of


def test_seeds_on_one_side_only_are_left_out_and_counted():
    experiment = an_experiment(models=4)
    rows = rows_of(experiment, lambda source, t, b, i, seed, e: 0.1 * seed + 0.05 * (source == "l2"))
    rows.loc[(rows["source"] == "plain") & (rows["seed"] == 3), "seed"] = 7
    table = compare_as("fig2", rows, experiment)
    delta = only(table, quantity="delta", target="leaves", images=100)
    assert delta["mean"] == pytest.approx(0.05)
    assert (delta["models"], delta["models_expected"]) == (3, 5)
    unpaired = only(table, quantity="missing", target="leaves", images=100)
    assert (unpaired["minus_source"], unpaired["models"]) == ("plain", 3)


def test_signs_of_all_differences():
    level = {"plain": 0.4, "l2": 0.7, "small": 0.62, "large": 0.6}
    experiment = an_experiment()
    rows = rows_of(experiment, lambda source, t, blocks, i, s, e: level[source] + 0.01 * blocks)
    expected = {
        "fig2": {("l2", 3, "plain", 3): 0.3},
        "fig3": {("l2", 3, "plain", 3): 0.3},
        "fig4": {("l2", 3, "l2", 1): 0.02},
        "fig5": {("small", 3, "large", 3): 0.02, ("l2", 3, "small", 3): 0.08, ("l2", 3, "large", 3): 0.1},
        "fig10": {(source, 3, source, 1): 0.02 for source in level},
    }
    for figure, deltas in expected.items():
        table = tabulate(figure, rows, experiment)
        found = table[table["quantity"] == "delta"].groupby(["source", "blocks", "minus_source", "minus_blocks"])[
            "mean"
        ]
        assert found.first().to_dict() == pytest.approx(deltas), figure
        assert (table["quantity"] != "missing").all()


def test_fig3_is_drawn_at_its_epochs_and_size():
    experiment = an_experiment(fig3={"images": 200, "epochs": [1, 20]})
    rows = rows_of(an_experiment(), lambda s, t, b, i, seed, epoch: epoch / 100)
    table = compare_as("fig3", rows, experiment)
    assert set(table["images"]) == {200}
    accuracy = table[table["quantity"] == "accuracy"]
    assert dict(zip(accuracy["epochs"], accuracy["mean"], strict=True)) == pytest.approx({"1": 0.01, "20": 0.2})


def test_lines_say_how_long_their_runs_were_and_how_long_the_protocol_is():
    """One cell's runs ended at epoch 11 of 20; in figure 3 too, where `epochs` is the epoch that is drawn."""
    experiment = an_experiment(fig3={"images": 200, "epochs": [1, 11]})
    rows = rows_of(an_experiment())
    rows = rows[
        ~((rows["source"] == "l2") & (rows["target"] == "leaves") & (rows["images"] == 200) & (rows["epoch"] > 11))
    ]
    for figure in ("fig2", "fig3"):
        table = compare_as(figure, rows, experiment)
        assert set(table["planned_epochs"]) == {20}
        found = table[(table["target"] == "leaves") & (table["images"] == 200)]
        assert set(found[(found["quantity"] == "accuracy") & (found["source"] == "l2")]["run_epochs"]) == {"11"}
        assert set(found[(found["quantity"] == "model") & (found["source"] == "l2")]["run_epochs"]) == {"11"}
        assert set(found[found["source"] == "plain"]["run_epochs"]) == {"20"}
        assert set(found[found["quantity"] == "delta"]["run_epochs"]) == {"11 20"}
        assert set(table[table["target"] == "stones"]["run_epochs"]) == {"20"}


def test_fig5_shows_the_papers_two_targets_where_they_exist():
    experiment = an_experiment(targets=("mnist", "svhn", "cifar10"))
    table = compare_as("fig5", rows_of(experiment), experiment)
    assert set(table[table["quantity"] == "accuracy"]["target"]) == {"cifar10", "svhn"}
    assert set(table[table["quantity"] == "delta"]["target"]) == {"mnist", "svhn", "cifar10"}


def test_missing_cells_are_lines():
    experiment = an_experiment()
    rows = rows_of(experiment)
    gone = (rows["blocks"] == 9) | ((rows["source"] == "l2") & (rows["images"] == 200) & (rows["seed"] >= 1))
    table = compare_as("fig4", rows[~gone], experiment)
    missing = table[table["quantity"] == "missing"]
    found = set(missing[["blocks", "images", "models", "models_expected"]].itertuples(index=False, name=None))
    assert found == {(9, 100, 0, 4), (9, 200, 0, 4), (0, 200, 1, 4), (1, 200, 1, 4), (3, 200, 1, 4)}
    assert missing["mean"].isna().all()
    alone = only(table, quantity="accuracy", target="stones", blocks=3, images=200)
    assert np.isnan(alone["low"])  # one model has no interval


def test_rows_of_other_protocols_and_cells_do_not_count():
    experiment = an_experiment()
    rows = rows_of(experiment)
    stranger = rows.assign(protocol="long", test_accuracy=0.0)
    bigger = rows.assign(images=300, test_accuracy=0.0)
    pd.testing.assert_frame_equal(
        compare_as("fig10", pd.concat([stranger, rows, bigger]), experiment), compare_as("fig10", rows, experiment)
    )


def test_nothing_to_draw_is_an_error():
    experiment = an_experiment()
    rows = rows_of(experiment)
    with pytest.raises(InputError, match=r"'trial', fig2: none of its 8 cells .* Check 'protocol'"):
        compare_as("fig2", rows.assign(protocol="long"), experiment)
    with pytest.raises(InputError, match=r"'trial', fig2: no model to draw.* 3 blocks .* has \[0, 1\] blocks"):
        compare_as("fig2", rows, experiment | {"blocks": [0, 1]})
    with pytest.raises(InputError, match="at 777 images"):
        compare_as("fig3", rows, experiment | {"fig3": {"images": 777, "epochs": [1]}})


def test_band_depends_on_its_own_cell_alone():
    experiment = an_experiment(models=6)
    rng = np.random.default_rng(3)
    rows = rows_of(experiment, lambda *cell: rng.uniform(0.4, 0.6))
    whole = compare_as("fig2", rows, experiment)
    smaller = compare_as("fig2", rows, experiment | {"targets": ["stones"]})
    same = whole[whole["target"] == "stones"].reset_index(drop=True)
    pd.testing.assert_frame_equal(smaller, same)
    # The same cell has the same band in another figure.
    keys = {"quantity": "accuracy", "source": "l2", "blocks": 3, "target": "stones", "images": 100}
    pd.testing.assert_series_equal(
        only(compare_as("fig4", rows, experiment), **keys), only(whole, **keys), check_names=False
    )


def test_up_to_five_models_are_there_one_by_one():
    few, many = an_experiment(models=3), an_experiment(models=6)

    def accuracy(source, target, blocks, images, seed, epoch):
        return 0.5 + 0.01 * seed + (0.1 if source == "l2" else 0.0)

    table = compare_as("fig2", rows_of(few, accuracy), few)
    place = {"source": "l2", "target": "leaves", "images": 100}
    mine = table[(table[list(place)] == pd.Series(place)).all(axis=1)]
    models, pairs = (mine.loc[mine["quantity"] == name, "mean"] for name in ("model", "pair"))
    assert models.tolist() == pytest.approx([0.6, 0.61, 0.62])
    assert pairs.tolist() == pytest.approx([0.1, 0.1, 0.1])
    assert mine.loc[mine["quantity"].isin(["model", "pair"]), ["low", "high"]].isna().all(axis=None)
    assert not compare_as("fig2", rows_of(many, accuracy), many)["quantity"].isin(["model", "pair"]).any()


def test_one_model_has_no_interval_and_no_dot_beside_it():
    experiment = an_experiment(models=1)
    table = compare_as("fig2", rows_of(experiment), experiment)
    assert set(table["quantity"]) == {"accuracy", "delta"}
    assert table[["low", "high"]].isna().all(axis=None)


def test_the_authors_bands_can_be_chosen():
    experiment = an_experiment(models=4)
    rows = rows_of(experiment, lambda s, t, b, i, seed, e: 0.5 + 0.01 * seed**2)
    wide = only(compare_as("fig2", rows, experiment), quantity="accuracy", source="l2", target="leaves", images=100)
    experiment["bands"] = "bootstrap"
    narrow = only(compare_as("fig2", rows, experiment), quantity="accuracy", source="l2", target="leaves", images=100)
    assert wide["mean"] == narrow["mean"]
    assert wide["low"] < narrow["low"] < narrow["high"] < wide["high"]


def test_reading_rows(tmp_path):
    experiment = an_experiment()
    rows = rows_of(experiment)
    files = [tmp_path / f"{seed}.parquet" for seed in range(4)]
    for seed, file in enumerate(files):
        save_table(file, rows[rows["seed"] == seed])
    read = read_rows([*files, files[0], tmp_path / "absent.parquet"])
    assert len(read) == len(rows)
    pd.testing.assert_frame_equal(compare_as("fig10", read, experiment), compare_as("fig10", rows, experiment))
    with pytest.raises(InputError, match=r"none of the 1 file\(s\) of rows exists"):
        read_rows([tmp_path / "absent.parquet"])
    save_table(tmp_path / "bad.parquet", rows.drop(columns="seed"))
    with pytest.raises(InputError, match=r"bad.parquet: column\(s\) seed missing"):
        read_rows([tmp_path / "bad.parquet"])


def test_reading_many_small_files_is_quick(tmp_path):
    """The whole grid has thousands of files; 400 of them in well under 8 s are 3,000 in well under a minute."""
    rows = rows_of(an_experiment(models=1)).head(3)
    files = [tmp_path / f"{index}.parquet" for index in range(400)]
    save_table(files[0], rows)
    for file in files[1:]:
        file.write_bytes(files[0].read_bytes())
    start = time.perf_counter()
    assert len(read_rows(files)) == 3 * len(files)
    assert time.perf_counter() - start < 8


def test_an_experiment_chooses_blocks_and_the_best_epoch_of_a_figure():
    """Figure 5 as the authors drew it: one block, and each run's best epoch."""
    targets = ["leaves", "stones"]
    experiment = an_experiment()
    chosen = resolve_selection(CATALOGUE["fig5"].selection, targets, {"blocks": [1], "epoch": "best"})
    experiment["figures"]["fig5"] = chosen
    rows = rows_of(experiment, lambda s, t, blocks, i, seed, epoch: 0.1 * blocks + {1: 0.0, 11: 0.3, 20: 0.2}[epoch])
    table = compare(rows, experiment, "fig5")
    assert set(table["blocks"]) == {1}
    assert np.allclose(table.loc[table["quantity"] == "accuracy", "mean"], 0.4)
    assert set(table["epochs"]) == {"20"}
    deltas = table[table["quantity"] == "delta"]
    assert set(zip(deltas["source"], deltas["minus_source"], strict=True)) == {
        ("small", "large"),
        ("l2", "small"),
        ("l2", "large"),
    }
    assert set(deltas["minus_blocks"]) == {1}
