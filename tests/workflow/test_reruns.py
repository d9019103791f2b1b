"""A change reruns what depends on it and nothing else: asserted on the job lists of dry runs."""

import os
import random

import pandas as pd
import pytest

FIGURES = ["figures/fig2.pdf", "figures/fig4.pdf", "figures/table5.csv"]
TINY = ["--configfile", "tiny.yaml"]


def transfers(
    images, chunk="0-1", sources=("mini_l2", "mini_natural"), target="digits", blocks=(1, 3), protocol="tiny"
):
    """The transfer jobs that figures 2 and 4 need: 3 blocks of both sources, the other blocks of the robust one.

    images: sizes that share jobs, such as "20+40".
    """
    return sorted(
        f"results/transfer/{protocol}/{source}/{target}/blocks{count}_n{images}/seeds{chunk}.parquet"
        for source in sources
        for count in blocks
        if count == 3 or source == "mini_l2"
    )


def test_everything_was_made_once_and_nothing_is_left_to_do(checkout):
    assert checkout.planned(*FIGURES, *TINY) == {}
    for name in ("fig2.pdf", "fig2.png", "fig4.pdf", "table5.csv", "table5.md"):
        assert (checkout.folder / "figures" / name).stat().st_size > 100
    rows = pd.read_parquet(checkout.folder / transfers("20+40")[0])
    assert list(rows.columns[:7]) == ["protocol", "source", "target", "blocks", "images", "seed", "epoch"]
    assert rows["images"].tolist() == [20] * 4 + [40] * 4
    assert rows["seed"].tolist() == [20000000, 20000000, 20100000, 20100000] * 2
    assert rows["epoch"].tolist() == [1, 2] * 4
    assert rows["test_accuracy"].between(0, 1).all()


def test_touching_every_file_runs_nothing(checkout):
    files = [file for file in checkout.folder.rglob("*") if file.is_file() and ".snakemake" not in file.parts]
    random.Random(0).shuffle(files)
    for age, file in enumerate(files):
        os.utime(file, (1_800_000_000 + age, 1_800_000_000 + age))
    assert checkout.planned(*FIGURES, *TINY) == {}


def test_a_style_redraws_its_figure_only(checkout):
    checkout.edit("tiny.yaml", "experiment: tiny\n", "experiment: tiny\nstyle: {fig2: {lines.linewidth: 3}}\n")
    assert checkout.planned(*FIGURES, *TINY) == {"figure": ["figures/fig2.pdf"]}


def test_a_drawing_script_redraws_its_figure_only(checkout):
    with (checkout.folder / "scripts/figures/fig4.py").open("a") as script:
        script.write("\n\nCHANGED = True\n")
    assert checkout.planned(*FIGURES, *TINY) == {"figure": ["figures/fig4.pdf"]}


def test_a_learning_rate_reruns_the_transfers_of_its_protocol(checkout):
    checkout.edit("tiny.yaml", "learning_rate: 0.1", "learning_rate: 0.2")
    planned = checkout.planned(*FIGURES, *TINY)
    assert planned.pop("transfer") == transfers("20+40")
    assert set(planned) == {"table", "figure", "table5"}


def test_two_swapped_settings_are_noticed(checkout):
    """Snakemake compares parameters as a set: momentum 0.1 and learning rate 0.9 must not pass for the reverse."""
    checkout.edit("tiny.yaml", "learning_rate: 0.1\n    momentum: 0.9", "learning_rate: 0.9\n    momentum: 0.1")
    assert checkout.planned(*FIGURES, *TINY)["transfer"] == transfers("20+40")


def test_another_protocol_leaves_this_one_alone(checkout):
    checkout.edit("config.yaml", "learning_rate: 0.1  # SGD", "learning_rate: 0.3  # SGD")
    assert checkout.planned(*FIGURES, *TINY) == {}


def test_one_more_chunk_of_seeds_adds_its_own_jobs(checkout):
    """Chunks of two seeds here, so that growing from 2 to 4 seeds adds one chunk to each cell."""
    checkout.edit("tiny.yaml", "experiment: tiny\n", "experiment: tiny\nseeds_per_job: [{seeds: 2, together: true}]\n")
    assert "transfer" not in checkout.planned(*FIGURES, *TINY)
    checkout.edit("tiny.yaml", "    seeds: 2\n", "    seeds: 4\n")
    planned = checkout.planned(*FIGURES, *TINY)
    assert planned.pop("transfer") == transfers("20+40", chunk="2-3")
    assert set(planned) == {"table", "figure", "table5"}


def test_one_more_size_adds_its_own_jobs(checkout):
    """A size of another step than those that share jobs here."""
    steps = "seeds_per_job: [{images_up_to: 100, seeds: 2, together: true}, {seeds: 2}]\n"
    checkout.edit("tiny.yaml", "experiment: tiny\n", f"experiment: tiny\n{steps}")
    checkout.edit("tiny.yaml", "images: [20, 40]", "images: [20, 40, 200]")
    planned = checkout.planned(*FIGURES, *TINY)
    assert planned.pop("transfer") == transfers("200")
    assert planned.pop("subset") == ["results/subsets/digits/n200.parquet"]
    assert set(planned) == {"table", "figure", "table5"}


def test_a_size_that_joins_a_job_and_more_seeds_train_no_model_again(checkout):
    """The job has a new name and takes over the rows of the old one, bit for bit, their times included."""
    (file, *_) = transfers("20+40")
    before = pd.read_parquet(checkout.folder / file)
    checkout.edit("tiny.yaml", "images: [20, 40]", "images: [20, 30, 40]")
    checkout.edit("tiny.yaml", "    seeds: 2\n", "    seeds: 3\n")
    planned = checkout.planned(*FIGURES, *TINY)
    assert planned.pop("transfer") == transfers("20+30+40", chunk="0-2")
    assert planned.pop("subset") == ["results/subsets/digits/n30.parquet"]
    assert set(planned) == {"table", "figure", "table5"}
    file = transfers("20+30+40", chunk="0-2")[0]
    checkout.snakemake(file, *TINY)
    after = pd.read_parquet(checkout.folder / file)
    assert after.groupby(["images", "seed"], sort=False).ngroups == 9
    assert after["images"].is_monotonic_increasing
    common = after[(after["images"] != 30) & after["seed"].isin(before["seed"])]
    pd.testing.assert_frame_equal(common.reset_index(drop=True), before)
    log = (checkout.folder / file.replace("results/", "results/logs/")).with_suffix(".log").read_text()
    assert "20 images: 2 of 3 models are there already" in log

    # A smaller experiment has them as well. Not those of another recipe.
    checkout.edit("tiny.yaml", "images: [20, 30, 40]", "images: [40]")
    file = transfers("40", chunk="0-2")[0]
    checkout.snakemake(file, *TINY)
    shrunk = pd.read_parquet(checkout.folder / file)
    pd.testing.assert_frame_equal(shrunk, after[after["images"] == 40].reset_index(drop=True))
    checkout.edit("tiny.yaml", "learning_rate: 0.1", "learning_rate: 0.2")
    (checkout.folder / file).unlink()
    checkout.snakemake(file, *TINY)
    assert (
        "already" not in (checkout.folder / file.replace("results/", "results/logs/")).with_suffix(".log").read_text()
    )


def test_one_more_target_adds_its_own_jobs(checkout):
    checkout.edit("tiny.yaml", "targets: [digits]", "targets: [digits, glyphs]")
    planned = checkout.planned(*FIGURES, *TINY)
    assert planned.pop("transfer") == transfers("20+40", target="glyphs")
    assert planned.pop("subset") == [f"results/subsets/glyphs/n{images}.parquet" for images in (20, 40)]
    assert planned.pop("target") == ["results/targets/glyphs.safetensors"]
    assert set(planned) == {"table", "figure", "table5"}


@pytest.mark.parametrize(
    "module", ["advtransfer/attacks.py", "advtransfer/sources.py", "advtransfer/targets/glyphs.py", "train_source.py"]
)
def test_code_that_was_not_used_runs_nothing(checkout, module):
    """The bundled sources are files: a change of the attack does not make them, nor what was fine-tuned from them, anew."""
    with (checkout.folder / "scripts" / module).open("a") as file:
        file.write("\n\nCHANGED = True\n")
    assert checkout.planned(*FIGURES, *TINY) == {}


@pytest.mark.parametrize("module", ["advtransfer/transfer.py", "advtransfer/tables/accuracy.py", "figures/style.py"])
def test_a_comment_runs_nothing(checkout, module):
    with (checkout.folder / "scripts" / module).open("a") as file:
        file.write("# An afterthought.\n")
    assert checkout.planned(*FIGURES, *TINY) == {}


def test_the_engine_reruns_transfers_but_neither_sources_targets_nor_subsets(checkout):
    with (checkout.folder / "scripts/advtransfer/transfer.py").open("a") as file:
        file.write("\n\nCHANGED = True\n")
    planned = checkout.planned(*FIGURES, *TINY)
    assert planned.pop("transfer") == transfers("20+40")
    assert set(planned) == {"table", "figure", "table5"}


def test_another_source_file_reruns_its_own_transfers(checkout):
    """The same path with another content: here natural's weights take the place of the Linf ones."""
    source = checkout.folder / "resources/sources/natural.safetensors"
    source.write_bytes(source.read_bytes()[:-2] + b"\x00\x00")
    planned = checkout.planned(*FIGURES, *TINY)
    assert planned["import_source"] == ["results/sources/mini_natural.safetensors"]
    assert planned["transfer"] == transfers("20+40", sources=["mini_natural"])
