"""What a user meets first: mistakes, the size of the paper's grid, the authors' logs, real images."""

import gzip
import shutil
import zipfile

import pandas as pd
import pytest

from advtransfer.config.catalogue import DRAWN


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "experiment=papr"], "config: experiment: no experiment is named 'papr'. Did you mean 'paper'?"),
        (["--config", "epxeriment=paper"], "config: top level: unknown key 'epxeriment'. Did you mean 'experiment'?"),
        (["--configfile", "mine.yaml"], "config: target 'leaves': path no/such/folder is not a folder."),
    ],
)
def test_a_mistake_is_one_line_before_any_job(fresh, arguments, message):
    (fresh.folder / "mine.yaml").write_text(
        "experiment: mine\n"
        "targets: {leaves: {kind: image_folder, path: no/such/folder}}\n"
        "experiments:\n"
        "  mine: {protocol: demo, sources: {natural: mini_natural}, targets: [leaves], images: [20], seeds: 1, blocks: [3]}\n"
    )
    result = fresh.snakemake("figures/fig2.pdf", *arguments, check=False)
    assert result.returncode != 0
    assert [line for line in result.stdout.splitlines() if message in line]
    assert "Traceback" not in result.stdout
    assert not (fresh.folder / "results").exists()


def test_a_misspelt_figure_is_answered_with_the_nearest_names(fresh):
    result = fresh.snakemake("figures/fig22.pdf", check=False)
    assert result.returncode != 0
    assert "figures/fig22.pdf: there is no such figure or table. Did you mean figures/fig2.pdf" in result.stdout
    assert "MissingRuleException" not in result.stdout


def test_the_papers_grid_is_planned_offline(fresh):
    """12,576 models: 6 targets, 4 sources, 4 block counts; 35 chunks of seeds over the ten sizes."""
    planned = fresh.planned("--config", "experiment=paper")
    assert {rule: len(jobs) for rule, jobs in planned.items()} == {
        "download": 4,
        "import_source": 4,
        "target": 6,
        "subset": 60,
        "transfer": 6 * 4 * 4 * 35,
        "table": 7,
        "figure": 12,
        "describe": 4,
        "table5": 1,
        # Figures that look into a network: of two sources, as fine-tuned for influence and as started from for figure 1.
        "fine_tuned_model": 4,
        "features": 2,
        "influence": 2,
        "influence_table": 3,
        "influence_pictures": 2,
        "fig8_summary": 1,
        "influence_all": 2,
        "visualise": 1,
        "schematic": 1,
    }


def test_a_failing_job_says_why_in_one_line_and_leaves_no_row(fresh):
    """A learning rate at which every run diverges."""
    (fresh.folder / "wild.yaml").write_text(
        "experiment: wild\n"
        "protocols: {demo: {learning_rate: 1.e+12}}\n"
        "experiments:\n"
        "  wild: {protocol: demo, sources: {natural: mini_natural}, targets: [digits], images: [20], seeds: 1, blocks: [3]}\n"
    )
    output = "results/transfer/demo/mini_natural/digits/blocks3_n20/seeds0-0.parquet"
    result = fresh.snakemake(output, "--configfile", "wild.yaml", check=False)
    assert result.returncode != 0
    assert f"{output}: seed 20000000 diverged in epoch" in result.stdout
    assert "Traceback" not in result.stdout
    assert not (fresh.folder / output).exists()


def test_the_authors_logs_through_our_figures(fresh, shared):
    """Figure 2 and table 5 from the logs; the table's means against a plain reading of the log."""
    mirror = ["--config", "experiment=published", f"mirror={shared / 'reference'}"]
    fresh.snakemake("figures/fig2.pdf", "figures/table5.csv", *mirror)
    assert fresh.planned("figures/fig2.pdf", "figures/table5.csv", *mirror) == {}
    table = pd.read_csv(fresh.folder / "figures/table5.csv")
    assert list(table.columns) == ["target", "images", "source", "accuracy_percent", "models", "published_percent"]

    with gzip.open(shared / "reference" / "consolidated_results.csv.gz") as file:
        log = pd.read_csv(file)
    log = log[log["unfrozen_blocks"] == 3].sort_values("epoch")
    key = ["target_ds", "num_training_images", "source_eps"]
    means = log.groupby([*key, "seed"])["nat_prec1"].last().groupby(level=key).mean()
    sources = {"natural": 0, "l2_3": 3, "linf_4": 4, "linf_8": 8}
    assert len(table) == 6 * 10 * 3 + 2 * 10
    for row in table.itertuples():
        expected = means[(row.target, row.images, sources[row.source])]
        assert row.accuracy_percent == pytest.approx(expected, abs=1e-9)
    small = table[table["images"] <= 1600]
    assert (small["accuracy_percent"] - small["published_percent"]).abs().max() < 0.005


def test_real_images_are_fine_tuned(fresh, shared):
    """All of MNIST from its archives, and CIFAR-10 as a folder of PNG files, through one bundled source."""
    with zipfile.ZipFile(shared / "data" / "cifar10-sample.zip") as archive:
        archive.extractall(fresh.folder / "images")
    (fresh.folder / "real.yaml").write_text(
        "experiment: real\n"
        "targets:\n"
        f"  mnist: {{data_root: {shared / 'data'}}}\n"
        "  cifar10_folder: {kind: image_folder, path: images/cifar10}\n"
        "protocols: {demo: {epochs: [{epochs: 10, evaluate_every: 9}]}}\n"
        "experiments:\n"
        "  real: {protocol: demo, sources: {natural: mini_natural}, targets: [mnist, cifar10_folder], images: [200],\n"
        "    seeds: 1, blocks: [3]}\n"
    )
    fresh.snakemake("figures/table5.csv", "--configfile", "real.yaml")
    accuracy = pd.read_csv(fresh.folder / "figures/table5.csv").set_index("target")["accuracy_percent"]
    # Chance is 10 percent.
    assert accuracy["mnist"] > 40
    assert accuracy["cifar10_folder"] > 25


def test_a_checkout_without_data_or_network_runs_the_demo(fresh):
    """Nothing but files of the project is needed to plan every figure of the demo."""
    shutil.rmtree(fresh.folder / "docs", ignore_errors=True)
    planned = fresh.planned()
    names = sorted(DRAWN)
    assert planned["figure"] == [f"figures/{name}.pdf" for name in names]
    assert planned["describe"] == [f"figures/table{n}.csv" for n in (1, 2, 3, 4)]
    assert "download" not in planned
    assert "train_source" not in planned
