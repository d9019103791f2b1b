"""Fine-tuned networks of several seeds in one file: training them is short in the demo, and a job takes seconds to start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from advtransfer.artefacts import load_tensors, save_tensors
from advtransfer.errors import InputError
from advtransfer.models import ARCHITECTURE, ImageClassifier, build, check_metadata, load_network, load_source

# What a network has from its source.
FROM_SOURCE = ("layers", "width", "stem", "resolution", "mean", "std")


def tensors_of(seed: int, model: ImageClassifier) -> dict[str, torch.Tensor]:
    """The state dict of a seed's network as the file has it: {"seed.name": a copy on the CPU}."""
    # Copies: what trains next may reuse the memory.
    return {f"{seed}.{name}": tensor.detach().cpu().clone() for name, tensor in model.network.state_dict().items()}


def save_networks(
    path: str | Path, tensors: Mapping[str, torch.Tensor], classes: int, source: str | Path, facts: Mapping[str, Any]
) -> None:
    """Write networks as one artefact that `load_one` reads.

    tensors: of all seeds, see `tensors_of`. source: the artefact they were fine-tuned from, which knows their architecture. facts:
    JSON-compatible, among them "seeds", a list.
    """
    metadata = load_tensors(source, [])[1]
    save_tensors(path, tensors, {**{key: metadata[key] for key in FROM_SOURCE}, "classes": classes, **facts})


def load_one(path: str | Path, seed: int) -> ImageClassifier:
    """The network of a seed, in eval mode; a file of a single network, such as a source or a reference network, gives that one.

    Raises InputError where the file is missing, damaged or of another kind, or has no network of this seed.
    """
    metadata = load_tensors(path, [])[1]
    if "seeds" not in metadata:
        return load_source(path)
    if seed not in metadata["seeds"]:
        raise InputError(f"{path}: holds no network of seed {seed}. Remove the file and make it again.")
    model = build(check_metadata(metadata, path, ARCHITECTURE))
    names = list(model.network.state_dict())
    tensors, _ = load_tensors(path, [f"{seed}.{name}" for name in names], own=True)
    load_network(model.network, {name: tensors[f"{seed}.{name}"] for name in names}, path)
    return model.eval()
