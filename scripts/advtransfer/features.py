"""What a fine-tuned network makes of images: penultimate features and logits, in evaluation mode, without augmentation."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from advtransfer.artefacts import load_tensors, save_tensors
from advtransfer.augmentation import to_unit
from advtransfer.models import ImageClassifier

# Images that pass the network at once; bounds memory and changes no result beyond rounding.
BATCH_PIXELS = 32 * 224**2


def save_model(path: str | Path, model: ImageClassifier, source: str | Path, identity: Mapping[str, Any]) -> None:
    """Write a fine-tuned network as an artefact that `models.load_source` reads.

    source: the artefact it was fine-tuned from, which knows its architecture. identity: JSON-compatible facts, such as class_names.
    """
    metadata = load_tensors(source, [])[1]
    kept = {key: metadata[key] for key in ("layers", "width", "stem", "resolution", "mean", "std")}
    tensors = {name: tensor.detach().cpu() for name, tensor in model.network.state_dict().items()}
    save_tensors(path, tensors, {**kept, "classes": model.network.fc.out_features, **identity})


def batches(images: torch.Tensor, resolution: int, device: torch.device) -> Iterator[torch.Tensor]:
    """uint8 images [n, c, h, w] as float batches [b, 3, resolution, resolution] in [0, 1] on a device."""
    for batch in images.split(max(1, BATCH_PIXELS // resolution**2)):
        yield to_unit(batch.to(device), resolution).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def read_out(
    model: ImageClassifier, images: torch.Tensor, resolution: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Penultimate features [n, p] float32 and logits [n, classes] float64 of uint8 images [n, c, h, w], on the CPU.

    Logits are float64 products of the features: in float32 a certain network's p - y would round to 0.
    """
    model = model.to(device, memory_format=torch.channels_last).eval()
    features = torch.cat([model.features(batch) for batch in batches(images, resolution, device)])
    head = model.network.fc
    logits = features.double() @ head.weight.double().T + head.bias.double()
    return features.float().cpu(), logits.cpu()
