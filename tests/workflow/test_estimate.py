"""`snakemake estimate` in a checkout without data, and what a finished job leaves beside its rows."""

import re
import shutil

import pandas as pd

SHORT = ["--config", "estimate_seconds=4"]


def test_an_estimate_needs_no_data_and_makes_none(fresh):
    text = fresh.snakemake("estimate", "--cores", "2", *SHORT).stdout
    assert "Experiment demo, protocol demo: 616 models in 50 jobs; 0 models in 0 jobs are done." in text
    # 8 arms of 3 seeds on digits, 2 sources, targets and 4 sizes of 3 seeds; a job for each row file of 3 seeds, and one for features.
    assert "nonrobustness, 72 networks (72 to train), which 25 jobs measure (25 left)." in text
    assert "robustness_bound, 48 networks (48 to train), which 16 jobs" in text
    rows = [line.split() for line in text.splitlines() if re.match(r" *(0|1|3|9|all) +\d", line)]
    few = {blocks: [blocks, "72", "72", "8"] for blocks in "019"}
    # At 3 blocks: 20 and 10 seeds of two sources, two more sources, two rungs of the ladder, and shrunk targets.
    assert [row[:4] for row in rows] == [
        few["0"],
        few["1"],
        ["3", "400", "400", "26"],
        few["9"],
        ["all", "616", "616", "50"],
    ]
    # 8 cells of a size and a block count; 3 seeds of 30 epochs, evaluated 4 times on 500 images.
    by_blocks = {row[0]: row for row in rows}
    assert {by_blocks[blocks][4] for blocks in "019"} == {f"{8 * 3 * 30 * (50 + 100 + 200):,}"}
    assert {by_blocks[blocks][5] for blocks in "019"} == {f"{8 * 3 * 3 * 4 * 500:,}"}
    assert re.search(r"Time: [\d.]+ (s|min) of computing, [\d.]+ (s|min) with 2 job\(s\) at once\.", text)
    assert re.search(r"Disk: [\d.]+ MB more", text)
    made = {
        path.relative_to(fresh.folder).as_posix() for path in (fresh.folder / "results").rglob("*") if path.is_file()
    }
    assert made == {"results/logs/estimate.log", "results/estimate.json"}


def test_published_rows_are_nothing_to_train(fresh):
    text = fresh.snakemake("estimate", "--config", "experiment=published").stdout
    assert "Experiment published: nothing to train" in text


def test_what_is_done_is_subtracted_and_asking_runs_nothing(checkout):
    """The tiny experiment's figures 2 and 4 and its table need 3 of the 4 jobs that all figures need."""
    text = checkout.snakemake("estimate", "--configfile", "tiny.yaml", *SHORT).stdout
    assert "16 models in 4 jobs; 12 models in 3 jobs are done." in text
    assert "of computing" in text
    file = checkout.folder / "results/transfer/tiny/mini_l2/digits/blocks1_n20+40/seeds0-1.parquet"
    copy = checkout.folder / "results/transfer/tiny/mini_natural/digits/blocks1_n20+40/seeds0-1.parquet"
    copy.parent.mkdir(parents=True)
    shutil.copy(file, copy)
    text = checkout.snakemake("estimate", "--configfile", "tiny.yaml").stdout
    assert "Nothing is left to train." in text


def test_a_job_leaves_its_progress_and_its_benchmark(finished):
    job = "transfer/tiny/mini_l2/digits/blocks3_n20+40/seeds0-1"
    lines = (finished.folder / f"results/logs/{job}.log").read_text().splitlines()
    sizes = [line for line in lines if "% done" not in line]
    assert [re.search(r"(\d+) images, (\d) of 2 sizes$", line).groups() for line in sizes] == [("20", "1"), ("40", "2")]
    trained = [line for line in lines if line not in sizes]
    shares = [re.search(r"images/s; (\d+)% done, about [\d.]+ min left$", line)[1] for line in trained]
    assert shares == ["25", "50", "75", "100"] * 2
    benchmark = pd.read_csv(finished.folder / f"results/benchmarks/{job}.tsv", sep="\t")
    assert benchmark["s"].item() > 0


def test_progress_of_an_experiment(checkout):
    """Figures 2 and 4 and the table have made 3 of the 4 jobs."""
    text = checkout.snakemake("progress", "--quiet", "all", "--configfile", "tiny.yaml").stdout
    assert "Experiment tiny, protocol tiny: 12 of 16 models (75%), 3 of 4 jobs are done." in text


def test_a_missing_benchmark_runs_nothing(checkout):
    shutil.rmtree(checkout.folder / "results/benchmarks")
    figures = ["figures/fig2.pdf", "figures/fig4.pdf", "figures/table5.csv"]
    assert checkout.planned(*figures, "--configfile", "tiny.yaml") == {}
