"""The figures that look into single networks, run in miniature; and what a changed setting computes again."""

import pandas as pd
import pytest

FIGURES = [f"figures/{name}.pdf" for name in ("fig1", "fig6", "fig7", "fig8", "influence_all")] + ["figures/fig8.csv"]
TINY = ["--configfile", "tiny.yaml"]
SMALL = """\
experiment: tiny
visualisation: {units: [0], steps: 2, step_size: 2}
"""
LOOK = """\
    blocks: [1, 3]
    influence: {images: 20, blocks: 1, test_images: 25, all_weights_queries: 5}
"""


@pytest.fixture(scope="module")
def looked_into(finished, tmp_path_factory):
    """The tiny experiment with these figures, run once."""
    import shutil

    folder = tmp_path_factory.mktemp("looked") / "checkout"
    shutil.copytree(finished.folder, folder, copy_function=shutil.copy2)
    checkout = type(finished)(folder)
    checkout.edit("tiny.yaml", "experiment: tiny\n", SMALL)
    checkout.edit("tiny.yaml", "    blocks: [1, 3]\n", LOOK)
    checkout.snakemake(*FIGURES, "figures/fig9.pdf", *TINY)
    return checkout


@pytest.fixture
def changed(looked_into, tmp_path):
    import shutil

    shutil.copytree(looked_into.folder, tmp_path / "checkout", copy_function=shutil.copy2)
    return type(looked_into)(tmp_path / "checkout")


def test_everything_is_made_and_nothing_is_left_to_do(looked_into):
    for name in ("fig1", "fig6", "fig7", "fig8", "fig9", "influence_all"):
        for ending in ("pdf", "png"):
            assert (looked_into.folder / "figures" / f"{name}.{ending}").stat().st_size > 1000
    summary = pd.read_csv(looked_into.folder / "figures/fig8.csv")
    assert summary["query_images"].tolist() == [25, 25, 20, 20]
    assert summary["top1_percent"].between(0, 100).all()
    assert looked_into.planned(*FIGURES, *TINY) == {}


def test_a_model_for_these_figures_has_the_rows_of_the_transfer_job(looked_into):
    """The same seed, alone and as one of a job's: the same bits."""
    name = "tiny/mini_l2/digits/blocks1_n20"
    alone = pd.read_parquet(looked_into.folder / f"results/models/{name}_seed20000000.parquet")
    among = pd.read_parquet(looked_into.folder / f"results/transfer/{name}/seeds0-1.parquet")
    among = among[among["seed"] == 20_000_000].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.drop(columns="seconds"), among.drop(columns="seconds"))


def test_another_cut_computes_influence_again_and_trains_nothing(changed):
    changed.edit("tiny.yaml", "experiment: tiny\n", "experiment: tiny\ninfluence: {pinv_rcond: 0.01}\n")
    planned = changed.planned(*FIGURES, *TINY)
    assert {rule: len(jobs) for rule, jobs in planned.items()} == {
        "influence": 2,
        "influence_table": 3,
        "influence_pictures": 2,
        "table_copy": 1,
        "figure": 4,
    }
    assert "figures/fig1.pdf" not in planned["figure"]


def test_self_influence_is_a_matter_of_the_tables(changed):
    changed.edit("tiny.yaml", "experiment: tiny\n", "experiment: tiny\ninfluence: {self_influence: included}\n")
    planned = changed.planned(*FIGURES, *TINY)
    assert set(planned) == {"influence_table", "influence_pictures", "table_copy", "figure"}


def test_other_units_climb_again_and_nothing_else(changed):
    changed.edit("tiny.yaml", "units: [0]", "units: [1]")
    assert changed.planned(*FIGURES, *TINY) == {
        "visualise": ["results/tables/tiny/fig1.safetensors"],
        "figure": ["figures/fig1.pdf"],
    }


def test_a_unit_that_is_not_there_is_one_line(changed):
    changed.edit("tiny.yaml", "units: [0]", "units: [600]")
    text = changed.snakemake("figures/fig1.pdf", *TINY, check=False).stdout
    assert "visualisation.units: found 600, but results/models/" in text
    assert "has 512 penultimate units. Give numbers from 0 to 511." in text


def test_published_rows_have_no_networks_to_look_into(fresh):
    text = fresh.snakemake("-n", "figures/fig8.pdf", "--config", "experiment=published", check=False).stdout
    assert "experiment 'published' has no networks to look into" in text
