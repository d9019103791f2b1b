"""The study of robustness bounds in miniature: everything is made once, what is stale is noticed, a contradiction stops the run."""

import shutil

import pandas as pd
import pytest

from advtransfer.artefacts import save_table
from advtransfer.config.columns import BOUND_ROWS, BOUND_SUMMARY

ASKED = ["figures/robustness_bound.pdf", "figures/robustness_bound.csv"]
TINY = ["--configfile", "tiny.yaml"]
SMALL = """\
    blocks: [1, 3]
    robustness_bound: {images: 20, blocks: [1], seeds: 2, test_images: 6, steps: 2, epsilons: [{epsilons: [1/255, 4/255]}]}
"""
ROWS = "results/robustness_bound/probe/{source}/digits/blocks{blocks}_n20/seeds0-1.parquet"


@pytest.fixture(scope="module")
def bounded(finished, tmp_path_factory):
    """The tiny experiment with this study, run once."""
    folder = tmp_path_factory.mktemp("bounded") / "checkout"
    shutil.copytree(finished.folder, folder, copy_function=shutil.copy2)
    checkout = type(finished)(folder)
    checkout.edit("tiny.yaml", "    blocks: [1, 3]\n", SMALL)
    checkout.snakemake(*ASKED, *TINY)
    return checkout


@pytest.fixture
def changed(bounded, tmp_path):
    shutil.copytree(bounded.folder, tmp_path / "checkout", copy_function=shutil.copy2)
    return type(bounded)(tmp_path / "checkout")


def test_everything_is_made_and_nothing_is_left_to_do(bounded):
    summary = pd.read_csv(bounded.folder / "figures/robustness_bound.csv")
    assert list(summary) == list(BOUND_SUMMARY)
    # 2 sources, 1 target, probes and 1 block, 2 radii; 2 seeds and 6 images each.
    assert len(summary) == 2 * 2 * 2
    assert (summary["attacked_images"] == 12).all()
    assert (summary[["violations", "contradictions"]] == 0).all().all()
    assert (summary["accuracy_met"] <= summary["robust_accuracy"]).all()
    assert (summary["robust_accuracy"] <= summary["accuracy"]).all()
    rows = pd.read_parquet(bounded.folder / ROWS.format(source="mini_l2", blocks=0))
    assert list(rows) == list(BOUND_ROWS)
    assert rows["seed"].unique().tolist() == [20_000_000, 20_100_000]
    gap = rows["loss_adv"] - rows["loss"]
    assert (gap <= rows["weight_distance"] * rows["sensitivity_estimate"] * (1 + 1e-9)).all()
    for ending in ("pdf", "png"):
        assert (bounded.folder / "figures" / f"robustness_bound.{ending}").stat().st_size > 1000
    assert bounded.planned(*ASKED, *TINY) == {}


def test_without_records_the_artefacts_know_what_made_them(changed):
    """Command lines and planning agree; another attack is noticed, and trains nothing."""
    shutil.rmtree(changed.folder / ".snakemake")
    assert changed.planned(*ASKED, *TINY) == {}
    changed.edit("tiny.yaml", "steps: 2", "steps: 3")
    planned = changed.planned(*ASKED, *TINY)
    assert {rule: len(jobs) for rule, jobs in planned.items()} == {
        "robustness_bound_rows": 4,
        "study_table": 2,
        "table_copy": 1,
        "figure": 1,
    }


def test_another_probe_is_attacked_anew_and_the_experiments_own_models_stay(changed):
    changed.edit("tiny.yaml", "protocols:\n", "protocols:\n  probe: {learning_rate: 0.2}\n")
    planned = changed.planned(*ASKED, "figures/fig2.pdf", *TINY)
    assert len(planned["fine_tuned_model"]) == 2 * 2 * 2
    assert "transfer" not in planned
    assert planned["figure"] == ["figures/robustness_bound.pdf"]


def test_a_contradiction_stops_the_run(changed):
    """One row in which a loss passed its bound: no table and no figure is made, and one line says where."""
    file = ROWS.format(source="mini_l2", blocks=0)
    rows = pd.read_parquet(changed.folder / file)
    rows.loc[3, "violated"] = True
    save_table(changed.folder / file, rows)
    for output in ASKED:
        (changed.folder / output).unlink()
    # Snakemake looks at dates only, or it would make the damaged rows again.
    result = changed.snakemake(*ASKED, *TINY, "--rerun-triggers", "mtime", check=False)
    assert result.returncode != 0
    said = [line for line in result.stdout.splitlines() if line.startswith(f"{file}: 1 attacked image(s) contradict")]
    assert said, result.stdout
    assert "Traceback" not in result.stdout
    assert not (changed.folder / ASKED[1]).exists()


def test_an_experiment_of_published_rows_says_why_not(fresh):
    text = fresh.snakemake("-n", ASKED[0], "--config", "experiment=published", check=False).stdout
    assert "experiment 'published' has no networks to attack: its rows are published" in text
