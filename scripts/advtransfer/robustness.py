"""How robust a source is: its accuracy on test images of its own data set, clean and attacked (paper, section 4, Table 3)."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from advtransfer.attacks import autoattack, evaluating, pgd_restarts
from advtransfer.augmentation import to_unit
from advtransfer.datasets import Dataset, draw_test_images
from advtransfer.errors import InputError
from advtransfer.models import ImageClassifier
from advtransfer.randomness import generator_for
from advtransfer.records import describe_attack
from advtransfer.threats import Threat, threat_from

logger = logging.getLogger(__name__)


def measure_accuracy(
    model: ImageClassifier,
    images: torch.Tensor,
    labels: torch.Tensor,
    resolution: int,
    threat: Threat | None = None,
    attack: str = "pgd",
    steps: int = 20,
    restarts: int = 1,
    seed: int = 0,
    batch_size: int | None = None,
) -> float:
    """The fraction of uint8 images [n, c, h, w] classified as their labels [n], clean or attacked within a threat.

    attack "pgd": the worst case over `restarts` runs of `steps` steps from random starts, which come from `seed` alone;
    "autoattack": the standard ensemble. batch_size: bounds memory; 500 images at 64x64 pixels or below, fewer above.
    """
    if batch_size is None:
        batch_size = max(1, min(500, 500 * 64**2 // resolution**2))
    generator = generator_for(seed, "evaluation attack")
    correct = 0
    with evaluating(model):
        for x, y in zip(images.split(batch_size), labels.split(batch_size), strict=True):
            x = to_unit(x, resolution).contiguous(memory_format=torch.channels_last)
            if threat is not None and attack == "pgd":
                x = pgd_restarts(model, x, y, threat, steps, restarts, generator)
            elif threat is not None:
                x = autoattack(model, x, y, threat, model.network.fc.out_features, seed)
            with torch.no_grad():
                correct += int((model(x).argmax(1) == y).sum())
    return correct / len(labels)


def measure(
    model: ImageClassifier,
    dataset: Dataset,
    resolution: int,
    settings: Mapping[str, Any],
    device: torch.device,
    name: str,
) -> Iterator[dict[str, Any]]:
    """Rows (`config.columns.ROBUSTNESS`): clean accuracy on all test images, then under each threat on a random subset of them.

    settings: `robustness:` of config.yaml, resolved: threats [{norm, epsilon}], attack, steps, restarts, images, seed.
    Raises InputError where the test images have labels that the network has no output for.
    """
    classes = model.network.fc.out_features
    if len(dataset.class_names) != classes:
        raise InputError(
            f"config: robustness.test_data: source '{name}' tells {classes} classes apart, its test data has "
            f"{len(dataset.class_names)}. Give the test images of the data set that the source was trained on."
        )
    chosen = draw_test_images(dataset, settings["images"], settings["seed"])
    attack = {key: settings[key] for key in ("attack", "steps", "restarts")}
    for threat in [None, *settings["threats"]]:
        ids = chosen if threat else slice(None)
        images, labels = dataset.test_images[ids].to(device), dataset.test_labels[ids].to(device)
        accuracy = measure_accuracy(
            model,
            images,
            labels,
            resolution,
            threat_from(**threat) if threat else None,
            seed=settings["seed"],
            **attack,
        )
        row = {
            "source": name,
            "norm": threat["norm"] if threat else "",
            "epsilon": threat["epsilon"] if threat else 0.0,
            "accuracy": accuracy,
            "images": len(labels),
            "attack": describe_attack(**attack) if threat else "none",
            "origin": "measured",
        }
        logger.info("%(attack)s %(norm)s %(epsilon).4g: accuracy %(accuracy).4f of %(images)d", row)
        yield row
