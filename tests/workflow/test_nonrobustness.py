"""The study of transferred non-robustness in miniature: everything is made once, what is stale is noticed, networks are shared."""

import shutil

import pandas as pd
import pytest

from advtransfer.config.columns import NONROBUSTNESS, NONROBUSTNESS_FEATURES_ROWS, NONROBUSTNESS_ROWS

ASKED = ["figures/nonrobustness.pdf", "figures/nonrobustness.csv", "figures/nonrobustness_features.pdf"]
TINY = ["--configfile", "tiny.yaml"]
SMALL = """\
    blocks: [1, 3]
    nonrobustness:
      {protocol: tiny, mitigated: [kept], recipe: tiny, images: 20, blocks: 1, seeds: 2, test_images: 8, steps: 2, restarts: 2,
       epsilons: [1/255, 8/255], features: {images: 8, steps: 2, draws: 1}}
"""
MORE = """\
reference_networks:
  tiny: {layers: [1, 1, 1, 1], epochs: 2, batch_size: 32, peak_learning_rate: 0.05, momentum: 0.9, weight_decay: 0, augmentation: none}
protocols:
  kept: &kept
    learning_rate: 0.1
    momentum: 0.9
    weight_decay: 5.e-4
    batch_size: 128
    epochs: [{epochs: 2, evaluate_every: 1}]
    batch_norm: frozen
    head_init: standard_normal
    augmentation: none
    mitigation: {beta: 4, epsilon: 1/255, steps: 1}
"""
ROWS = "results/nonrobustness/{part}/{way}/{source}/digits/{trained}_n20/seeds0-1.parquet"


@pytest.fixture(scope="module")
def attacked(finished, tmp_path_factory):
    """The tiny experiment with this study, run once."""
    folder = tmp_path_factory.mktemp("attacked") / "checkout"
    shutil.copytree(finished.folder, folder, copy_function=shutil.copy2)
    checkout = type(finished)(folder)
    checkout.edit("tiny.yaml", "    blocks: [1, 3]\n", SMALL)
    checkout.edit("tiny.yaml", "protocols:\n", MORE)
    checkout.snakemake(*ASKED, *TINY)
    return checkout


@pytest.fixture
def changed(attacked, tmp_path):
    shutil.copytree(attacked.folder, tmp_path / "checkout", copy_function=shutil.copy2)
    return type(attacked)(tmp_path / "checkout")


def test_everything_is_made_and_nothing_is_left_to_do(attacked):
    table = pd.read_csv(attacked.folder / "figures/nonrobustness.csv")
    assert list(table) == list(NONROBUSTNESS)
    accuracy = table[table["quantity"] == "accuracy"]
    assert sorted(zip(accuracy["arm"], accuracy["source"], accuracy["beta"], strict=True)) == [
        ("fine_tuned", "mini_l2", 0.0),
        ("fine_tuned", "mini_natural", 0.0),
        ("mitigated", "mini_natural", 4.0),
        ("standard", "mini_natural", 0.0),
    ]
    assert (accuracy["networks"] == 2).all()
    attacks = table[table["quantity"] == "adversarial_accuracy"].sort_values("epsilon")
    assert attacks.groupby(["arm", "source"])["mean"].apply(lambda mean: mean.is_monotonic_decreasing).all()
    rows = pd.read_parquet(
        attacked.folder / ROWS.format(part="fine_tuned", way="kept", source="mini_natural", trained="blocks1")
    )
    assert list(rows) == list(NONROBUSTNESS_ROWS)
    assert rows["seed"].unique().tolist() == [20_000_000, 20_100_000]
    assert len(rows) == 2 * 3
    compared = pd.read_parquet(
        attacked.folder / "results/nonrobustness_features/tiny/mini_natural/digits/n20/seeds0-1.parquet"
    )
    assert set(compared) == set(NONROBUSTNESS_FEATURES_ROWS)
    cca = compared[compared["quantity"] == "cca"]
    assert cca["value"].between(0, 1).all()
    # Blocks below the trained one are the source's: the mitigated network's differ in nothing, a network from scratch's do.
    below = cca[cca["place"] == 1].groupby(["first", "second"])["value"].min()
    assert below["natural", "fine_tuned"] > 1 - 1e-6
    assert below["natural", "mitigated"] > 1 - 1e-6
    assert below["natural", "standard"] < 0.9999
    for figure in ("nonrobustness", "nonrobustness_features"):
        for ending in ("pdf", "png"):
            assert (attacked.folder / "figures" / f"{figure}.{ending}").stat().st_size > 1000
    assert attacked.planned(*ASKED, *TINY) == {}


def test_without_records_the_artefacts_know_what_made_them(changed):
    """Command lines and planning agree; another attack is noticed, and trains nothing."""
    shutil.rmtree(changed.folder / ".snakemake")
    assert changed.planned(*ASKED, *TINY) == {}
    changed.edit("tiny.yaml", "steps: 2, restarts: 2", "steps: 3, restarts: 2")
    planned = changed.planned(*ASKED, *TINY)
    assert {rule: len(jobs) for rule, jobs in planned.items()} == {
        "nonrobustness_rows": 4,
        "study_table": 1,
        "table_copy": 1,
        "figure": 2,
    }


def test_another_beta_trains_the_mitigated_networks_anew_and_no_others(changed):
    changed.edit("tiny.yaml", "beta: 4", "beta: 5")
    planned = changed.planned(*ASKED, "figures/fig2.pdf", *TINY)
    assert [file for file in planned["nonrobustness_networks"] if "/kept/" not in file] == []
    assert len(planned["nonrobustness_networks"]) == 1
    assert len(planned["nonrobustness_rows"]) == 1
    assert "transfer" not in planned
    assert planned["figure"] == ["figures/nonrobustness.pdf", "figures/nonrobustness_features.pdf"]


def test_an_experiment_that_does_not_ask_says_how(fresh):
    text = fresh.snakemake("-n", ASKED[0], "--config", "experiment=slice", check=False).stdout
    assert "experiment 'slice' does not ask for it. Add 'nonrobustness', such as {test_images: 500}" in text
