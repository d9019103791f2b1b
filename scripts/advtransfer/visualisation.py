"""Feature visualisation (paper, Fig. 1): images that drive a penultimate unit of a network up, found by gradient ascent."""

import logging

import torch

from advtransfer.models import ImageClassifier

logger = logging.getLogger(__name__)


class _PassGradients(torch.autograd.Function):
    """ReLU whose backward pass is the identity, so that a unit that is silent at first can be woken."""

    @staticmethod
    def forward(ctx, x: torch.Tensor) -> torch.Tensor:
        return x.clamp_min(0)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        return gradient


def penultimate(model: ImageClassifier, images: torch.Tensor) -> torch.Tensor:
    """`model.features(images)`, [n, p], with the backward pass of the last ReLU replaced by the identity."""
    network = model.network
    x = network.stem(model.normalise(images))
    *blocks, last = network.blocks()
    for block in blocks:
        x = block(x)
    return network.pool(_PassGradients.apply(last.sum_of_branches(x)))


def visualise(
    model: ImageClassifier,
    starts: torch.Tensor,
    units: list[int],
    steps: int,
    step_size: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Push images uphill on penultimate units: x <- clamp(x + step_size g / |g|_2, 0, 1), g the gradient of the unit's activation.

    starts: images [m, 3, s, s] in [0, 1]; units: indices below p. All units and starts go as one batch; the network is in
    evaluation mode. step_size: L2, in pixel units at this resolution (the paper: 2 at 224x224, 1,000 steps).
    Returns images [units, m, 3, s, s] and the units' activations [units, m, 2], before and after. An image whose gradient vanishes
    stays as it is.
    """
    model = model.eval().requires_grad_(False)
    device = model.mean.device
    images = starts.to(device).repeat(len(units), 1, 1, 1)
    chosen = torch.tensor(units, device=device).repeat_interleave(len(starts)).unsqueeze(1)
    before = model.features(images).gather(1, chosen)
    for step in range(1, steps + 1):
        images.requires_grad_(True)
        activation = penultimate(model, images).gather(1, chosen)
        (gradient,) = torch.autograd.grad(activation.sum(), images)
        length = gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1).clamp_min(torch.finfo(gradient.dtype).tiny)
        images = (images.detach() + step_size * gradient / length).clamp_(0, 1)
        if step % max(1, steps // 10) == 0:
            logger.info("step %d/%d: mean activation %.3f", step, steps, activation.detach().mean())
    after = model.features(images).gather(1, chosen)
    activations = torch.cat([before, after], 1).view(len(units), len(starts), 2)
    return images.view(len(units), *starts.shape).cpu(), activations.cpu()


def starting_images(resolution: int, generator: torch.Generator) -> tuple[torch.Tensor, list[str]]:
    """Two photographs (scikit-learn's: a Chinese temple and a flower, the middle square of each) and noise, [3, 3, s, s] in [0, 1].

    Also their names. The noise is uniform in [0.4, 0.6]: a grey image with grain.
    """
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    squares = []
    for photograph in load_sample_images().images:
        image = Image.fromarray(photograph)
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).resize((resolution,) * 2, Image.Resampling.BILINEAR)
        squares.append(torch.from_numpy(np.array(square)).permute(2, 0, 1) / 255)
    noise = 0.5 + 0.2 * (torch.rand(3, resolution, resolution, generator=generator) - 0.5)
    return torch.stack([*squares, noise]), ["photograph 1", "photograph 2", "noise"]
