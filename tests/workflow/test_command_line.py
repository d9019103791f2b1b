"""What a user meets first: mistakes, the size of the paper's grid, the authors' logs, real images."""

import gzip
import hashlib
import shutil
import zipfile

import pandas as pd
import pytest
import yaml

from advtransfer.config.catalogue import DRAWN
from advtransfer.tables.published import ALL_IMAGES, SIZES

TABLE5 = ["target", "images", "source", "accuracy_percent", "models", "published_percent", "epochs"]


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
    """12,576 models: 6 targets, 4 sources, 4 block counts; 27 jobs of seeds over the ten sizes, of which the first three share theirs."""
    planned = fresh.planned("--config", "experiment=paper")
    assert {rule: len(jobs) for rule, jobs in planned.items()} == {
        "download": 4,
        "import_source": 4,
        # Beside the paper's, digits and glyphs for the mixtures of transferability_sources, and its probes' and reference networks' subsets.
        "target": 6 + 2,
        "mixture": 6,
        "train_source": 5,
        "subset": 60 + 2,
        "transfer": 6 * 4 * 4 * 27,
        "table": 8,
        "figure": 19,
        "claims": 1,
        "claims_text": 1,
        "describe": 4,
        "table5": 1,
        # Figures that look into a network: of two sources, with 3 seeds as fine-tuned for influence and as started from for figure 1. Under attack:
        # 3 seeds of each source and target as linear probes, of the natural and the robust one with 1 and 3 blocks too.
        # The probes of transferability are those; its controlled setting has 5 sources.
        "fine_tuned_model": 2 * 3 + 2 + 3 * 6 * (4 + 2 * 2) + 3 * 5,
        "robustness_bound_rows": 6 * (4 + 2 * 2),
        "reference_network": 3 * (6 + 1),
        "transferability_rows": 6 * 4 + 5,
        "study_table": 4,
        "transferability_synthetic": 5,
        "transferability_synthetic_table": 1,
        # Beside figures 7 and 8, influence_cut, reproduction, robustness_bound and the three of transferability.
        "table_copy": 8,
        "features": 6,
        "influence": 6,
        "influence_table": 4,
        "influence_cut_rows": 6,
        "influence_cut": 1,
        "influence_pictures": 2,
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
    assert list(table.columns) == TABLE5

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
    assert table["published_percent"].notna().all()
    small = table["images"] <= 1600
    assert (table["accuracy_percent"] - table["published_percent"])[small].abs().max() < 0.00501
    assert set(table["epochs"][small]) == {"100"}
    assert not set(table["epochs"]) & {"150"}
    for file in ("figures/table5.md", "figures/table5.tex"):
        assert "Trained for other epochs" in (fresh.folder / file).read_text()


def made_up_accuracy(source: int, target: int, size: int, blocks: int, seed: int) -> float:
    """Test accuracy of a model of the made-up log after its last epoch, percent; by positions, the blocks by their number."""
    return 20 + 5 * target + 4 * size + 1.5 * source + 0.25 * blocks + 0.5 * seed


def write_made_up_log(path) -> None:
    """All 7,776 models in the form of the authors' complete log: two epochs of each, 9 blocks as 6, and lines of no source of the paper."""
    lines = [
        ",epoch,nat_prec1,adv_prec1,nat_loss,adv_loss,train_prec1,train_loss,time,source_eps,target_ds,num_training_images,"
        "unfrozen_blocks,seed"
    ]
    for source, epsilon in enumerate((0, 3, 4, 8)):
        for target, (name, whole) in enumerate(ALL_IMAGES.items()):
            for size, images in enumerate((*SIZES, whole)):
                for blocks, code in ((0, 0), (1, 1), (3, 3), (9, 6)):
                    for seed in range(10 if images <= 6400 else 5 if images <= 25_600 else 1):
                        last = made_up_accuracy(source, target, size, blocks, seed)
                        end = 100 if images <= 1600 else 150
                        cell = f"{epsilon},{name},{images},{code},{20_000_000 + 100_000 * seed}"
                        lines.append(f"0,1,{last - 5},-1.0,2.5,-1.0,30.0,2.25,1.5,{cell}")
                        lines.append(f"1,{end},{last},-1.0,0.5,-1.0,90.0,0.25,150.5,{cell}")
    lines.append("0,100,50.0,-1.0,0.5,-1.0,90.0,0.25,150.5,-1,svhn,200,-1,-1")
    lines += ["0,100,50.0,-1.0,0.5,-1.0,90.0,0.25,150.5,1,svhn,200,3,20000000"] * 2
    path.write_text("\n".join([*lines, ""]))


def test_the_authors_complete_logs_through_our_figures(fresh):
    """On a made-up file of their form, in a mirror folder: verified by its git blob id, read whole, drawn."""
    mirror = fresh.folder / "mirror"
    mirror.mkdir()
    write_made_up_log(mirror / "full_data.csv")
    content = (mirror / "full_data.csv").read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    (fresh.folder / "made_up.yaml").write_text(yaml.safe_dump({"published": {"full": {"hash": f"git:{blob}"}}}))
    wanted = ["figures/fig2.pdf", "figures/table5.csv", "results/tables/published_full/fig10.csv"]
    run = [*wanted, "--configfile", "made_up.yaml", "--config", "experiment=published_full", f"mirror={mirror}"]
    fresh.snakemake(*run)
    assert fresh.planned(*run) == {}
    assert (
        "3 of another source_eps than the paper's dropped (1 of -1, 2 of 1), 0 repeated word for word; 15552 rows of 7776 models"
        in (fresh.folder / "results/logs/published/full.log").read_text()
    )

    table = pd.read_csv(fresh.folder / "figures/table5.csv")
    assert list(table.columns) == TABLE5
    assert len(table) == 240
    sources, targets = ["natural", "l2_3", "linf_4", "linf_8"], list(ALL_IMAGES)
    for row in table.itertuples():
        models = 10 if row.images <= 6400 else 5 if row.images <= 25_600 else 1
        size = [*SIZES, ALL_IMAGES[row.target]].index(row.images)
        first = made_up_accuracy(sources.index(row.source), targets.index(row.target), size, 3, 0)
        assert row.accuracy_percent == pytest.approx(first + 0.5 * (models - 1) / 2, abs=1e-9)
        assert (row.models, row.epochs) == (models, 100 if row.images <= 1600 else 150)
    assert table["published_percent"].notna().all()
    for file in ("figures/table5.md", "figures/table5.tex"):
        assert "Trained for other epochs" not in (fresh.folder / file).read_text()

    drawn = pd.read_csv(fresh.folder / "results/tables/published_full/fig2.csv")
    assert (drawn["quantity"].value_counts()[["accuracy", "delta"]] == [120, 60]).all()
    assert "missing" not in set(drawn["quantity"])
    assert drawn["mean"][drawn["quantity"] == "delta"].to_numpy() == pytest.approx(0.015)
    every = pd.read_csv(fresh.folder / "results/tables/published_full/fig10.csv")
    assert "missing" not in set(every["quantity"])
    assert (every["blocks"][every["quantity"] == "accuracy"].value_counts()[[0, 1, 3, 9]] == 240).all()

    # A file of another content is not taken for it.
    (mirror / "full_data.csv").write_bytes(content.replace(b",8,mnist,100,6,", b",8,mnist,100,9,", 1))
    (fresh.folder / "results/downloads/full_data.csv").unlink()
    url = {"published": {"full": {"hash": f"git:{blob}", "url": "http://127.0.0.1:9/full_data.csv"}}}
    (fresh.folder / "made_up.yaml").write_text(yaml.safe_dump(url))
    result = fresh.snakemake("results/downloads/full_data.csv", *run[3:], check=False)
    assert result.returncode != 0
    assert f"not {blob}" in result.stdout
    assert not (fresh.folder / "results/downloads/full_data.csv").exists()


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
    # Nothing stands beside its claims, which were not tested on the paper's logs, nor beside Table 5, whose targets it has not.
    names = sorted(DRAWN.keys() - {"claims_compared", "reproduction"})
    assert planned["figure"] == [f"figures/{name}.pdf" for name in names]
    assert planned["describe"] == [f"figures/table{n}.csv" for n in (1, 2, 3, 4)]
    assert "download" not in planned
    # The small ones of transferability's controlled setting; those that are fine-tuned are bundled.
    assert planned["train_source"] == [f"results/sources/mixed_{share}.safetensors" for share in (0, 100, 25, 50, 75)]
