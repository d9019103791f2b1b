"""The study of transferability in miniature: everything is made once, nothing is trained twice, what is stale is noticed."""

import shutil

import pandas as pd
import pytest

from advtransfer.artefacts import load_tensors
from advtransfer.config.columns import TRANSFERABILITY, TRANSFERABILITY_ROWS

ASKED = [
    f"figures/{name}.{ending}" for name in ("transferability", "transferability_sources") for ending in ("pdf", "csv")
]
TINY = ["--configfile", "tiny.yaml"]
# Two sources on 20 digits with two seeds, and two mixtures with one.
SMALL = """\
    blocks: [1, 3]
    transferability: {images: 20, recipe: tiny, reference_images: 60, seeds: 2, test_images: 8, steps: 2}
"""
CONTROLLED = """\
reference_networks:
  tiny: {layers: [1, 1], epochs: 2, batch_size: 32, peak_learning_rate: 0.05, momentum: 0.9, weight_decay: 0, augmentation: none}
targets:
  mixture_0: {train_per_class: 10, test_per_class: 5}
  mixture_100: {train_per_class: 10, test_per_class: 5}
  other_digits: {train_per_class: 10, test_per_class: 5}
sources:
  mixed_0: {epochs: 2, layers: [1, 1]}
  mixed_100: {epochs: 2, layers: [1, 1]}
transferability:
  controlled: {sources: [mixed_0, mixed_100], recipe: tiny, images: 20, seeds: 1, test_images: 8, steps: 2}
"""
ROWS = "results/transferability/{comparison}/probe/{source}/{target}/n20/seeds0-1.parquet"


@pytest.fixture(scope="module")
def compared(finished, tmp_path_factory):
    """The tiny experiment with this study, run once."""
    folder = tmp_path_factory.mktemp("compared") / "checkout"
    shutil.copytree(finished.folder, folder, copy_function=shutil.copy2)
    checkout = type(finished)(folder)
    checkout.edit("tiny.yaml", "    blocks: [1, 3]\n", SMALL)
    path = folder / "tiny.yaml"
    path.write_text(path.read_text() + CONTROLLED)
    planned = checkout.planned(*ASKED, *TINY)
    assert {rule: len(planned[rule]) for rule in ("reference_network", "transferability_rows", "mixture")} == {
        "reference_network": 2 + 1,  # shared by the sources of a target
        "transferability_rows": 2 + 2,
        "mixture": 3,
    }
    assert "transfer" not in planned
    checkout.snakemake(*ASKED, *TINY)
    return checkout


@pytest.fixture
def changed(compared, tmp_path):
    shutil.copytree(compared.folder, tmp_path / "checkout", copy_function=shutil.copy2)
    return type(compared)(tmp_path / "checkout")


def test_everything_is_made_and_nothing_is_left_to_do(compared):
    for name, sources in (
        ("transferability", ["mini_natural", "mini_l2"]),
        ("transferability_sources", ["mixed_0", "mixed_100"]),
    ):
        table = pd.read_csv(compared.folder / f"figures/{name}.csv")
        assert list(table) == list(TRANSFERABILITY)
        assert table["source"].dropna().unique().tolist() == sources
        assert (table["seeds"].dropna() == (2 if name == "transferability" else 1)).all()
        assert (compared.folder / f"figures/{name}.png").stat().st_size > 1000
    rows = pd.read_parquet(compared.folder / ROWS.format(comparison="networks", source="mini_l2", target="digits"))
    assert list(rows) == list(TRANSFERABILITY_ROWS)
    assert rows["seed"].tolist() == [20_000_000, 20_100_000]
    assert (rows["reference_right"] <= rows["test_images"]).all()
    assert (rows["both_right"] <= rows["reference_right"]).all()
    assert (rows["epsilon"] == 0.1).all()
    probe = pd.read_parquet(compared.folder / "results/models/probe/mini_l2/digits/blocks0_n20_seed20000000.parquet")
    assert rows["probe_accuracy"][0] == probe["test_accuracy"].iloc[-1]
    assert compared.planned(*ASKED, *TINY) == {}


def test_a_reference_network_says_what_it_is(compared):
    folder = compared.folder / "results/references/tiny/mini_natural/digits"
    files = sorted(folder.glob("n60_seed*.safetensors"))
    assert len(files) == 2
    one, other = (load_tensors(file) for file in files)
    assert (one[1]["layers"], one[1]["width"], one[1]["resolution"]) == ([1, 1], 0.25, 32)
    assert (one[1]["images"], one[1]["seed"], one[1]["threat"]) == (60, 20_000_000, None)
    assert not (one[0]["conv1.weight"] == other[0]["conv1.weight"]).all(), "seeds draw their weights"
    assert not list(folder.glob("*checkpoint*"))


def test_without_records_the_artefacts_know_what_made_them(changed):
    """Command lines and planning agree; another attack is noticed, and trains nothing."""
    shutil.rmtree(changed.folder / ".snakemake")
    assert changed.planned(*ASKED, *TINY) == {}
    changed.edit("tiny.yaml", "test_images: 8, steps: 2}\nreference", "test_images: 8, steps: 3}\nreference")
    planned = changed.planned(*ASKED, *TINY)
    assert {rule: len(jobs) for rule, jobs in planned.items()} == {
        "transferability_rows": 2,
        "study_table": 1,
        "table_copy": 1,
        "figure": 1,
    }


def test_another_recipe_trains_reference_networks_and_nothing_else(changed):
    changed.edit("tiny.yaml", "weight_decay: 0,", "weight_decay: 0.1,")
    planned = changed.planned(*ASKED, "figures/fig2.pdf", *TINY)
    assert {rule: len(jobs) for rule, jobs in planned.items()} == {
        "reference_network": 3,
        "transferability_rows": 4,
        "study_table": 2,
        "table_copy": 2,
        "figure": 2,
    }


def test_sources_of_another_resolution_are_one_line(changed):
    changed.edit("tiny.yaml", "tiny: {layers: [1, 1],", "tiny: {layers: [1, 1], resolution: 16,")
    result = changed.snakemake(ASKED[0], *TINY, check=False)
    assert result.returncode != 0
    assert "takes images of 32 pixels, its reference network of 16. Compare sources of one resolution" in result.stdout
    assert "Traceback" not in result.stdout


def test_an_experiment_of_published_rows_says_why_not(fresh):
    text = fresh.snakemake("-n", ASKED[0], "--config", "experiment=published", check=False).stdout
    assert "experiment 'published' has no networks to compare: its rows are published" in text
