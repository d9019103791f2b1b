"""Training source networks, naturally or adversarially (paper, section 3, Eq. 2)."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional

from advtransfer.attacks import pgd
from advtransfer.augmentation import augment, to_unit
from advtransfer.datasets import Dataset
from advtransfer.models import IMAGENET_MEAN, IMAGENET_STD, ImageClassifier, build
from advtransfer.randomness import generator_for
from advtransfer.threats import threat_from


def train_source(
    dataset: Dataset, settings: Mapping[str, Any], device: torch.device, log: Callable[[str], None]
) -> tuple[ImageClassifier, dict[str, Any], list[dict[str, float]]]:
    """Train one source network; return it (eval mode, on `device`), its artefact's metadata, and a row per epoch.

    settings: a `sources:` entry of kind `train`: layers, width, stem, resolution, seed, threat ({norm, epsilon} or
    null for natural training), attack_steps, epochs, batch_size, peak_learning_rate, momentum, weight_decay.
    With a threat, every batch is replaced by its PGD images of the current network (random start, step size
    2.5 epsilon / steps, network in eval mode while attacked). The learning rate rises linearly to its peak over the
    first fifth of all steps and falls linearly to zero.
    Raises FloatingPointError where the loss is not finite.
    """
    metadata = {
        "architecture": "resnet",
        "layers": list(settings["layers"]),
        "width": settings["width"],
        "stem": settings["stem"],
        "classes": len(dataset.class_names),
        "resolution": settings["resolution"],
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "threat": settings["threat"],
    }
    seed, batch_size, epochs = settings["seed"], settings["batch_size"], settings["epochs"]
    model = build(metadata)
    model.network.initialise(generator_for(seed, "initialisation"))
    model = model.to(device, memory_format=torch.channels_last).train()
    order, augmentation, attack = (generator_for(seed, purpose) for purpose in ("order", "augmentation", "attack"))
    threat = threat_from(**settings["threat"]) if settings["threat"] else None

    images, labels = dataset.train_images.to(device), dataset.train_labels.to(device)
    optimiser = torch.optim.SGD(
        model.parameters(),
        lr=settings["peak_learning_rate"],
        momentum=settings["momentum"],
        weight_decay=settings["weight_decay"],
    )
    steps = epochs * -(-len(labels) // batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _triangle((step + 1) / steps, peak=0.2))

    rows = []
    for epoch in range(1, epochs + 1):
        start, total_loss, total_correct = time.perf_counter(), 0.0, 0
        for batch in torch.randperm(len(labels), generator=order).to(device).split(batch_size):
            x, y = to_unit(images[batch], settings["resolution"]), labels[batch]
            x = augment(x, "crop_flip", augmentation).contiguous(memory_format=torch.channels_last)
            if threat is not None:
                x = pgd(model, x, y, threat, settings["attack_steps"], random_start=True, generator=attack)
            logits = model(x)
            loss = functional.cross_entropy(logits, y)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            total_loss += float(loss.detach()) * len(y)
            total_correct += int((logits.detach().argmax(1) == y).sum())
        row = {
            "epoch": epoch,
            "train_loss_nats": total_loss / len(labels),
            "train_accuracy": total_correct / len(labels),
            "seconds": time.perf_counter() - start,
        }
        if not torch.isfinite(torch.tensor(row["train_loss_nats"])):
            raise FloatingPointError(f"training diverged in epoch {epoch}: the loss is {row['train_loss_nats']}")
        rows.append(row)
        log(
            f"epoch {epoch}/{epochs}: loss {row['train_loss_nats']:.3f} nats, "
            f"accuracy {row['train_accuracy']:.3f}, {row['seconds']:.0f} s"
        )
    return model.eval(), metadata, rows


def _triangle(progress: float, peak: float) -> float:
    return progress / peak if progress < peak else max(0.0, (1 - progress) / (1 - peak))
