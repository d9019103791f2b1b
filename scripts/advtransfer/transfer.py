"""The fine-tuning engine: one source, one target subset, one number of blocks, one seed (paper, section 4)."""

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from advtransfer.augmentation import augment, to_unit
from advtransfer.datasets import Dataset
from advtransfer.errors import InputError
from advtransfer.models import ImageClassifier, block_modules, load_source, unfreeze_last
from advtransfer.optimisation import SGD
from advtransfer.randomness import generator_for

# Images that one evaluation step classifies; it bounds memory and changes no result beyond rounding.
EVALUATION_BATCH = 500
# Activations of the frozen layers are kept for a whole job if those of training and test set fit into this.
CACHE_BYTES = 4 * 2**30


def learning_rate_at(epoch: int, epochs: int, learning_rate: float) -> float:
    """The learning rate of an epoch (counted from 1): divided by 10 after every epochs // 3 epochs.

    The authors' StepLR(epochs // 3): 100 epochs have drops after epochs 33, 66 and 99, not only at 1/3 and 2/3.
    """
    return learning_rate * 0.1 ** ((epoch - 1) // max(epochs // 3, 1))


def new_head(model: ImageClassifier, classes: int, blocks: int, head_init: str, seed: int) -> None:
    """Give a network a new head for `classes` classes; leave only it and the last `blocks` blocks trainable.

    head_init "standard_normal" draws the head's weights from N(0, 1) (the authors' choice: with unit-variance weights
    on 2,048 features the first loss is about 35 nats), "uniform" from +-1/sqrt(features); the bias is 0.
    """
    features, device = model.network.fc.in_features, model.network.fc.weight.device
    head = nn.Linear(features, classes)
    generator = generator_for(seed, "head")
    with torch.no_grad():
        if head_init == "standard_normal":
            head.weight.normal_(generator=generator)
        else:
            head.weight.uniform_(-(features**-0.5), features**-0.5, generator=generator)
        head.bias.zero_()
    model.network.fc = head.to(device)
    unfreeze_last(model.network, blocks)


def set_training_mode(model: ImageClassifier, blocks: int, batch_norm: str) -> None:
    """Switch to training: batch norm of unfrozen blocks uses batch statistics; that of frozen layers as asked for.

    batch_norm "adapt": frozen layers normalise by batch statistics too, and their running statistics drift to the
    target (what the authors ran). "frozen": they keep the source's running statistics. "target": they keep those that
    `estimate_batch_norm` gave them before training.
    """
    model.train()
    if batch_norm != "adapt":
        modules = block_modules(model.network)
        for module in [model.network.bn1, *modules[: len(modules) - blocks]]:
            module.eval()


@torch.no_grad()
def estimate_batch_norm(model: ImageClassifier, images: torch.Tensor, resolution: int) -> None:
    """Put the statistics of uint8 images [n, c, h, w], n >= 2, in place of every batch norm's running statistics.

    They are the mean over equal batches of at most EVALUATION_BATCH images, passed through once while all layers
    normalise by batch statistics: where "adapt" ends up after many epochs, reached before the first.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over batches
    model.train()
    for batch in images.tensor_split(-(-len(images) // EVALUATION_BATCH)):
        model(to_unit(batch.to(model.mean.device), resolution).contiguous(memory_format=torch.channels_last))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.eval()


class Views:
    """What a network sees of a data set: the images themselves, or once and for all the frozen layers' activations.

    Activations are kept where nothing below the trained blocks can change during a run (batch norm not adapting, no
    augmentation) and where they fit into CACHE_BYTES; both ways give the same results up to rounding.
    """

    def __init__(self, model: ImageClassifier, blocks: int, protocol: Mapping[str, Any], images: int):
        """model: its frozen layers must not change later. images: how many images there are to keep, test set included."""
        self.resolution = protocol["resolution"]
        self.augmentation = protocol["augmentation"]
        self.blocks = blocks
        self.device = model.mean.device
        network = model.network
        modules = block_modules(network)
        frozen = modules[: len(modules) - blocks]
        self._trunk = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool, *frozen)
        self._model = model
        self.cached = protocol["batch_norm"] != "adapt" and self.augmentation == "none"
        if self.cached:
            one = self._activations(torch.zeros(1, 3, 1, 1, dtype=torch.uint8))
            self.cached = one.numel() * one.element_size() * images <= CACHE_BYTES

    def of(self, images: torch.Tensor) -> torch.Tensor:
        """What to keep of uint8 images [n, c, h, w]: themselves, or activations [n, c', h', w'], on the device."""
        if not self.cached:
            return images.to(self.device)
        return torch.cat([self._activations(batch) for batch in images.split(EVALUATION_BATCH)])

    @torch.no_grad()
    def _activations(self, images: torch.Tensor) -> torch.Tensor:
        self._model.eval()
        return self._trunk(self._model.normalise(self._to_network(images.to(self.device))))

    def _to_network(self, images: torch.Tensor) -> torch.Tensor:
        return to_unit(images, self.resolution).contiguous(memory_format=torch.channels_last)

    def forward_of(self, model: ImageClassifier) -> Callable[[torch.Tensor, torch.Generator | None], torch.Tensor]:
        """The function from a batch of what is kept to logits [n, classes] of a network that is being fine-tuned.

        Its second argument is the generator of the augmentation, None for no augmentation.
        """
        if self.cached:
            modules = block_modules(model.network)
            trained = modules[len(modules) - self.blocks :]
            tail = nn.Sequential(*trained, model.network.avgpool, nn.Flatten(1), model.network.fc)
            return lambda batch, generator: tail(batch)

        def forward(batch: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
            x = to_unit(batch, self.resolution)
            if generator is not None:
                x = augment(x, self.augmentation, generator)
            return model(x.contiguous(memory_format=torch.channels_last))

        return forward


def fine_tune_seeds(
    source: str | Path,
    dataset: Dataset,
    subsets: Mapping[int, torch.Tensor],
    blocks: int,
    protocol: Mapping[str, Any],
    device: torch.device,
    log: Callable[[str], None] = lambda line: None,
) -> Iterator[tuple[int, ImageClassifier, list[dict[str, float]]]]:
    """Fine-tune a source once for each seed; yield the seed, the network, and a row for each evaluated epoch.

    source: a source artefact. subsets: {seed: image ids, int64 [n], of the training images}. blocks: bottleneck
    blocks trained besides the head. protocol: epochs, evaluated_epochs, batch_size, learning_rate, momentum,
    weight_decay, batch_norm, head_init, augmentation, resolution. A seed determines the head, the order of images and
    their augmentation, whatever other seeds run beside it; on a CPU with the same number of threads it determines
    every bit of the result.

    Rows: epoch, test_accuracy and test_loss (whole test set, after the epoch), train_accuracy and train_loss (mean
    over the epoch's images while they train), seconds (since the run began). Accuracies are fractions, losses nats.
    Raises FloatingPointError that names seed and epoch where a loss is not finite, InputError where a batch would
    hold a single image that batch norm cannot normalise.
    """
    original = load_source(source).to(device, memory_format=torch.channels_last)
    test_labels = dataset.test_labels.to(device)
    views: Views | None = None
    for seed, image_ids in subsets.items():
        model = copy.deepcopy(original)
        images = dataset.train_images[image_ids]
        if protocol["batch_norm"] == "target":
            estimate_batch_norm(model, images, protocol["resolution"])
        if views is None or protocol["batch_norm"] == "target":
            # Seeds see the test set through the same frozen layers, unless each has estimated its own statistics.
            frozen = model if protocol["batch_norm"] == "target" else original
            views = Views(frozen, blocks, protocol, len(image_ids) + len(test_labels))
            test = views.of(dataset.test_images), test_labels
        new_head(model, len(dataset.class_names), blocks, protocol["head_init"], seed)
        train = views.of(images), dataset.train_labels[image_ids].to(device)
        yield seed, model, _fine_tune(model, views, train, test, blocks, protocol, seed, log)


def _fine_tune(
    model: ImageClassifier,
    views: Views,
    train: tuple[torch.Tensor, torch.Tensor],
    test: tuple[torch.Tensor, torch.Tensor],
    blocks: int,
    protocol: Mapping[str, Any],
    seed: int,
    log: Callable[[str], None],
) -> list[dict[str, float]]:
    """Train `model` in place and return its rows; see `fine_tune_seeds`."""
    (images, labels), batch_size, epochs = train, protocol["batch_size"], protocol["epochs"]
    if len(labels) % batch_size == 1 and views.resolution <= 32:
        raise InputError(
            f"{len(labels)} images in batches of {batch_size}: the last batch holds one image, which batch norm "
            f"cannot normalise at {views.resolution}x{views.resolution} pixels. Change 'images' or 'batch_size' by one."
        )
    order, augmentation = generator_for(seed, "order"), generator_for(seed, "augmentation")
    # Weight decay reaches every trainable parameter, batch norm and biases included (the authors' run).
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = SGD(trainable, protocol["momentum"], protocol["weight_decay"])
    evaluated = set(protocol["evaluated_epochs"])
    forward = views.forward_of(model)

    start, rows = time.perf_counter(), []
    for epoch in range(1, epochs + 1):
        learning_rate = learning_rate_at(epoch, epochs, protocol["learning_rate"])
        set_training_mode(model, blocks, protocol["batch_norm"])
        # Sums stay on the device: reading them once an epoch costs one synchronisation, not one a step.
        loss_sum = torch.zeros((), device=labels.device)
        correct = torch.zeros((), dtype=torch.int64, device=labels.device)
        for batch in torch.randperm(len(labels), generator=order).to(labels.device).split(batch_size):
            logits = forward(images[batch], augmentation)
            loss = functional.cross_entropy(logits, labels[batch])
            optimiser.clear_gradients()
            loss.backward()
            optimiser.step(learning_rate)
            loss_sum += loss.detach() * len(batch)
            correct += (logits.detach().argmax(1) == labels[batch]).sum()
        train_loss = float(loss_sum) / len(labels)
        if not math.isfinite(train_loss):
            raise FloatingPointError(f"seed {seed} diverged in epoch {epoch}: the training loss is {train_loss}")
        if epoch in evaluated:
            model.eval()
            test_accuracy, test_loss = evaluate(forward, *test)
            if not math.isfinite(test_loss):
                raise FloatingPointError(f"seed {seed} diverged in epoch {epoch}: the test loss is {test_loss}")
            rows.append(
                {
                    "epoch": epoch,
                    "test_accuracy": test_accuracy,
                    "train_accuracy": int(correct) / len(labels),
                    "test_loss": test_loss,
                    "train_loss": train_loss,
                    "seconds": time.perf_counter() - start,
                }
            )
            log(
                f"seed {seed} epoch {epoch}/{epochs}: train loss {train_loss:.3f}, test accuracy {test_accuracy:.4f}, "
                f"{epoch * len(labels) / rows[-1]['seconds']:.0f} images/s"
            )
    return rows


@torch.no_grad()
def evaluate(
    forward: Callable[[torch.Tensor, None], torch.Tensor], images: torch.Tensor, labels: torch.Tensor
) -> tuple[float, float]:
    """Accuracy (fraction) and mean cross-entropy (nats), summed in float64, of `forward(images, None)` on labels [n]."""
    correct, loss_sum = 0, 0.0
    for x, y in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        logits = forward(x, None)
        correct += int((logits.argmax(1) == y).sum())
        loss_sum += float(functional.cross_entropy(logits.double(), y, reduction="sum"))
    return correct / len(labels), loss_sum / len(labels)
