"""Adversarial images of a network, made once for each objective and epsilon, and what is read off them.

Every image has random streams of its own, one for each objective, threat and restart: the images of an attack depend neither on how
they are batched nor on what else is attacked, and more restarts, images or epsilons leave those that there were as they are.
"""

from collections.abc import Callable, Iterator, Sequence

import torch

from advtransfer.activations import large_batches
from advtransfer.attacks import evaluating, pgd
from advtransfer.augmentation import to_unit
from advtransfer.memory import Batches
from advtransfer.models import ImageClassifier
from advtransfer.randomness import generator_for
from advtransfer.threats import Threat

# What an attack raises: the cross-entropy of the logits, or the squared L2 distance of the penultimate features from the clean image's.
OBJECTIVES = ("logits", "representation")
# Of the batch that fills a device when images only pass: a gradient keeps the activations of all layers, about eight times as much
# (the bundled networks: 10 MB an image).
GRADIENT_SHARE = 8


def random_starts(
    threat: Threat, images: torch.Tensor, image_ids: Sequence[int], objective: str, restart: int, seed: int
) -> torch.Tensor:
    """Random points of the threat's ball [n, c, h, w], each from the stream of its image, objective, threat and restart."""
    drawn = [
        threat.random_start(
            image[None],
            generator_for(seed, f"{objective} attack {threat.norm} {threat.epsilon!r} {restart} on image {image_id}"),
        )
        for image, image_id in zip(images, image_ids, strict=True)
    ]
    return torch.cat(drawn)


def representation_distance(model: ImageClassifier, images: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """The objective |f(x') - f(x)|^2 [n] of images x' [n, 3, h, w], f the penultimate features and x the given `images`.

    Its gradient at x itself is 0: an attack has to begin elsewhere.
    """
    with torch.no_grad():
        clean = model.features(images)
    return lambda others: (model.features(others) - clean).square().sum(1)


def attack(
    model: ImageClassifier,
    images: torch.Tensor,
    labels: torch.Tensor,
    threat: Threat,
    steps: int,
    objective: str,
    start: torch.Tensor,
) -> torch.Tensor:
    """Adversarial images [n, 3, h, w] by PGD from `start`, of each image the iterate at which its objective is highest.

    images: [n, 3, h, w] in [0, 1]. objective: one of OBJECTIVES. start: perturbations [n, 3, h, w].
    """
    with evaluating(model):
        raised = representation_distance(model, images) if objective == "representation" else None
        return pgd(model, images, labels, threat, steps, keep_best=True, objective=raised, start=start)


def read_adversarial(
    read: Callable[[torch.Tensor], torch.Tensor],
    model: ImageClassifier,
    images: torch.Tensor,
    labels: torch.Tensor,
    image_ids: torch.Tensor,
    resolution: int,
    threat: Threat,
    steps: int,
    restarts: int,
    objective: str,
    seed: int,
    device: torch.device,
) -> Iterator[torch.Tensor]:
    """For each restart, what `read` makes of the adversarial images [n, 3, resolution, resolution], [n, ...] on the CPU.

    read: a function of adversarial images on the device, such as model.features. images: uint8 [n, c, h, w], with labels [n] and
    their ids in the data set [n]. Batches fill the device and halve where its memory runs out.
    """
    batches = Batches(max(1, large_batches(device, resolution).size // GRADIENT_SHARE))
    for restart in range(restarts):

        def compute(batch: slice, restart: int = restart) -> torch.Tensor:
            x = to_unit(images[batch].to(device), resolution).contiguous(memory_format=torch.channels_last)
            start = random_starts(threat, x, image_ids[batch].tolist(), objective, restart, seed)
            adversarial = attack(model, x, labels[batch].to(device), threat, steps, objective, start)
            with evaluating(model), torch.no_grad():
                return read(adversarial).cpu()

        yield torch.cat([part for _, part in batches.map(compute, len(images))])
