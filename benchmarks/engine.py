"""Measure the fine-tuning engine beside a plain loop: images a second, seconds of a cell, peak memory, share of the limit.

    uv run python benchmarks/engine.py --quick     # smaller batches and fewer steps at 224x224; minutes on 2 cores
    uv run python benchmarks/engine.py

plain: the way of most code that accompanies papers. PIL resizes and augments each image each time, all layers see every image in
every epoch, batch norm adapts, the loss is read after each step; networks in torch's default layout. live: the engine with
protocol `paper`, which computes the same. cached: the engine with protocol `fast`, whose frozen layers' activations are cached.

Networks have random weights: the bundled miniature at 32x32 pixels and ResNet-50 at 224x224; images are random, 32x32. A cell is 5
seeds on 400 images, with 1,000 test images classified as often as the protocol asks; its seconds are put together from the measured
parts (a step, an evaluated image, an image's way into the activation cache). Each network, path and number of blocks is measured in
a process of its own, all with the same number of threads; the plain loop with an allocator that keeps freed memory, as the engine's
does. Writes results/benchmarks/engine.json and prints a table.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import itertools

import torch
import yaml
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from advtransfer import settings
from advtransfer.activations import ActivationCache
from advtransfer.artefacts import load_tensors, save_json, save_tensors
from advtransfer.datasets import Dataset
from advtransfer.memory import keep_freed_memory
from advtransfer.models import IMAGENET_MEAN, IMAGENET_STD, build, unfreeze_last
from advtransfer.randomness import generator_for
from advtransfer.transfer import fine_tune_seeds

PROJECT = Path(__file__).resolve().parents[1]
BLOCKS = (0, 1, 3, 9)
SEEDS, IMAGES, TEST_IMAGES, CLASSES = 5, 400, 1_000, 10
PATHS = {"cpu": ("plain", "live", "cached"), "cuda": ("plain", "live", "live bf16", "cached", "cached bf16")}
TUNED_ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}


def architecture_of(network: str) -> dict:
    """The metadata of a source artefact with that network."""
    mini = load_tensors(PROJECT / "resources/sources/natural.safetensors", [])[1]
    if network == "miniature":
        return mini
    large = {"classes": 1000, "layers": [3, 4, 6, 3], "width": 1.0, "stem": "imagenet", "resolution": 224}
    return {**mini, **large, "mean": IMAGENET_MEAN, "std": IMAGENET_STD}


def protocol_of(path: str) -> dict:
    """The recipe that a path computes."""
    config = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))
    protocol = settings.resolve_protocol(config, "fast" if path.startswith("cached") else "paper", IMAGES)
    return {**protocol, "precision": "bf16"} if path.endswith("bf16") else protocol


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def random_images(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random uint8 images [n, 3, 32, 32] and labels."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator), torch.arange(
        count
    ) % CLASSES


# ---------------------------------------------------------------------------------------------------- the plain loop


class Pictures(torch.utils.data.Dataset):
    """Images that PIL opens, resizes and, for training, augments, one at a time."""

    def __init__(self, count: int, resolution: int, training: bool):
        from torchvision import transforms

        images, self.labels = random_images(count)
        self.images = images.permute(0, 2, 3, 1).numpy()
        augmentation = [
            transforms.RandomCrop(resolution, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(0.25, 0.25, 0.25),
            transforms.RandomRotation(2),
        ]
        self.transform = transforms.Compose(
            [
                transforms.Resize((resolution, resolution)),
                *(augmentation if training else []),
                transforms.ToTensor(),
                transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def measure_plain(architecture: dict, blocks: int, batch: int, steps: int, device: torch.device) -> dict:
    """Seconds for each image in training and evaluation, by a plain loop."""
    network = build(architecture).network
    network.initialise(generator_for(0, "initialisation"))
    network.fc = nn.Linear(network.fc.in_features, CLASSES)
    parameters = unfreeze_last(network, blocks)
    network.to(device)
    optimiser = torch.optim.SGD(parameters, 1e-6, momentum=0.9, weight_decay=5e-4)
    workers = os.cpu_count() if device.type == "cuda" else 0

    def loader(count: int, training: bool) -> torch.utils.data.DataLoader:
        pictures = Pictures(count, architecture["resolution"], training)
        return torch.utils.data.DataLoader(
            pictures, batch, shuffle=training, num_workers=workers, persistent_workers=workers > 0
        )

    training, test = loader(batch * (1 if device.type == "cpu" else 16), True), loader(batch, False)

    def train_epoch() -> None:
        network.train()
        for images, labels in training:
            optimiser.zero_grad()
            loss = functional.cross_entropy(network(images.to(device)), labels.to(device))
            loss.backward()
            optimiser.step()
            loss.item()

    def evaluate() -> None:
        network.eval()
        with torch.no_grad():
            for images, labels in test:
                (network(images.to(device)).argmax(1) == labels.to(device)).sum().item()

    return {
        "train": fastest(train_epoch, steps, device) / len(training.dataset),
        "evaluate": fastest(evaluate, steps, device) / len(test.dataset),
        "once": 0.0,
    }


def fastest(work, repetitions: int, device: torch.device) -> float:
    """The shortest of some times of `work()`, in seconds, after one that does not count."""
    times = []
    for _ in range(1 + repetitions):
        start = time.perf_counter()
        work()
        wait(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


# -------------------------------------------------------------------------------------------------------- the engine


def measure_engine(
    architecture: dict, path: str, blocks: int, batch: int, steps: int, device: torch.device
) -> dict[str, float]:
    """Seconds for each image in training, in evaluation, and for caching its activations, from runs of the engine."""
    protocol = {**protocol_of(path), "resolution": architecture["resolution"], "batch_size": batch}
    # Random weights may diverge at a learning rate that does anything; steps of this one cost as much.
    protocol["learning_rate"] = 1e-12
    seeds = SEEDS if blocks == 0 and path.startswith("cached") else 1  # those that the engine trains together
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source.safetensors")
        model = build(architecture)
        model.network.initialise(generator_for(0, "initialisation"))
        save_tensors(source, model.network.state_dict(), architecture)

        def epoch_seconds(tests: int) -> float:
            """The fastest epoch: one step of each seed, and an evaluation on some images."""
            training, test = random_images(batch), random_images(tests)
            dataset = Dataset(*training, *test, [str(i) for i in range(CLASSES)], {})
            protocol["epochs"] = 1 + steps
            protocol["evaluated_epochs"] = list(range(1, 2 + steps))
            subsets = {seed: torch.randperm(batch) for seed in range(seeds)}
            rows = next(rows for _, _, rows in fine_tune_seeds(source, dataset, subsets, blocks, protocol, device))
            ends = [row["seconds"] for row in rows]
            return min(later - sooner for sooner, later in itertools.pairwise(ends))

        few = epoch_seconds(1)
        many = batch * (8 if architecture["resolution"] < 224 else 1)  # so that it takes longer than steps vary
        evaluate = max(epoch_seconds(many) - few, 0.0) / (many - 1)
        once = 0.0
        if path.startswith("cached"):
            cache = ActivationCache(model.to(device, memory_format=torch.channels_last), blocks, protocol)
            with torch.autocast(device.type, torch.bfloat16, enabled=path.endswith("bf16")):
                once = fastest(lambda: cache.inputs(random_images(batch)[0]), min(steps, 3), device) / batch
    return {"train": max(few - evaluate, 1e-9) / batch, "evaluate": evaluate, "once": once}


# --------------------------------------------------------------------------------------------------------- the limits


class Traffic(TorchDispatchMode):
    """Counts the bytes that operators read and write, each by itself; views cost nothing."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        out = function(*arguments, **(keywords or {}))
        if not function.is_view:
            tensors = torch.utils._pytree.tree_leaves((arguments, keywords, out))
            self.bytes += sum(one.numel() * one.itemsize for one in tensors if isinstance(one, torch.Tensor))
        return out


def work_of(architecture: dict, path: str, blocks: int) -> tuple[float, float]:
    """Floating-point operations and bytes moved by a training step, for each image of it (a batch of 8 is counted)."""
    network = build(architecture).network
    network.fc = nn.Linear(network.fc.in_features, CLASSES)
    unfreeze_last(network, blocks)
    network.train()
    frozen, trained = network.split_blocks(blocks)
    side = architecture["resolution"]
    x = torch.rand(8, 3, side, side)
    if path.startswith("cached"):
        with torch.no_grad():
            x = network.stem(x)
            for block in frozen:
                x = block(x)
    with FlopCounterMode(display=False) as operations, Traffic() as traffic:
        if path.startswith("cached"):
            for block in trained:
                x = block(x)
            logits = network.fc(network.pool(x))
        else:
            logits = network(x)
        logits.sum().backward()
    return operations.get_total_flops() / 8, traffic.bytes / 8


def limits(device: torch.device) -> dict[str, float]:
    """What the device reaches at best: floating-point operations a second (float32 products), bytes a second (a copy)."""
    a, b = (torch.randn(4096 if device.type == "cuda" else 2048, 2048, device=device) for _ in range(2))
    product = fastest(lambda: a @ b.T, 10, device)
    source = torch.randn(2**26, device=device)
    target = torch.empty_like(source)
    copy = fastest(lambda: target.copy_(source), 10, device)
    return {"flops": 2 * a.shape[0] * b.shape[0] * 2048 / product, "bytes": 2 * source.numel() * 4 / copy}


# ---------------------------------------------------------------------------------------------------------- the whole


def cell_seconds(cost: dict[str, float], protocol: dict) -> float:
    """Seconds of a cell, from the costs of one image."""
    once = (TEST_IMAGES + SEEDS * IMAGES) * cost["once"]
    evaluations = len(protocol["evaluated_epochs"]) * TEST_IMAGES * cost["evaluate"]
    return once + SEEDS * (protocol["epochs"] * IMAGES * cost["train"] + evaluations)


def measure(case: dict) -> None:
    """Measure one network, path and number of blocks in this process, and print it as JSON."""
    torch.set_num_threads(case["threads"])
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    keep_freed_memory()
    architecture = architecture_of(case["network"])
    arguments = case["blocks"], case["batch"], case["steps"], device
    if case["path"] == "plain":
        cost = measure_plain(architecture, *arguments)
    else:
        cost = measure_engine(architecture, case["path"], *arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
    operations, traffic = work_of(architecture, case["path"], case["blocks"])
    print(json.dumps({**cost, "peak_bytes": peak, "flops": operations, "bytes": traffic}))


def main() -> None:
    """Measure everything, print a table, save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="batches of 32 at 224x224 on a CPU, fewer steps")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--output", default="results/benchmarks/engine.json")
    parser.add_argument("--measure", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return

    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    limit = limits(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {arguments.threads} threads"
    print(f"{name}: {limit['flops'] / 1e9:,.0f} Gflop/s in products, {limit['bytes'] / 1e9:,.1f} GB/s in copies\n")
    columns = (
        "network",
        "blocks",
        "path",
        "train/s",
        "evaluate/s",
        "cache/s",
        "cell",
        "peak",
        "step",
        "cell",
        "flop/s",
        "bytes/s",
    )
    print(table_line(*columns))
    cases = []
    for network in ("miniature", "ResNet-50"):
        small = arguments.quick and network == "ResNet-50" and device.type == "cpu"
        for blocks in BLOCKS:
            plain = None
            for path in PATHS[device.type]:
                case = {
                    "network": network,
                    "path": path,
                    "blocks": blocks,
                    "batch": 32 if small else 128,
                    "steps": {"miniature": 10, "ResNet-50": 2 if small else 3}[network],
                    "threads": arguments.threads,
                }
                done = subprocess.run(
                    [sys.executable, __file__, "--measure", json.dumps(case)],
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                    env={**os.environ, **TUNED_ALLOCATOR},
                )
                cost = json.loads(done.stdout.splitlines()[-1])
                cost["cell_seconds"] = cell_seconds(cost, protocol_of(path))
                plain = plain or cost
                cost["step_ratio"] = plain["train"] / cost["train"]
                cost["cell_ratio"] = plain["cell_seconds"] / cost["cell_seconds"]
                cost["flop_share"] = cost["flops"] / cost["train"] / limit["flops"]
                cost["byte_share"] = cost["bytes"] / cost["train"] / limit["bytes"]
                cases.append({**case, **cost})
                print(
                    table_line(
                        network,
                        blocks,
                        path,
                        f"{1 / cost['train']:,.0f}" if cost["train"] < 0.02 else f"{1 / cost['train']:.1f}",
                        f"{1 / cost['evaluate']:,.0f}" if cost["evaluate"] else "-",
                        f"{1 / cost['once']:,.0f}" if cost["once"] else "",
                        f"{cost['cell_seconds']:,.0f} s",
                        f"{cost['peak_bytes'] / 2**30:.1f} GiB",
                        f"{cost['step_ratio']:.1f}x",
                        f"{cost['cell_ratio']:.1f}x",
                        f"{cost['flop_share']:.0%}",
                        f"{cost['byte_share']:.0%}",
                    ),
                    flush=True,
                )

    def ratio(network: str, path: str, blocks: int, kind: str) -> float:
        same = (case for case in cases if (case["network"], case["path"], case["blocks"]) == (network, path, blocks))
        return next(same)[kind]

    ratios = {
        "live_step_224_blocks3": ratio("ResNet-50", "live", 3, "step_ratio"),
        "cached_cell_blocks3": ratio("miniature", "cached", 3, "cell_ratio"),
        "cached_cell_blocks0": ratio("miniature", "cached", 0, "cell_ratio"),
        "cached_cell_224_blocks3": ratio("ResNet-50", "cached", 3, "cell_ratio"),
        "cached_cell_224_blocks0": ratio("ResNet-50", "cached", 0, "cell_ratio"),
    }
    print("\n" + "\n".join(f"{name}: {value:.1f}" for name, value in ratios.items()))
    save_json(
        Path(arguments.output),
        {"device": name, "limits": limit, "quick": arguments.quick, "ratios": ratios, "cases": cases},
    )


def table_line(*cells: object) -> str:
    """Cells as a line of a Markdown table, aligned."""
    widths = (9, 6, 11, 8, 10, 7, 9, 8, 6, 7, 6, 7)
    return "| " + " | ".join(str(cell).rjust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


if __name__ == "__main__":
    main()
