"""What an experiment will cost: counted against formulas of their own, and a calibration that finds known costs."""

from dataclasses import replace

import pytest
import torch

from advtransfer import estimate
from advtransfer.checkpoints import DEFAULTS, architecture_of
from advtransfer.config import resolve
from advtransfer.config.grid import transfer_jobs
from advtransfer.errors import InputError
from advtransfer.estimate import Cost, Part
from advtransfer.targets.listing import image_shape
from experiments import PROJECT, counts_of, read_config, resolved

CPU = torch.device("cpu")
TINY = {**DEFAULTS, "layers": [1, 1], "width": 0.125, "classes": 10, "resolution": 32}
PROTOCOL = {
    "batch_size": 16,
    "learning_rate": 1e-3,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "head_init": "uniform",
}


def planned(name):
    """The jobs of an experiment of config.yaml, and what its cost depends on."""
    config = read_config()
    experiment = resolved(config, name)
    costs = resolve.resolve_costs(config, experiment, counts_of(config))
    return estimate.plan(experiment, costs["protocols"], costs["targets"]), costs


def test_the_papers_grid_is_counted_as_the_paper_counts_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jobs, _ = planned("paper")
    assert sum(job.seeds for job in jobs) == 12_576
    # Of 10 sizes the smallest three share jobs, in 4 chunks of seeds each; then 4, 4, 2, 2, 5, 5, 1.
    assert len(jobs) == 3_360
    assert len({job.file for job in jobs}) == 16 * 6 * (4 + 4 + 4 + 2 + 2 + 5 + 5 + 1)
    assert not any(job.done for job in jobs)
    # Table 2: seeds, epochs and evaluations by size; 4 sources and 4 block counts.
    training = {50_000: 2, 60_000: 3, 73_257: 1}
    small = sum(20 * 100 * n for n in (100, 200, 400, 800, 1600))
    large = sum(seeds * 150 * n for n, seeds in ((3200, 10), (6400, 10), (12_800, 5), (25_600, 5)))
    everything = sum(targets * 150 * n for n, targets in training.items())
    assert sum(job.training_passes for job in jobs) == 16 * (6 * (small + large) + everything)
    # 6 evaluations of 100 epochs, 16 of 150; 5 test sets of 10,000 images and SVHN's of 26,032.
    evaluations = 5 * 20 * 6 + (10 + 10 + 5 + 5 + 1) * 16
    assert sum(job.evaluation_passes for job in jobs) == 16 * evaluations * (5 * 10_000 + 26_032)


def test_published_rows_are_no_jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert planned("published")[0] == []


def test_existing_rows_are_done(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "results/transfer/demo/mini_l2/digits/blocks3_n50+100+200/seeds0-19.parquet"
    file.parent.mkdir(parents=True)
    file.write_text("")
    jobs, _ = planned("demo")
    assert {job.file for job in jobs} == transfer_jobs(resolved(read_config(), "demo")).keys()
    assert [(j.source, j.target, j.blocks, j.images, j.seeds) for j in jobs if j.done] == [
        ("mini_l2", "digits", 3, images, 20) for images in (50, 100, 200)
    ]


def test_a_cost_adds_up():
    job = Part("a", "b", 3, images=100, seeds=5, epochs=10, evaluations=2, test_images=1000, file="", done=False)
    assert (job.training_passes, job.evaluation_passes) == (5_000, 10_000)
    assert Cost(1, 0, 0, 0).seconds(job, {"batch_norm": "frozen"}) == 1
    assert Cost(0, 0, 0.5, 0.25).seconds(job, {"batch_norm": "frozen"}) == 5_000 * 0.5 + 10_000 * 0.25
    # The test set's activations: cached for all seeds together, or for each where its statistics are its own.
    assert Cost(0, 1, 0, 0).seconds(job, {"batch_norm": "frozen"}) == 5 * 100 + 1000
    assert Cost(0, 1, 0, 0).seconds(job, {"batch_norm": "target"}) == 5 * 100 + 5 * 1000
    assert Cost(0, 1, 0, 0).seconds(job, {"batch_norm": "frozen", "views": 3}) == 5 * 3 * 100 + 1000


def test_the_activation_cache_at_the_papers_scale():
    """CIFAR-10 through a ResNet-50 at 3 blocks: 14x14x1024 float32 an image, test set and one seed's training set at once."""
    architecture = {**TINY, "layers": [3, 4, 6, 3], "width": 1.0, "stem": "imagenet", "resolution": 224}
    job = Part("a", "b", 3, images=25_600, seeds=5, epochs=1, evaluations=1, test_images=10_000, file="", done=False)
    frozen = {"batch_norm": "frozen", "augmentation": "none"}
    assert estimate.activation_cache_bytes(architecture, job, frozen) == 35_600 * 14 * 14 * 1024 * 4
    assert (
        estimate.activation_cache_bytes(architecture, job, {**frozen, "precision": "bf16"})
        == 35_600 * 14 * 14 * 1024 * 2
    )
    assert estimate.activation_cache_bytes(architecture, job, {"batch_norm": "adapt", "augmentation": "none"}) == 0
    assert (
        estimate.activation_cache_bytes(architecture, replace(job, blocks=0), frozen)
        == (5 * 25_600 + 10_000) * 2048 * 4
    )


class Machine:
    """An engine whose runs take a known time on a clock of its own, in place of the real ones."""

    def __init__(self, monkeypatch, cost, first=0.0):
        self.cost, self.first, self.now, self.scales = cost, first, 0.0, []
        monkeypatch.setattr(estimate, "fine_tune_seeds", self.run)
        monkeypatch.setattr(estimate.time, "perf_counter", lambda: self.now)

    def run(self, source, dataset, subsets, blocks, protocol, device, learner):
        """Let the time pass that the cost says."""
        images = len(next(iter(subsets.values())))
        seeds, tests = len(subsets), len(dataset.test_labels)
        job = Part(
            "a", "b", blocks, images, seeds, protocol["epochs"], len(protocol["evaluated_epochs"]), tests, "", False
        )
        self.now += self.cost.seconds(job, protocol) + (0 if self.scales else self.first)
        self.scales.append((seeds, images))
        return ()


@pytest.mark.parametrize("batch_norm", ["adapt", "frozen", "target"])
@pytest.mark.parametrize(
    "cost",
    [
        pytest.param(Cost(0.5, 0.0, 0.16, 0.08), id="slow machine, nothing cached"),
        pytest.param(Cost(0.3, 0.07, 1e-5, 5e-6), id="slow machine, frozen layers cached"),
        pytest.param(Cost(1.0, 0.0, 1e-4, 3e-5), id="fast machine with a slow start"),
    ],
)
def test_the_calibration_finds_what_a_machine_takes(monkeypatch, cost, batch_norm):
    machine = Machine(monkeypatch, cost, first=7.0)
    found = estimate.calibrate(
        TINY, 1, {**PROTOCOL, "batch_size": 128, "batch_norm": batch_norm}, 5, (1, 28, 28), CPU, 15
    )
    assert found.start == pytest.approx(cost.start + 7.0)
    assert (found.once, found.train, found.evaluate) == pytest.approx((cost.once, cost.train, cost.evaluate), abs=1e-9)
    assert machine.now < 45
    if cost.train == 1e-4:
        assert machine.scales[-1] == (5, 128)  # as jobs run, for they would be slower with small batches


@pytest.mark.parametrize(("batch_norm", "augmentation"), [("adapt", "paper"), ("frozen", "none"), ("target", "none")])
@pytest.mark.parametrize("blocks", [0, 1])
def test_the_calibration_runs_the_engine(batch_norm, augmentation, blocks):
    protocol = {**PROTOCOL, "batch_norm": batch_norm, "augmentation": augmentation}
    cost = estimate.calibrate(TINY, blocks, protocol, 2, (1, 28, 28), CPU, budget=0.5)
    job = Part("a", "b", blocks, images=160, seeds=2, epochs=20, evaluations=5, test_images=600, file="", done=False)
    assert 0 < cost.seconds(job, protocol) < 1000


def test_the_images_of_a_folder_tell_their_size(tmp_path):
    from PIL import Image

    for name in ("cat", "dog"):
        for index in range(3):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("RGB", (40, 30)).save(tmp_path / name / f"{index}.png")
    target = {"kind": "image_folder", "path": str(tmp_path), "test_share": 0.3}
    assert image_shape(target, "config: target 'pets'") == (3, 30, 40)
    assert image_shape({**target, "resolution": 64}, "config: target 'pets'") == (3, 64, 64)
    assert image_shape({**target, "shrink_to": 15}, "config: target 'pets'") == (3, 15, 20)
    for file in (tmp_path / "cat").iterdir():
        file.write_text("no image")
    with pytest.raises(InputError, match=r"config: target 'pets': .*cat has no image that can be read"):
        image_shape(target, "config: target 'pets'")


def test_disk_counts_what_does_not_exist_yet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jobs, costs = planned("slice")
    sources, targets = costs["sources"], costs["targets"]
    before = estimate.disk_bytes(jobs, sources, targets, 20)
    network = estimate.parameter_bytes(DEFAULTS)
    assert before["sources"] == 2 * network
    assert before["targets"] == 60_000 * (3 * 32 * 32 + 8) + 2 * 70_000 * (28 * 28 + 8)
    assert before["downloads"] == 2 * network + 170_498_071 + 30_878_645 + 11_594_722
    assert before["subsets"] == 9 * 4_000 + 3 * 3 * (100 + 400 + 1600) * 20
    assert before["rows"] == 12 * 19_000 + 90 * 6 * 45
    for file in ("results/sources/natural.safetensors", "results/downloads/resnet50-0676ba61.pth"):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    after = estimate.disk_bytes(jobs, sources, targets, 20)
    assert after == {**before, "sources": network, "downloads": before["downloads"] - network}


def test_a_source_is_known_by_its_file_else_by_its_entry():
    bundled = {"kind": "file", "path": str(PROJECT / "resources/sources/natural.safetensors"), "threat": None}
    assert {key: architecture_of(bundled)[key] for key in ("width", "resolution", "classes")} == {
        "width": 0.25,
        "resolution": 32,
        "classes": 100,
    }
    download = {"kind": "download", "url": "x", "file": "x.pt", "hash": None, "threat": None}
    assert architecture_of(download) == DEFAULTS
    assert architecture_of({**download, "layers": [2, 2, 2, 2]})["layers"] == [2, 2, 2, 2]
    # 25,557,032 parameters and 53,120 running statistics of 4 bytes, and 53 counters.
    assert estimate.parameter_bytes(DEFAULTS) == 4 * (25_557_032 + 53_120 + 53)
