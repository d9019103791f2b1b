"""Measure two ways of computing that the engine does not take: seeds trained together by vmap, and torch.compile.

    uv run python benchmarks/alternatives.py              # seeds together: one minute on 2 cores
    uv run python benchmarks/alternatives.py --compile    # torch.compile too: ten more, and a C++ compiler

Each beside what the engine does, in one process, on the miniature (and for torch.compile also on ResNet-50 at 224x224) with random
weights. On a machine with a GPU they are measured there. Prints milliseconds and ratios; above 1 the alternative is faster.
"""

import argparse
import copy
import itertools
import os
import time

import torch
from engine import CLASSES, architecture_of, fastest
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional

from advtransfer.activations import pass_frozen, pass_trained
from advtransfer.influence_all import TrainedPart
from advtransfer.memory import keep_freed_memory
from advtransfer.models import ImageClassifier, build, unfreeze_last
from advtransfer.randomness import generator_for
from advtransfer.transfer import set_training_mode

SEEDS = 5


def fresh(network: str, blocks: int, device: torch.device) -> tuple[ImageClassifier, int]:
    """A network with random weights and a new head, set to train its last blocks; and its resolution."""
    architecture = architecture_of(network)
    model = build(architecture)
    model.network.initialise(generator_for(0, "initialisation"))
    model.network.fc = nn.Linear(model.network.fc.in_features, CLASSES)
    model = model.to(device, memory_format=torch.channels_last)
    unfreeze_last(model.network, blocks)
    set_training_mode(model, blocks, "frozen")
    return model, architecture["resolution"]


def loss_of(model: ImageClassifier, blocks: int, activations: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The loss of cached activations, as the engine computes it."""
    return functional.cross_entropy(pass_trained(model, blocks, activations), labels)


def stateless_part(model: ImageClassifier, blocks: int) -> TrainedPart:
    """A copy of the trained blocks and the head, in torch's plain operators, whose batch norm has no running statistics.

    vmap cannot update them: it is spared the work.
    """
    part = copy.deepcopy(TrainedPart(model.network, blocks))
    for module in part.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return part.train()


def seeds_together(blocks: int, batch: int, device: torch.device) -> tuple[float, float]:
    """Seconds of the gradients of 5 seeds, one after another as the engine computes them, and by vmap over stacked weights."""
    model, resolution = fresh("miniature", blocks, device)
    activations = pass_frozen(model, blocks, torch.rand(batch, 3, resolution, resolution, device=device))
    labels = torch.arange(batch, device=device) % CLASSES
    models = [copy.deepcopy(model) for _ in range(SEEDS)]

    def one_after_another() -> None:
        for each in models:
            each.zero_grad()
            loss_of(each, blocks, activations, labels).backward()

    parts = [stateless_part(model, blocks) for _ in range(SEEDS)]
    parameters, _ = stack_module_state(parts)
    skeleton = copy.deepcopy(parts[0]).to("meta")

    def loss(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(functional_call(skeleton, weights, (x,)), labels)

    together = vmap(grad(loss))
    stacked = activations.expand(SEEDS, *activations.shape).contiguous()
    return fastest(one_after_another, 20, device), fastest(lambda: together(parameters, stacked), 20, device)


def compiled(network: str, blocks: int, batch: int, device: torch.device) -> list[tuple[str, float, float, float]]:
    """Frozen layers and a step of the trained ones: seconds as they are, compiled, and of the compilation."""
    model, resolution = fresh(network, blocks, device)
    images = torch.rand(batch, 3, resolution, resolution, device=device)
    activations, labels = pass_frozen(model, blocks, images), torch.arange(batch, device=device) % CLASSES

    def frozen(x: torch.Tensor) -> torch.Tensor:
        return pass_frozen(model, blocks, x)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return loss_of(model, blocks, x, labels)

    def step(compute) -> None:
        model.zero_grad()
        compute(activations).backward()

    rows = []
    for name, compute, work in (
        ("frozen layers", frozen, lambda compute: compute(images)),
        ("trained blocks", loss, step),
    ):
        plain = fastest(lambda compute=compute, work=work: work(compute), 5, device)
        fast = torch.compile(compute)
        start = time.perf_counter()
        work(fast)
        compilation = time.perf_counter() - start
        rows.append((name, plain, fastest(lambda fast=fast, work=work: work(fast), 5, device), compilation))
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compile", action="store_true", help="torch.compile as well")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    keep_freed_memory()
    for threads in (1,) if device.type == "cuda" else (1, os.cpu_count()):
        torch.set_num_threads(threads)
        for blocks, batch in itertools.product((1, 3, 9), (32, 128)):
            alone, together = seeds_together(blocks, batch, device)
            print(
                f"{SEEDS} seeds, {threads} threads, {blocks} blocks, batch {batch}: one after another {1e3 * alone:.1f} ms, "
                f"together {1e3 * together:.1f} ms, ratio {alone / together:.2f}",
                flush=True,
            )
    if arguments.compile:
        for network, batch in (("miniature", 128), ("ResNet-50", 32)):
            for name, plain, fast, compilation in compiled(network, 3, batch, device):
                print(
                    f"{network}, batch {batch}, {name}: {1e3 * plain:.1f} ms, compiled {1e3 * fast:.1f} ms, "
                    f"ratio {plain / fast:.2f}, compilation {compilation:.0f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
