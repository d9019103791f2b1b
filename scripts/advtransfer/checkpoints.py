"""Reading checkpoints: tensors only, nothing that a file names is ever imported or called."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from advtransfer.artefacts import load_tensors
from advtransfer.downloads import file_hash
from advtransfer.errors import InputError
from advtransfer.models import (
    ARCHITECTURE,
    IMAGENET_MEAN,
    IMAGENET_STD,
    build,
    check_metadata,
    is_number,
    is_size,
    load_network,
)
from advtransfer.pickles import READ_TYPES, StoredTensor, TorchFile, UnreadTensor, unread_type
from advtransfer.records import recorded

# Names of tensors are shown in messages; those of networks have some 30 characters.
MOST_NAME = 200


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
        return Checkpoint(_read_safetensors(path)[0])
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
            if len(values) != 3:
                raise InputError(
                    f"{path}: tensor '{name}' has {len(values)} values, one for each of 3 colours is meant. Save the network by itself."
                )
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
    for name, value in content.items() if isinstance(content, Mapping) else ():
        if isinstance(value, StoredTensor | UnreadTensor):
            _check_name(file.path, name)
        if isinstance(value, UnreadTensor):
            raise InputError(f"{file.path}: tensor '{name}' {value.finding}")
        if isinstance(value, StoredTensor):
            found[name] = value
    if not found:
        what = "no tensors" if isinstance(content, Mapping) else "no plain state dict"
        raise InputError(
            f"{file.path}: found {what}, at the top or under 'state_dict' or 'model'. Save the network's state dict."
        )
    return found


def _read_safetensors(path: str | Path, names: list[str] | None = None) -> tuple[dict[str, torch.Tensor], dict]:
    """Tensors (all, or the named ones) and metadata of a user's file. Raises InputError where it is damaged."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file. Check the path.")
    try:
        tensors, metadata = load_tensors(path, names)
    except Exception as error:
        # The texts in a file's metadata are JSON, or make its reader raise anything, RecursionError included.
        reason = " ".join(str(error.__cause__ or error)[:200].split())
        raise InputError(f"{path}: not a safetensors file, or a damaged one ({reason}). Get it again.") from None
    for name, tensor in tensors.items():
        _check_name(path, name)
        if tensor.dtype not in READ_TYPES:
            raise InputError(f"{path}: tensor '{name}' {unread_type(tensor.dtype).finding}")
    return tensors, metadata


def _check_name(path: str | Path, name: str) -> None:
    if len(name) > MOST_NAME or not name.isprintable():
        raise InputError(f"{path}: {name[:40]!r} is no name of a tensor. Save the network's state dict.")


def import_checkpoint(
    path: str | Path, settings: Mapping[str, Any], name: str
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors (float32) and metadata of the source artefact that a checkpoint becomes.

    settings: a `sources:` entry of kind file or download, resolved. A file that describes itself, as source artefacts do
    (and as to its normalisation those of `robustness`), needs no more than its threat; what the entry states must agree. Otherwise layers, width, stem,
    classes, resolution, mean and std default to those of the paper's ImageNet ResNet-50s.
    Raises InputError where entry and file disagree, or the tensors do not fit the network.
    """
    own = _described(path) if Path(path).suffix == ".safetensors" else {}
    checkpoint = read_checkpoint(path)
    stated = {key: value for key, value in settings.items() if key in (*DEFAULTS, "threat")}
    described = {key: own[key] for key in (*DEFAULTS, "threat") if key in own}
    if checkpoint.mean is not None:
        described |= check_metadata({"mean": checkpoint.mean, "std": checkpoint.std}, path, KINDS)
    for key, value in stated.items():
        if key in described and described[key] != value:
            raise InputError(
                f"config: sources.{name}.{key}: found {value}, but {path} says {described[key]}. Correct one of them."
            )
    metadata = {"architecture": "resnet", **DEFAULTS, **described, **stated}
    tensors = checkpoint.tensors
    # Without memory for its weights: a file may describe a network of any size.
    with torch.device("meta"):
        network = build(metadata).network
    with warnings.catch_warnings():
        # One for each tensor, that nothing is copied.
        warnings.simplefilter("ignore")
        load_network(network, tensors, path)
    origin = {
        "file": Path(path).name,
        "sha256": file_hash(Path(path), "sha256"),
        **{key: settings[key] for key in ("url",) if key in settings},
    }
    if "origin" in own:
        origin["record"] = own["origin"]
    return (
        # Copies, since tensors of a file may share memory.
        {
            key: tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True)
            for key, tensor in tensors.items()
        },
        {**metadata, "origin": origin},
    )


def _described(path: str | Path) -> dict[str, Any]:
    """The metadata of a safetensors file; what of it describes a source is as `load_source` needs it, or absent.

    Raises InputError where it is not.
    """
    return check_metadata(_read_safetensors(path, [])[1], path, KINDS)


def _is_threat(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict)
        and set(value) == {"norm", "epsilon"}
        and value["norm"] in ("l2", "linf")
        and is_number(value["epsilon"])
        and value["epsilon"] > 0
    )


def _is_origin(value: Any) -> bool:
    """Facts under names; where they hold measurements, those that a robustness table is made of."""
    try:
        return isinstance(value, dict) and all(
            row["norm"] in ("", "l2", "linf")
            and all(is_number(row[key]) for key in ("epsilon", "accuracy"))
            and 0 <= row["accuracy"] <= 1
            and is_size(row["images"])
            for row in recorded({"origin": {"record": value}}, "")
        )
    except (KeyError, TypeError, AttributeError):
        return False


# What the metadata of a source artefact must be beyond its architecture.
KINDS = ARCHITECTURE | {
    "threat": (_is_threat, "null, or a norm (l2 or linf) and a positive epsilon"),
    "origin": (_is_origin, "a training record"),
}


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
        own = _described(source["path"])
    return {key: source.get(key, own.get(key, default)) for key, default in DEFAULTS.items()}
