"""How many images a network has right as they are and under attack (Zhang et al. 2021, arXiv 2106.10989; docs/nonrobustness.md).

The accuracy on adversarial inputs at a radius is a worst case: an image counts as right where neither the image itself nor any point that
the attack visited, in all restarts and at all radii up to this one, gets another class than its label. So it is the clean accuracy at
radius 0, and never rises with the radius. An attack that finds nothing proves nothing: it is an upper bound of the robust accuracy.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch.nn import functional

from advtransfer.activations import large_batches
from advtransfer.adversarial import GRADIENT_SHARE, random_starts
from advtransfer.attacks import autoattack, evaluating
from advtransfer.augmentation import to_unit
from advtransfer.errors import InputError
from advtransfer.features import pass_images
from advtransfer.memory import Batches
from advtransfer.models import ImageClassifier
from advtransfer.threats import Threat, threat_from

logger = logging.getLogger(__name__)


def right_as_they_are(
    model: ImageClassifier, images: torch.Tensor, labels: torch.Tensor, resolution: int, device: torch.device
) -> torch.Tensor:
    """Which uint8 images [n, c, h, w] get their label [n], bool [n]."""
    with evaluating(model):
        return pass_images(lambda x: model(x).argmax(1), images, resolution, device) == labels


def still_right(
    model: ImageClassifier,
    images: torch.Tensor,
    labels: torch.Tensor,
    image_ids: torch.Tensor,
    resolution: int,
    threat: Threat,
    settings: Mapping[str, Any],
    device: torch.device,
) -> torch.Tensor:
    """Which images get their label at every point that PGD visits, in every restart, bool [n].

    images: uint8 [n, c, h, w]; labels, image_ids int64 [n]. settings: steps, of 2.5 epsilon / steps along the gradient of the cross-entropy;
    restarts, each from a random point of the ball; seed. All restarts of an image go side by side and end where the first one gets another
    class: what follows would change nothing. A few images at a time cost as much as many.
    """
    restarts, steps = settings["restarts"], settings["steps"]
    batches = Batches(max(1, large_batches(device, resolution).size // (GRADIENT_SHARE * restarts)))

    def compute(batch: slice) -> torch.Tensor:
        x, y = to_unit(images[batch].to(device), resolution), labels[batch].to(device)
        x = x.contiguous(memory_format=torch.channels_last)
        ids = image_ids[batch].tolist()
        starts = [random_starts(threat, x, ids, "logits", restart, settings["seed"]) for restart in range(restarts)]
        points = torch.stack([(x + threat.project(start)).clamp(0, 1) for start in starts])  # [restarts, n, 3, h, w]
        left = torch.arange(len(x), device=device)
        for step in range(steps + 1):
            flat, truth = points.flatten(0, 1).requires_grad_(step < steps), y[left].repeat(restarts)
            logits = model(flat.contiguous(memory_format=torch.channels_last))
            kept = (logits.argmax(1) == truth).view(restarts, -1).all(0)
            left = left[kept]
            if step == steps or not len(left):
                break
            loss = functional.cross_entropy(logits, truth, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, flat)
            moved = flat.detach() + threat.step(gradient, 2.5 * threat.epsilon / steps)
            moved = moved.unflatten(0, (restarts, -1))[:, kept]
            ball = threat.project((moved - x[left]).flatten(0, 1)).view_as(moved)
            points = (x[left] + ball).clamp(0, 1)
        right = torch.zeros(len(x), dtype=torch.bool)
        right[left.cpu()] = True
        return right

    with evaluating(model), torch.enable_grad():
        return torch.cat([part for _, part in batches.map(compute, len(images))]) if len(images) else labels.bool()


def right_under_attack(
    model: ImageClassifier,
    images: torch.Tensor,
    labels: torch.Tensor,
    image_ids: torch.Tensor,
    resolution: int,
    epsilons: Sequence[float],
    settings: Mapping[str, Any],
    device: torch.device,
) -> dict[float, torch.Tensor]:
    """{radius: which images are right at it, bool [n]} of 0 and of all radii, in ascending order; see the module.

    settings: norm, steps, restarts, seed. An image that is lost is attacked no more: it is lost at every larger radius too.
    """
    right = right_as_they_are(model, images, labels, resolution, device)
    found = {0.0: right.clone()}
    for epsilon in sorted(epsilons):
        left = right.nonzero().flatten()
        if epsilon > 0:
            threat = threat_from(settings["norm"], epsilon)
            chosen = (images[left], labels[left], image_ids[left])
            right[left] = still_right(model, *chosen, resolution, threat, settings, device)
        found[epsilon] = right.clone()
    return found


def right_under_autoattack(
    model: ImageClassifier,
    images: torch.Tensor,
    labels: torch.Tensor,
    right: torch.Tensor,
    resolution: int,
    threat: Threat,
    seed: int,
    device: torch.device,
) -> torch.Tensor:
    """Which of the images that are `right` (bool [n]) are so after AutoAttack as well, bool [n]: the worst case over both attacks.

    Raises InputError where torchattacks is not installed, also where nothing is left to attack.
    """
    if find_spec("torchattacks") is None:
        raise InputError(
            "nonrobustness.autoattack_images: the package torchattacks is not installed. Install torchattacks 3.3.0, or set it to 0."
        )
    right = right.clone()
    left = right.nonzero().flatten()
    if len(left):
        x = to_unit(images[left].to(device), resolution)
        y = labels[left].to(device)
        found = autoattack(model, x, y, threat, model.network.fc.out_features, seed)
        with evaluating(model), torch.no_grad():
            right[left] = (model(found).argmax(1) == y).cpu()
    return right


def measure(
    models: Iterator[tuple[int, ImageClassifier]],
    images: torch.Tensor,
    labels: torch.Tensor,
    image_ids: torch.Tensor,
    resolution: int,
    settings: Mapping[str, Any],
    device: torch.device,
) -> Iterator[dict[str, Any]]:
    """Rows of `columns.NONROBUSTNESS_ROWS`, but for what names the networks: of each network, a row for each radius, 0 included.

    models: (seed, network), which come to the CPU in eval mode. images: uint8 [n, c, h, w], labels int64 [n], ids in the data set [n].
    settings: of a job, see `config.nonrobustness.row_settings`. Where it asks for AutoAttack, there is one more row for each network.
    """
    attacks, count = settings["attack"], min(settings["autoattack_images"], len(labels))
    for seed, model in models:
        model = model.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
        found = right_under_attack(model, images, labels, image_ids, resolution, attacks["epsilons"], attacks, device)
        shared = {"seed": seed, "classes": model.network.fc.out_features, "norm": attacks["norm"]}
        for epsilon, right in found.items():
            counts = {"test_images": len(labels), "clean": int(found[0.0].sum()), "pgd": int(right.sum())}
            yield {**shared, "attack": "pgd", "epsilon": epsilon, **counts, "right": int(right.sum())}
        if count:
            epsilon = settings["autoattack_epsilon"]
            # Images lie in the order of the data set, which is often sorted by class: evenly spaced ones stand for all.
            some = torch.linspace(0, len(labels) - 1, count).round().long()
            before = found[epsilon][some]
            threat = threat_from(attacks["norm"], epsilon)
            after = right_under_autoattack(
                model, images[some], labels[some], before, resolution, threat, attacks["seed"], device
            )
            counts = {"test_images": count, "clean": int(found[0.0][some].sum()), "pgd": int(before.sum())}
            yield {**shared, "attack": "autoattack", "epsilon": epsilon, **counts, "right": int(after.sum())}
        shares = ", ".join(f"{255 * epsilon:.3g}/255 {right.float().mean():.3f}" for epsilon, right in found.items())
        logger.info("seed %d: right at %s", seed, shares)
