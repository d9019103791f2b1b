"""The figures that look into single networks, run in miniature; and what a changed setting computes again."""

import pandas as pd
import pytest

from advtransfer.config.columns import INFLUENCE_CUT, INFLUENCE_CUT_ROWS

FIGURES = [f"figures/{name}.pdf" for name in ("fig1", "fig6", "fig7", "fig8", "influence_all", "influence_cut")]
FIGURES += [f"figures/{name}.csv" for name in ("fig7", "fig8", "influence_cut")]
TINY = ["--configfile", "tiny.yaml"]
SMALL = """\
experiment: tiny
influence: {seeds: 2, halves: 6}
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
    for name in ("fig1", "fig6", "fig7", "fig8", "fig9", "influence_all", "influence_cut"):
        for ending in ("pdf", "png"):
            assert (looked_into.folder / "figures" / f"{name}.{ending}").stat().st_size > 1000
    summary = pd.read_csv(looked_into.folder / "figures/fig8.csv")
    assert summary["query_images"].tolist() == [25, 25, 20, 20]
    assert summary["top1_percent"].between(0, 100).all()
    assert (summary["networks"] == 2).all()
    assert (summary["head"] == "refitted").all()
    contrast = pd.read_csv(looked_into.folder / "figures/fig7.csv")
    assert contrast["role"].tolist() == 2 * ["robust", "natural", "robust - natural"]
    scores = pd.read_csv(looked_into.folder / "figures/influence_cut.csv").query(
        "quantity == 'score' and inverse == 'cut'"
    )
    assert list(pd.read_csv(looked_into.folder / "figures/influence_cut.csv")) == list(INFLUENCE_CUT)
    # Sources, heads, cuts; two networks and their mean.
    assert len(scores) == 2 * 2 * 9 * 3
    assert scores["mean"].between(-1, 1).all()
    rows = pd.read_parquet(
        looked_into.folder / "results/influence_cut/tiny/mini_l2/digits/blocks1_n20_seed20100000.parquet"
    )
    assert list(rows) == list(INFLUENCE_CUT_ROWS)
    assert (rows["queries"] == 25).all()
    assert looked_into.planned(*FIGURES, *TINY) == {}


def test_a_model_for_these_figures_has_the_rows_of_the_transfer_job(looked_into):
    """The same seed, alone and as one of a job's: the same bits."""
    name = "tiny/mini_l2/digits/blocks1_n20"
    alone = pd.read_parquet(looked_into.folder / f"results/models/{name}_seed20000000.parquet")
    among = pd.read_parquet(looked_into.folder / f"results/transfer/{name}+40/seeds0-1.parquet")
    among = among[(among["seed"] == 20_000_000) & (among["images"] == 20)].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.drop(columns="seconds"), among.drop(columns="seconds"))


def test_the_papers_head_computes_influence_again_and_trains_nothing(changed):
    """From the command line; what was measured of every inverse stays, and only the figure's footer says another one."""
    planned = changed.planned(*FIGURES, *TINY, "--config", "influence={head: fine_tuned}")
    assert {rule: len(jobs) for rule, jobs in planned.items()} == {
        "influence": 4,
        "influence_table": 4,
        "influence_pictures": 2,
        "table_copy": 2,
        "figure": 5,
    }
    assert "figures/fig1.pdf" not in planned["figure"]
    # Its cut is no setting of the refitted head.
    changed.edit("tiny.yaml", "halves: 6", "halves: 6, pinv_rcond: 0.01")
    assert set(changed.planned(*FIGURES, *TINY)) == {"figure"}


def test_another_ridge_retrains_heads_and_no_network(changed):
    changed.edit("tiny.yaml", "halves: 6", "halves: 6, ridge: 2")
    planned = changed.planned(*FIGURES, *TINY)
    assert (len(planned["influence_cut_rows"]), len(planned["influence"])) == (4, 4)
    assert "fine_tuned_model" not in planned
    assert "features" not in planned


def test_without_records_the_artefacts_know_what_made_them(changed):
    """Command lines and planning agree on what makes them."""
    import shutil

    shutil.rmtree(changed.folder / ".snakemake")
    assert changed.planned(*FIGURES, *TINY) == {}


def test_self_influence_is_a_matter_of_the_tables(changed):
    changed.edit("tiny.yaml", "halves: 6", "halves: 6, self_influence: included")
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
