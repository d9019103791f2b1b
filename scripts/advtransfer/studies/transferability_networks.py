"""Adversarial transferability of networks on images: a source and a reference network of the target (Liang et al. 2021).

The measures are those of `transferability`, on attacks found by search in place of singular vectors: the attack on a network is the point
within epsilon at which PGD finds its own output furthest from that of the clean image. S is the source with the head that it was trained
with, T the reference network, trained from scratch on the target. Beside them stand the transfer rates of attacks on the cross-entropy,
which need a network that knows the target's classes: there the source is its linear probe.
"""

import logging
from typing import Any, NamedTuple

import torch

from advtransfer.activations import large_batches
from advtransfer.adversarial import GRADIENT_SHARE, random_starts
from advtransfer.attacks import evaluating, pgd
from advtransfer.augmentation import to_unit
from advtransfer.memory import Batches
from advtransfer.models import ImageClassifier
from advtransfer.studies import transferability as measures
from advtransfer.threats import Threat

logger = logging.getLogger(__name__)


class Trio(NamedTuple):
    """The networks of one seed. Outputs are their logits, of float32 arithmetic."""

    # ASSUME: the output of a source is what it was trained to say, in its own classes, as in the authors' image_exp; the paper's
    # measures compare any two outputs, whatever their dimensions. A probe's logits would carry the target into the measure.
    source: ImageClassifier
    probe: ImageClassifier
    reference: ImageClassifier


class Seen(NamedTuple):
    """What one seed's attacks did to the images that the reference classifies right; n of them.

    Changes of outputs, float64: source_own [n, d_S] and source_target [n, d_T] of S and T at the attack on S; target_own [n, d_T] and
    target_source [n, d_S] of T and S at the attack on T. Classes at the attacks on the cross-entropy, int64 [n]: of the probe at the
    probe's own attack (probe_own) and at the reference's, of the reference at both; probe_clean of the images as they are.
    """

    source_own: torch.Tensor
    source_target: torch.Tensor
    target_own: torch.Tensor
    target_source: torch.Tensor
    probe_clean: torch.Tensor
    probe_own: torch.Tensor
    probe_transferred: torch.Tensor
    reference_own: torch.Tensor
    reference_transferred: torch.Tensor


def radius_at(steps: list[list[float]], resolution: int) -> float:
    """The radius for networks of this resolution; steps: [[up to this resolution, radius], ...]."""
    return next(radius for limit, radius in steps if resolution <= limit)


def output_attack(
    model: ImageClassifier, images: torch.Tensor, threat: Threat, steps: int, start: torch.Tensor
) -> torch.Tensor:
    """The points [n, 3, h, w] within `threat` of images in [0, 1] at which PGD finds the logits furthest (L2) from the images' own.

    start: perturbations [n, 3, h, w] to begin at: at the image itself the gradient of the distance is 0. Of each image the iterate of
    largest distance is kept.
    """
    with evaluating(model):
        with torch.no_grad():
            clean = model(images)
        unused = torch.zeros(len(images), dtype=torch.int64, device=images.device)

        def distance(others: torch.Tensor) -> torch.Tensor:
            return (model(others) - clean).square().sum(1)

        return pgd(model, images, unused, threat, steps, keep_best=True, objective=distance, start=start)


def attack(
    networks: Trio,
    images: torch.Tensor,
    labels: torch.Tensor,
    image_ids: torch.Tensor,
    resolution: int,
    threat: Threat,
    steps: int,
    seed: int,
    device: torch.device,
) -> tuple[torch.Tensor, Seen]:
    """Which images [m] the reference classifies right, bool, and what the attacks did to these.

    images: uint8 [m, c, h, w], labels int64 [m], ids in the data set [m]. All attacks of an image, on either network and on either
    objective, begin at the same random point, which `seed` and the image's id determine.
    """
    for model in networks:
        model.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    batches = Batches(max(1, large_batches(device, resolution).size // GRADIENT_SHARE))

    def unit(batch: torch.Tensor) -> torch.Tensor:
        return to_unit(batch.to(device), resolution).contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def classify(batch: slice) -> torch.Tensor:
        return networks.reference(unit(images[batch])).argmax(1).cpu()

    classes = [part for _, part in batches.map(classify, len(images))]
    right = torch.cat(classes) == labels
    kept, kept_labels, kept_ids = images[right], labels[right], image_ids[right]

    def compute(batch: slice) -> tuple[torch.Tensor, ...]:
        x, y = unit(kept[batch]), kept_labels[batch].to(device)
        start = random_starts(threat, x, kept_ids[batch].tolist(), "output change", 0, seed)
        on_source, on_target = (
            output_attack(model, x, threat, steps, start) for model in (networks.source, networks.reference)
        )
        loss_on_probe, loss_on_target = (
            pgd(model, x, y, threat, steps, keep_best=True, start=start)
            for model in (networks.probe, networks.reference)
        )
        with torch.no_grad():

            def change(model: ImageClassifier, at: torch.Tensor) -> torch.Tensor:
                return model(at).double() - model(x).double()

            found = (
                change(networks.source, on_source),
                change(networks.reference, on_source),
                change(networks.reference, on_target),
                change(networks.source, on_target),
                networks.probe(x).argmax(1),
                networks.probe(loss_on_probe).argmax(1),
                networks.probe(loss_on_target).argmax(1),
                networks.reference(loss_on_target).argmax(1),
                networks.reference(loss_on_probe).argmax(1),
            )
        return tuple(part.cpu() for part in found)

    parts = [part for _, part in batches.map(compute, len(kept))]
    if not parts:
        outputs = [model.network.fc.out_features for model in (networks.source, networks.reference)]
        of_source, of_target = (torch.zeros(0, count, dtype=torch.float64) for count in outputs)
        none = torch.zeros(0, dtype=torch.int64)
        return right, Seen(of_source, of_target, of_target, of_source, *[none] * 5)
    return right, Seen(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def summarise(seen: Seen, labels: torch.Tensor) -> dict[str, Any]:
    """The measures of one seed (columns of `columns.TRANSFERABILITY_ROWS`); labels int64 [n] of the images that the reference has right.

    alpha2 and the combined measure also squared, as the authors' tables have them. A transfer rate is the share of the images that the
    attacked-with network's attack makes the other one misclassify, among those that this other one has right: an image that the probe has wrong anyway is
    no success of the attack.
    """
    found: dict[str, Any] = {}
    for direction, attacked, transferred, own in (
        ("source_target", seen.source_own, seen.source_target, seen.target_own),
        ("target_source", seen.target_own, seen.target_source, seen.source_own),
    ):
        kept = measures.usable(attacked, transferred, own)
        alpha2 = float(measures.alpha2(attacked, transferred))
        combined = float(measures.combined(attacked, transferred, own))
        found |= {
            f"alpha1_{direction}": float(measures.alpha1(transferred, own).nanmean()),
            f"alpha2_{direction}": alpha2,
            f"alpha2_squared_{direction}": alpha2**2,
            f"combined_{direction}": combined,
            f"combined_squared_{direction}": combined**2,
            f"left_out_{direction}": len(kept) - int(kept.sum()),
        }
    both = seen.probe_clean == labels
    found |= {
        "transfer_rate_source_target": _share(seen.reference_transferred != labels),
        "transfer_rate_target_source": _share((seen.probe_transferred != labels)[both]),
        "own_rate_source": _share((seen.probe_own != labels)[both]),
        "own_rate_target": _share(seen.reference_own != labels),
        "reference_right": len(labels),
        "both_right": int(both.sum()),
    }
    return found


def _share(fooled: torch.Tensor) -> float:
    """NaN of no images."""
    return float(fooled.double().mean())


def measure(
    networks: Trio,
    images: torch.Tensor,
    labels: torch.Tensor,
    image_ids: torch.Tensor,
    resolution: int,
    threat: Threat,
    steps: int,
    seed: int,
    device: torch.device,
) -> dict[str, Any]:
    """One seed of a source and a target: attack, and summarise. Arguments as those of `attack`."""
    right, seen = attack(networks, images, labels, image_ids, resolution, threat, steps, seed, device)
    found = summarise(seen, labels[right])
    logger.info(
        "seed %d: %d of %d images right by the reference; alpha1 %.3f and %.3f, transfer rates %.3f and %.3f",
        seed,
        found["reference_right"],
        len(labels),
        found["alpha1_source_target"],
        found["alpha1_target_source"],
        found["transfer_rate_source_target"],
        found["transfer_rate_target_source"],
    )
    return found
