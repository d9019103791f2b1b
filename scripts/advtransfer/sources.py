"""Training source networks, naturally or adversarially (paper, section 3, Eq. 2), from where an earlier try stopped."""

import glob
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from advtransfer.artefacts import load_tensors, save_tensors
from advtransfer.attacks import pgd
from advtransfer.augmentation import augment, to_unit
from advtransfer.datasets import Dataset
from advtransfer.errors import InputError
from advtransfer.models import IMAGENET_MEAN, IMAGENET_STD, ImageClassifier, build
from advtransfer.randomness import generator_for
from advtransfer.threats import threat_from

logger = logging.getLogger(__name__)

# Settings of a source that its training does not depend on: another evaluation need not cost days of training.
AFTER_TRAINING = ("evaluation", "stored_dtype")


def train_source(
    dataset: Dataset,
    settings: Mapping[str, Any],
    device: torch.device,
    checkpoint: str | Path,
    provenance: Mapping[str, Any],
) -> tuple[ImageClassifier, dict[str, Any], list[dict[str, float]]]:
    """Train one source network; return it (eval mode, on `device`), its artefact's metadata, and a row per epoch.

    settings: a `sources:` entry of kind `train`: layers, width, stem, resolution, seed, threat ({norm, epsilon} or
    null for natural training), attack_steps, epochs, batch_size, peak_learning_rate, momentum, weight_decay, and, if given,
    precision ("bf16": matrix products and convolutions of training and of its attack in bfloat16; weights stay float32) and
    augmentation (see `augmentation.augment`; "crop_flip" by default).
    With a threat, every batch is replaced by its PGD images of the current network (random start, step size
    2.5 epsilon / steps, network in eval mode while attacked). The learning rate rises linearly to its peak over the
    first fifth of all steps and falls linearly to zero.

    checkpoint: a file that gets the whole state of training after each epoch. If one of the same training is there, it is
    taken up; one of another training, or a damaged one, is left out and overwritten. On a CPU the weights are then those of
    a training that was never interrupted, bit for bit. It is left in place at the end: `remove_checkpoint` once the network
    is stored. provenance: JSON-compatible; what else the weights depend on, such as hashes of the code and of the data.
    Trainings are the same if these, the settings but for AFTER_TRAINING, the device's type and the CPU threads are.

    Rows hold epoch (from 1), train_loss_nats, train_accuracy (a fraction), seconds (of the try that ended the epoch) and
    resumed: whether the epoch was the first after a checkpoint was taken up.
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
    generators = {purpose: generator_for(seed, purpose) for purpose in ("order", "augmentation", "attack")}
    threat = threat_from(**settings["threat"]) if settings["threat"] else None
    augmentation = settings.get("augmentation", "crop_flip")

    images, labels = dataset.train_images.to(device), dataset.train_labels.to(device)
    optimiser = torch.optim.SGD(
        model.parameters(),
        lr=settings["peak_learning_rate"],
        momentum=settings["momentum"],
        weight_decay=settings["weight_decay"],
    )
    arithmetic = torch.autocast(device.type, torch.bfloat16, enabled=settings.get("precision") == "bf16")
    identity = {
        "settings": {key: value for key, value in settings.items() if key not in AFTER_TRAINING},
        **provenance,
        "device": device.type,
        "threads": torch.get_num_threads(),
    }
    rows = _take_up(checkpoint, identity, model, optimiser, generators)
    taken_up = len(rows)
    if rows:
        logger.info("%s: taken up after epoch %d of %d", checkpoint, taken_up, epochs)

    batches = -(-len(labels) // batch_size)
    step, steps = taken_up * batches, epochs * batches
    for epoch in range(taken_up + 1, epochs + 1):
        start, total_loss, total_correct = time.perf_counter(), 0.0, 0
        for batch in torch.randperm(len(labels), generator=generators["order"]).to(device).split(batch_size):
            step += 1
            for group in optimiser.param_groups:
                group["lr"] = settings["peak_learning_rate"] * _triangle(step / steps, peak=0.2)
            x, y = to_unit(images[batch], settings["resolution"]), labels[batch]
            x = augment(x, augmentation, generators["augmentation"]).contiguous(memory_format=torch.channels_last)
            if threat is not None:
                attack_steps, generator = settings["attack_steps"], generators["attack"]
                with arithmetic:
                    x = pgd(model, x, y, threat, attack_steps, random_start=True, generator=generator)
            with arithmetic:
                logits = model(x)
                loss = functional.cross_entropy(logits, y)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            total_loss += float(loss.detach()) * len(y)
            total_correct += int((logits.detach().argmax(1) == y).sum())
        row = {
            "epoch": epoch,
            "train_loss_nats": total_loss / len(labels),
            "train_accuracy": total_correct / len(labels),
            "seconds": time.perf_counter() - start,
            "resumed": 0 < taken_up == epoch - 1,
        }
        if not torch.isfinite(torch.tensor(row["train_loss_nats"])):
            raise FloatingPointError(f"training diverged in epoch {epoch}: the loss is {row['train_loss_nats']}")
        rows.append(row)
        _save(checkpoint, identity, model, optimiser, generators, rows)
        logger.info(
            "epoch %d/%d: loss %.3f nats, accuracy %.3f, %.0f s",
            epoch,
            epochs,
            row["train_loss_nats"],
            row["train_accuracy"],
            row["seconds"],
        )
    return model.eval(), metadata, rows


def remove_checkpoint(checkpoint: str | Path) -> None:
    """Remove a training's checkpoint, and what was left where a process was killed while it wrote one."""
    checkpoint = Path(checkpoint)
    checkpoint.unlink(missing_ok=True)
    for part in checkpoint.parent.glob(f".{glob.escape(checkpoint.name)}.*.part"):
        part.unlink(missing_ok=True)


def _triangle(progress: float, peak: float) -> float:
    return progress / peak if progress < peak else max(0.0, (1 - progress) / (1 - peak))


def _save(
    checkpoint: str | Path,
    identity: Mapping[str, Any],
    model: ImageClassifier,
    optimiser: torch.optim.SGD,
    generators: Mapping[str, torch.Generator],
    rows: list[dict[str, float]],
) -> None:
    tensors = {f"weights.{name}": tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        # Absent where the momentum is zero.
        if "momentum_buffer" in optimiser.state[parameter]:
            tensors[f"momentum.{name}"] = optimiser.state[parameter]["momentum_buffer"]
    tensors |= {f"generators.{purpose}": generator.get_state() for purpose, generator in generators.items()}
    save_tensors(checkpoint, tensors, {"identity": identity, "rows": rows})


def _take_up(
    checkpoint: str | Path,
    identity: Mapping[str, Any],
    model: ImageClassifier,
    optimiser: torch.optim.SGD,
    generators: Mapping[str, torch.Generator],
) -> list[dict[str, float]]:
    """Put back the state that `_save` wrote, if it is of this identity; return its rows, none where nothing is taken up."""
    if not Path(checkpoint).is_file():
        return []
    try:
        tensors, metadata = load_tensors(checkpoint)
    except InputError:
        logger.warning("%s: left out, the checkpoint is damaged. Training begins anew.", checkpoint)
        return []
    found = metadata.get("identity", {})
    differing = [key for key in sorted({*identity, *found}) if found.get(key) != identity.get(key)]
    if differing:
        logger.warning(
            "%s: left out, the checkpoint is of another training (other %s). Training begins anew.",
            checkpoint,
            ", ".join(differing),
        )
        return []
    model.load_state_dict({name: tensors[f"weights.{name}"] for name in model.state_dict()})
    for name, parameter in model.named_parameters():
        if f"momentum.{name}" in tensors:
            # In the parameter's own memory format, in which the buffer was before it was written.
            buffer = torch.empty_like(parameter, requires_grad=False).copy_(tensors[f"momentum.{name}"])
            optimiser.state[parameter]["momentum_buffer"] = buffer
    for purpose, generator in generators.items():
        generator.set_state(tensors[f"generators.{purpose}"])
    return metadata["rows"]
