"""What an experiment will cost, before any of it runs: models, images, disk, and hours from a short calibration.

The calibration asks the fine-tuning engine itself for a few tiny runs on random images and weights, and takes the costs of
an image from their differences; so it needs no data, and holds whatever way the engine chooses to compute.
"""

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from advtransfer.activations import activation_shape, caches_activations
from advtransfer.artefacts import save_tensors
from advtransfer.checkpoints import architecture_of
from advtransfer.config.grid import transfer_jobs
from advtransfer.datasets import Dataset
from advtransfer.mitigation import learner_of
from advtransfer.models import build
from advtransfer.randomness import generator_for
from advtransfer.targets.catalogue import TORCHVISION
from advtransfer.targets.listing import image_shape
from advtransfer.transfer import fine_tune_seeds

# Parquet, measured: a file of rows has 7 kB and 45 bytes a row, one of subsets 4 kB and 3 bytes a drawn image. Beside
# the rows lie a log and a benchmark, a few blocks of the file system.
ROWS_FILE_BYTES, ROW_BYTES, NOTES_BYTES = 7_000, 45, 12_000
SUBSETS_FILE_BYTES, DRAWN_IMAGE_BYTES = 4_000, 3


@dataclass(frozen=True)
class Job:
    """One transfer job: some seeds of a source, a target, a block count and a number of training images.

    epochs: of one seed. evaluations: passes of one seed over the `test_images`. done: whether its file of rows exists.
    """

    source: str
    target: str
    blocks: int
    images: int
    seeds: int
    epochs: int
    evaluations: int
    test_images: int
    done: bool

    @property
    def training_passes(self) -> int:
        """How often an image passes the network in training."""
        return self.seeds * self.epochs * self.images

    @property
    def evaluation_passes(self) -> int:
        """How often a test image is classified."""
        return self.seeds * self.evaluations * self.test_images


def plan(
    experiment: Mapping[str, Any], protocols: Mapping[str, Mapping[str, Any]], counts: Mapping[str, Mapping[str, int]]
) -> list[Job]:
    """The transfer jobs that the figures of an experiment (resolved, see `grid`) need, each once; none for published rows.

    protocols: {number of images, as text: the protocol at that size}. counts: {target: {"test": images, ...}}.
    A job is done where its file exists; whether a changed setting would repeat it is for Snakemake to know.
    """
    return [
        Job(
            cell.source,
            cell.target,
            cell.blocks,
            cell.images,
            seeds,
            protocols[str(cell.images)]["epochs"],
            len(protocols[str(cell.images)]["evaluated_epochs"]),
            counts[cell.target]["test"],
            Path(file).is_file(),
        )
        for file, (cell, seeds) in transfer_jobs(experiment).items()
    ]


# ------------------------------------------------------------------------------------------------------------- time


@dataclass(frozen=True)
class Cost:
    """Seconds that a job takes: `start` for itself, and for each image `once`, `train` and `evaluate`.

    once: what is computed a single time for an image, such as frozen layers' activations that are cached; about 0 if nothing is.
    """

    start: float
    once: float
    train: float
    evaluate: float

    def seconds(self, job: Job, protocol: Mapping[str, Any]) -> float:
        """How long a job will take."""
        cached = cached_images(job.seeds, job.images, job.test_images, protocol)
        return (
            self.start + cached * self.once + job.training_passes * self.train + job.evaluation_passes * self.evaluate
        )


@dataclass(frozen=True)
class _Scale:
    """The size of a run of the calibration."""

    seeds: int
    images: int
    test_images: int

    @property
    def passes(self) -> int:
        return self.seeds * (self.images + self.test_images)

    def cached(self, protocol: Mapping[str, Any]) -> int:
        return cached_images(self.seeds, self.images, self.test_images, protocol)

    def dataset(self, shape: Sequence[int]) -> Dataset:
        generator = torch.Generator().manual_seed(0)
        images, test_images = (
            torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)
            for count in (self.images, self.test_images)
        )
        classes = 10
        return Dataset(
            images,
            torch.arange(self.images) % classes,
            test_images,
            torch.arange(self.test_images) % classes,
            [str(label) for label in range(classes)],
            {},
        )


def cached_images(seeds: int, images: int, test_images: int, protocol: Mapping[str, Any]) -> int:
    """Images, or views of them, whose activations a job can cache; test images count for each seed that has statistics of its own."""
    return (
        seeds * images * protocol.get("views", 1) + (seeds if protocol["batch_norm"] == "target" else 1) * test_images
    )


def activation_cache_bytes(architecture: Mapping[str, Any], job: Job, protocol: Mapping[str, Any]) -> int:
    """The most bytes that a job's activation cache holds at once: of its test images and of one seed's training images.

    With 0 blocks it is those of all seeds, which then train together; 0 where the protocol allows no cache.
    """
    if not caches_activations(protocol):
        return 0
    with torch.device("meta"):
        shape = activation_shape(build(architecture).network, job.blocks, architecture["resolution"])
    seeds = job.seeds if job.blocks == 0 else 1
    images = cached_images(seeds, job.images, job.test_images, protocol)
    return images * math.prod(shape) * (2 if protocol.get("precision") == "bf16" else 4)


def start_seconds(script: Path) -> float:
    """How long a job's command line takes before it does anything: Python and its imports."""
    start = time.perf_counter()
    subprocess.run([sys.executable, str(script), "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def calibrate(
    architecture: Mapping[str, Any],
    blocks: int,
    protocol: Mapping[str, Any],
    seeds: int,
    shape: Sequence[int],
    device: torch.device,
    budget: float,
) -> Cost:
    """Measure what fine-tuning costs on this device, on a network with random weights and images of `shape` [c, h, w].

    architecture: a source artefact's metadata. protocol: at any size; its learning rate and epochs do not matter. seeds:
    how many a job trains. budget: about how many seconds to take, apart from what runs take to start; where they do not
    suffice for whole batches and all seeds, fewer are run. The cost's `start` is without `start_seconds`.
    """
    began = time.perf_counter()
    batch = protocol["batch_size"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source.safetensors")
        model = build(architecture)
        model.network.initialise(generator_for(0, "initialisation"))
        save_tensors(source, model.network.state_dict(), architecture)
        # Random weights may diverge at a learning rate that does anything; steps of this one cost as much.
        settings = {**protocol, "learning_rate": 1e-12, "resolution": architecture["resolution"]}

        def seconds(scale: _Scale, epochs: int = 1, evaluations: int = 1) -> float:
            settings["epochs"], settings["evaluated_epochs"] = epochs, list(range(epochs - evaluations, epochs + 1))[1:]
            dataset = scale.dataset(shape)
            subsets = {seed: torch.arange(scale.images) for seed in range(scale.seeds)}
            start = time.perf_counter()
            for _ in fine_tune_seeds(source, dataset, subsets, blocks, settings, device, learner_of(protocol)):
                pass
            return time.perf_counter() - start

        sizes = [size for size in (2, 4, 8, 16, 32, 64) if size < batch] + [batch]
        scales = [
            *(_Scale(1, size, size) for size in sizes),
            _Scale(1, batch, 4 * batch),
            _Scale(seeds, batch, 4 * batch),
        ]
        cold = seconds(scales[0])
        scale, base = scales[0], seconds(scales[0])
        first = max(cold - base, 0.0)  # what only the first run in a process pays for
        # Upwards to the largest scale at which the images of all that follows, about ten times those of one run, fit into the
        # budget. By steps: small batches cost more an image, and a wrong guess must not cost minutes.
        larger = scales[1]
        while larger.passes > scale.passes:
            taken = seconds(larger)
            pace = max(taken - base, 0.0) / (larger.passes - scale.passes)
            scale, base = larger, taken
            for one in scales:
                if scale.passes < one.passes <= 5 * scale.passes and 10 * pace * one.passes <= budget:
                    larger = one

        # Repeated until the repetitions take half as long as the rest: what is cheap would otherwise drown in noise.
        epochs = 4
        while (longer := seconds(scale, epochs)) < 1.5 * base and epochs < 1024:
            epochs *= 4
        evaluations = 4
        while (longest := seconds(scale, epochs, evaluations)) < longer + 0.5 * base and evaluations < epochs:
            evaluations *= 4
        # Again while there is time: what else the machine does makes runs longer, never shorter.
        tripled = _Scale(scale.seeds, scale.images, 3 * scale.test_images)
        wider = seconds(tripled)
        round_seconds = base + longer + longest + wider
        for _ in range(2):
            if time.perf_counter() - began + round_seconds > budget:
                break
            base = min(base, seconds(scale))
            longer = min(longer, seconds(scale, epochs))
            longest = min(longest, seconds(scale, epochs, evaluations))
            wider = min(wider, seconds(tripled))

    train = max(longer - base, 0.0) / ((epochs - 1) * scale.seeds * scale.images)
    evaluate = max(longest - longer, 0.0) / ((evaluations - 1) * scale.seeds * scale.test_images)
    cached = scale.cached(protocol)
    more = tripled.cached(protocol) - cached
    once = max(wider - base - 2 * scale.seeds * scale.test_images * evaluate, 0.0) / more
    rest = base - cached * once - scale.seeds * (scale.images * train + scale.test_images * evaluate)
    return Cost(first + max(rest, 0.0), once, train, evaluate)


# ------------------------------------------------------------------------------------------------------------- disk


def parameter_bytes(architecture: Mapping[str, Any]) -> int:
    """The size of a network's parameters and statistics in float32."""
    with torch.device("meta"):
        network = build(architecture).network
    return sum(tensor.numel() * 4 for tensor in network.state_dict().values())


def disk_bytes(
    jobs: Sequence[Job],
    sources: Mapping[str, Mapping[str, Any]],
    targets: Mapping[str, Mapping[str, Any]],
    drawn_seeds: int,
) -> dict[str, int]:
    """What the jobs, with all that they need, have yet to write: {what: bytes}. Existing files are left out.

    targets: their entries with the keys train and test, numbers of images. drawn_seeds: seeds that subsets are drawn for.
    """
    written = {"downloads": 0, "sources": 0, "targets": 0, "subsets": 0, "rows": 0}
    for name in dict.fromkeys(job.source for job in jobs):
        source = sources[name]
        size = parameter_bytes(architecture_of(source))
        if not Path(f"results/sources/{name}.safetensors").is_file():
            written["sources"] += size
        if source["kind"] == "download" and not Path("results/downloads", source["file"]).is_file():
            written["downloads"] += size
    for name in dict.fromkeys(job.target for job in jobs):
        target = targets[name]
        if Path(f"results/targets/{name}.safetensors").is_file():
            continue
        shape = image_shape(target, f"config: target '{name}'")
        written["targets"] += (target["train"] + target["test"]) * (shape[0] * shape[1] * shape[2] + 8)
        archived = target["kind"] == "torchvision" and "data_root" not in target
        if archived and not Path("results/downloads", target["dataset"]).is_dir():
            written["downloads"] += TORCHVISION[target["dataset"]].archive_bytes
    for target, images in dict.fromkeys((job.target, job.images) for job in jobs):
        if not Path(f"results/subsets/{target}/n{images}.parquet").is_file():
            written["subsets"] += SUBSETS_FILE_BYTES + DRAWN_IMAGE_BYTES * images * drawn_seeds
    for job in jobs:
        if not job.done:
            written["rows"] += ROWS_FILE_BYTES + NOTES_BYTES + ROW_BYTES * job.seeds * job.evaluations
    return written
