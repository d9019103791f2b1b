"""Reading checkpoints: tensors only, nothing that a file names is ever imported or called."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from advtransfer.artefacts import load_tensors
from advtransfer.downloads import file_hash
from advtransfer.errors import InputError
from advtransfer.models import IMAGENET_MEAN, IMAGENET_STD, build, load_network
from advtransfer.pickles import StoredTensor, TorchFile


@dataclass
class Checkpoint:
    """What a checkpoint holds of a network: its state dict in torchvision's names, and its own normalisation if it has one.

    mean, std: of each channel, in units of [0, 1]; both or neither.
    """

    tensors: dict[str, torch.Tensor]
    mean: list[float] | None = None
    std: list[float] | None = None


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """The state dict, in torchvision's names, that a checkpoint holds; see `read_checkpoint`."""
    return read_checkpoint(path).tensors


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read the network out of a checkpoint; whatever else it holds is never looked at, let alone run.

    Reads safetensors files and torch's files (.pt, .pth, .ckpt; zip and legacy format) that hold a state dict, or one under
    "state_dict" or "model"; the prefix "module." of DataParallel is taken off. Of the files of the `robustness` package the
    network ("model.*") is read and the normaliser; the attacker's copy of both has to be the same.
    Raises InputError where the file is missing, damaged, holds no state dict, or contradicts itself.
    """
    if Path(path).suffix == ".safetensors":
        return Checkpoint(load_tensors(path)[0])
    file = TorchFile(path)
    stored = _state_dict(file)
    while all(name.startswith("module.") for name in stored):
        stored = {name.removeprefix("module."): tensor for name, tensor in stored.items()}
    if not any(name.startswith(("normalizer.", "attacker.")) for name in stored):
        return Checkpoint({name: file.read(tensor) for name, tensor in stored.items()})
    network = {name.removeprefix("model."): tensor for name, tensor in stored.items() if name.startswith("model.")}
    tensors = {name: file.read(tensor) for name, tensor in network.items()}
    normaliser = {}
    for name, tensor in stored.items():
        if name.startswith("attacker.model."):
            own = name.removeprefix("attacker.model.")
            # Usually the same storage: nothing to read.
            if own in network and network[own] != tensor and not torch.equal(tensors[own], file.read(tensor)):
                raise InputError(
                    f"{path}: tensor 'model.{own}' differs from the attacker's copy. Save the network that is meant by itself."
                )
        elif name.endswith((".new_mean", ".new_std")):
            key, values = name.rpartition(".")[2], file.read(tensor).flatten().double()
            if key in normaliser and not torch.equal(normaliser[key], values):
                raise InputError(f"{path}: two normalisers with different '{key}'. Save the network by itself.")
            normaliser[key] = values
    if set(normaliser) != {"new_mean", "new_std"}:
        return Checkpoint(tensors)
    # float32 holds 0.485 as 0.48500001.
    mean, std = ([round(float(value), 6) for value in normaliser[key]] for key in ("new_mean", "new_std"))
    return Checkpoint(tensors, mean, std)


def _state_dict(file: TorchFile) -> dict[str, StoredTensor]:
    content = file.content
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    found = {}
    if isinstance(content, Mapping):
        found = {
            name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, StoredTensor)
        }
    if not found:
        what = "no tensors" if isinstance(content, Mapping) else "no plain state dict"
        raise InputError(
            f"{file.path}: found {what}, at the top or under 'state_dict' or 'model'. Save the network's state dict."
        )
    return found


def import_checkpoint(
    path: str | Path, settings: Mapping[str, Any], name: str
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors (float32) and metadata of the source artefact that a checkpoint becomes.

    settings: a `sources:` entry of kind file or download, resolved. A file that describes itself, as source artefacts do
    (and as to its normalisation those of `robustness`), needs no more than its threat; what the entry states must agree. Otherwise layers, width, stem,
    classes, resolution, mean and std default to those of the paper's ImageNet ResNet-50s.
    Raises InputError where entry and file disagree, or the tensors do not fit the network.
    """
    own = load_tensors(path, [])[1] if Path(path).suffix == ".safetensors" else {}
    checkpoint = read_checkpoint(path)
    stated = {key: value for key, value in settings.items() if key in (*DEFAULTS, "threat")}
    described = {key: own[key] for key in (*DEFAULTS, "threat") if key in own}
    if checkpoint.mean is not None:
        described |= {"mean": checkpoint.mean, "std": checkpoint.std}
    for key, value in stated.items():
        if key in described and described[key] != value:
            raise InputError(
                f"config: sources.{name}.{key}: found {value}, but {path} says {described[key]}. Correct one of them."
            )
    metadata = {"architecture": "resnet", **DEFAULTS, **described, **stated}
    tensors = checkpoint.tensors
    load_network(build(metadata).network, tensors, path)
    origin = {
        "file": Path(path).name,
        "sha256": file_hash(Path(path), "sha256"),
        **{key: settings[key] for key in ("url",) if key in settings},
    }
    if "origin" in own:
        origin["record"] = own["origin"]
    return (
        {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()},
        {**metadata, "origin": origin},
    )


DEFAULTS = {
    "layers": [3, 4, 6, 3],
    "width": 1.0,
    "stem": "imagenet",
    "classes": 1000,
    "resolution": 224,
    "mean": list(IMAGENET_MEAN),
    "std": list(IMAGENET_STD),
}


def architecture_of(source: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata that a source's artefact will have, as far as it says what is computed.

    source: a `sources:` entry, resolved. A file that describes itself is asked; otherwise what the entry leaves out is as in
    the paper's ResNet-50. Raises InputError where such a file is missing or unreadable.
    """
    own = {}
    if source["kind"] == "file" and Path(source["path"]).suffix == ".safetensors":
        own = load_tensors(source["path"], [])[1]
    return {key: source.get(key, own.get(key, default)) for key, default in DEFAULTS.items()}
