"""What a fine-tuned network makes of images: penultimate features and logits, in evaluation mode, without augmentation."""

from collections.abc import Callable

import torch

from advtransfer.activations import large_batches
from advtransfer.augmentation import to_unit
from advtransfer.models import ImageClassifier


@torch.no_grad()
def pass_images(
    function: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    resolution: int,
    device: torch.device,
) -> torch.Tensor:
    """`function` of uint8 images [n, c, h, w]: it gets batches [b, 3, resolution, resolution] in [0, 1] on the device.

    Its results are joined on the CPU, [n, ...].
    """

    def compute(batch: slice) -> torch.Tensor:
        x = to_unit(images[batch].to(device), resolution)
        return function(x.contiguous(memory_format=torch.channels_last)).cpu()

    return torch.cat([part for _, part in large_batches(device, resolution).map(compute, len(images))])


@torch.no_grad()
def read_out(
    model: ImageClassifier,
    images: torch.Tensor,
    resolution: int,
    device: torch.device,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Penultimate features [n, p] float32 and logits [n, classes] float64 of uint8 images [n, c, h, w], on the CPU.

    Logits are float64 products of the features: in float32 a certain network's p - y would round to 0.
    """
    model = model.to(device, memory_format=torch.channels_last).eval()
    features = pass_images(model.features, images, resolution, device)
    weight, bias = (parameter.double().cpu() for parameter in (model.network.fc.weight, model.network.fc.bias))
    return features, features.double() @ weight.T + bias
