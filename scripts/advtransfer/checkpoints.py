"""Reading checkpoints: tensors only, nothing that a file names is ever imported or called."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from advtransfer.artefacts import load_tensors
from advtransfer.errors import InputError
from advtransfer.models import IMAGENET_MEAN, IMAGENET_STD, build, load_network


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """The state dict, in torchvision's names, that a checkpoint holds.

    Reads safetensors files and torch's files (.pt, .pth, .ckpt) that hold nothing but tensors and plain containers:
    a state dict, or one under the key "state_dict" or "model"; the prefix "module." of DataParallel is taken off.
    Raises InputError where the file is missing or damaged, or holds anything else.
    """
    if Path(path).suffix == ".safetensors":
        return load_tensors(path)[0]
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file. Check the path.")
    try:
        # weights_only: the file's pickle may build tensors and containers, nothing else.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # Bytes that are no such pickle make the restricted unpickler raise anything, KeyError and IndexError included.
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        raise InputError(
            f"{path}: not a checkpoint of tensors only ({reason}). Save its state dict as safetensors."
        ) from None
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise InputError(f"{path}: found {type(content).__name__}, not a state dict of tensors. Save the state dict.")
    return {name.removeprefix("module."): tensor for name, tensor in content.items()}


def import_checkpoint(
    path: str | Path, settings: Mapping[str, Any], name: str
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors (float32) and metadata of the source artefact that a checkpoint becomes.

    settings: a `sources:` entry of kind file or download, resolved. A file that describes itself, as source artefacts
    do, needs no more than its threat; what the entry states must agree with it. Otherwise layers, width, stem,
    classes, resolution, mean and std default to those of the paper's ImageNet ResNet-50s.
    Raises InputError where entry and file disagree, or the tensors do not fit the network.
    """
    own = load_tensors(path, [])[1] if Path(path).suffix == ".safetensors" else {}
    stated = {key: value for key, value in settings.items() if key in (*DEFAULTS, "threat")}
    described = {key: own[key] for key in (*DEFAULTS, "threat") if key in own}
    for key, value in stated.items():
        if key in described and described[key] != value:
            raise InputError(
                f"config: sources.{name}.{key}: found {value}, but {path} says {described[key]}. Correct one of them."
            )
    metadata = {"architecture": "resnet", **DEFAULTS, **described, **stated}
    tensors = read_state_dict(path)
    load_network(build(metadata).network, tensors, path)
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    origin = {"file": Path(path).name, "sha256": digest, **{key: settings[key] for key in ("url",) if key in settings}}
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
