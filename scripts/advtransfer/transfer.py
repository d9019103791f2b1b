"""The fine-tuning engine: one source, one target, one number of blocks, one subset for each seed (paper, section 4)."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional

from advtransfer.activations import ActivationCache, Inputs
from advtransfer.augmentation import to_unit
from advtransfer.datasets import Dataset
from advtransfer.errors import InputError
from advtransfer.models import ImageClassifier, load_source, unfreeze_last
from advtransfer.optimisation import SGD
from advtransfer.randomness import generator_for

logger = logging.getLogger(__name__)

# Images that batch-norm statistics are estimated from at once; more are averaged over equal batches.
STATISTICS_BATCH = 500


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
        frozen, _ = model.network.split_blocks(blocks)
        for module in [model.network.bn1, *frozen]:
            module.eval()


@torch.no_grad()
def estimate_batch_norm(model: ImageClassifier, images: torch.Tensor, resolution: int) -> None:
    """Put the statistics of uint8 images [n, c, h, w], n >= 2, in place of every batch norm's running statistics.

    They are the mean over equal batches of at most STATISTICS_BATCH images, passed through once while all layers
    normalise by batch statistics: where "adapt" ends up after many epochs, reached before the first.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over batches
    model.train()
    for batch in images.tensor_split(-(-len(images) // STATISTICS_BATCH)):
        model(to_unit(batch.to(model.mean.device), resolution).contiguous(memory_format=torch.channels_last))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.eval()


@dataclass
class Run:
    """What one seed trains: a network with a new head, on training images with labels [n], tried on test images."""

    seed: int
    model: ImageClassifier
    train: Inputs
    labels: torch.Tensor
    test: Inputs
    augmentation: torch.Generator


class Learner(Protocol):
    """What the training loop trains, for one seed or several at once: its parameters, and the loss that it minimises."""

    parameters: list[nn.Parameter]

    def set_mode(self, training: bool) -> None:
        """Switch between training and evaluation."""

    def training_losses(self, rows: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Each seed's training loss of a batch [seeds], in nats, with its gradient; and the logits [seeds, b, classes].

        rows [seeds, b]: of the runs' training inputs. labels [seeds, b]. What is computed here has the protocol's precision.
        """

    def test_logits(self, rows: slice) -> torch.Tensor:
        """Logits [seeds, b, classes] of test images."""


def mean_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy [seeds], in nats, of logits [seeds, b, classes] and labels [seeds, b]."""
    losses = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return losses.view(labels.shape).mean(1)


class OneNetwork:
    """A network with some trained blocks, by cross-entropy: the plain case. See `Learner`.

    A loss with a further term is a subclass's `training_losses`. It has the network, the inputs and the generator of their
    augmentation in `run`; rows modulo the number of images are positions in the seed's subset.
    """

    def __init__(self, run: Run, blocks: int, batch_norm: str):
        self.run, self.blocks, self.batch_norm = run, blocks, batch_norm
        self.parameters = [parameter for parameter in run.model.parameters() if parameter.requires_grad]

    def set_mode(self, training: bool) -> None:
        """Switch between training and evaluation."""
        if training:
            set_training_mode(self.run.model, self.blocks, self.batch_norm)
        else:
            self.run.model.eval()

    def training_losses(self, rows: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean cross-entropy of a batch [1], in nats; and its logits [1, b, classes]."""
        logits = self.run.train.logits(self.run.model, rows[0], self.run.augmentation)[None].float()
        return mean_cross_entropy(logits, labels), logits

    def test_logits(self, rows: slice) -> torch.Tensor:
        """Logits [1, b, classes] of test images."""
        return self.run.test.logits(self.run.model, rows, None)[None]


class Heads:
    """The heads of several seeds on cached features, nothing else trained: one batched matrix product is a step of all."""

    def __init__(self, runs: Sequence[Run]):
        self.runs = runs
        heads = [run.model.network.fc for run in runs]
        with torch.no_grad():
            self.weights = torch.stack([head.weight for head in heads]).requires_grad_()  # [seeds, classes, p]
            self.biases = torch.stack([head.bias for head in heads]).requires_grad_()  # [seeds, classes]
        self.parameters = [self.weights, self.biases]
        for head, weight, bias in zip(heads, self.weights, self.biases, strict=True):
            head.weight.data, head.bias.data = weight.data, bias.data  # each network sees its head learn

    def set_mode(self, training: bool) -> None:
        """Nothing differs between training and evaluation."""

    def _logits(self, features: torch.Tensor) -> torch.Tensor:
        return torch.baddbmm(self.biases.unsqueeze(1), features, self.weights.transpose(1, 2))

    def training_losses(self, rows: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean cross-entropies of a batch of each seed [seeds], in nats; and the logits [seeds, b, classes]."""
        features = torch.stack([run.train.read(some) for run, some in zip(self.runs, rows, strict=True)])
        logits = self._logits(features).float()
        return mean_cross_entropy(logits, labels), logits

    def test_logits(self, rows: slice) -> torch.Tensor:
        """Logits [seeds, b, classes] of test images."""
        return self._logits(torch.stack([run.test.read(rows) for run in self.runs]))


class _Progress:
    """How far a job has come, counted in epochs of all its seeds."""

    def __init__(self, epochs: int):
        """epochs: of all seeds together."""
        self.epochs, self.finished = epochs, 0
        self.began = time.perf_counter()

    @property
    def done(self) -> float:
        """The share that has finished."""
        return self.finished / self.epochs

    @property
    def minutes_left(self) -> float:
        """About how long the rest takes, once the first epoch has finished: epochs take as long as they did on average."""
        return (time.perf_counter() - self.began) / 60 * (1 - self.done) / self.done


def fine_tune_seeds(
    source: str | Path,
    dataset: Dataset,
    subsets: Mapping[int, torch.Tensor],
    blocks: int,
    protocol: Mapping[str, Any],
    device: torch.device,
    learner: Callable[[Run, int, str], Learner] = OneNetwork,
) -> Iterator[tuple[int, ImageClassifier, list[dict[str, float]]]]:
    """Fine-tune a source once for each seed; yield the seed, the network, and a row for each evaluated epoch.

    source: a source artefact. subsets: {seed: image ids, int64 [n], of the training images}. blocks: bottleneck
    blocks trained besides the head. protocol: epochs, evaluated_epochs, batch_size, learning_rate, momentum,
    weight_decay, batch_norm, head_init, augmentation, resolution; and where they are asked for views (augmented views of each
    training image that are made once; each epoch picks one at random) and precision ("bf16": products in bfloat16).
    learner: what trains a seed's network and with which loss, made of the run, `blocks` and the protocol's batch_norm.
    A seed determines the head, the order of images and their augmentation, whatever other seeds run beside it; on a CPU with
    the same number of threads it determines every bit of the result.

    Rows: epoch, test_accuracy and test_loss (whole test set, after the epoch; cross-entropy), train_accuracy and train_loss (the
    learner's; means over the epoch's images while they train), seconds (since the run began; seeds that train together share them
    equally). Accuracies are fractions, losses nats.
    Raises FloatingPointError that names seed and epoch where a loss is not finite, InputError where a batch would
    hold a single image that batch norm cannot normalise, or nothing has room for augmented views.
    """
    progress = _Progress(len(subsets) * protocol["epochs"])
    original = load_source(source).to(device, memory_format=torch.channels_last)
    cache, heads = None, []
    for seed, image_ids in subsets.items():
        run = train = None  # what the last seed had in the cache goes before this one's comes
        model = copy.deepcopy(original)
        images = dataset.train_images[image_ids]
        if protocol["batch_norm"] == "target":
            estimate_batch_norm(model, images, protocol["resolution"])
        with _arithmetic(device, protocol):
            if cache is None or protocol["batch_norm"] == "target":
                # Seeds see the test set through the same frozen layers, unless each has estimated its own statistics.
                test = None
                cache = ActivationCache(model if protocol["batch_norm"] == "target" else original, blocks, protocol)
                test = cache.inputs(dataset.test_images)
            augmentation = generator_for(seed, "augmentation")
            train = cache.inputs(images, augmentation)
        new_head(model, len(dataset.class_names), blocks, protocol["head_init"], seed)
        run = Run(seed, model, train, dataset.train_labels[image_ids].to(device), test, augmentation)
        if learner is OneNetwork and blocks == 0 and not train.live and not test.live:
            heads.append(run)  # the same, all seeds at once
        else:
            # The learner has no name here: it would hold on to this seed's activations.
            rows = _fine_tune([run], learner(run, blocks, protocol["batch_norm"]), dataset, protocol, progress)[0]
            yield seed, model, rows
    if heads:
        for run, rows in zip(heads, _fine_tune(heads, Heads(heads), dataset, protocol, progress), strict=True):
            yield run.seed, run.model, rows


def _arithmetic(device: torch.device, protocol: Mapping[str, Any]) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=protocol.get("precision") == "bf16")


def _fine_tune(
    runs: Sequence[Run],
    learner: Learner,
    dataset: Dataset,
    protocol: Mapping[str, Any],
    progress: _Progress,
) -> list[list[dict[str, float]]]:
    """Train what `learner` holds for all runs at once, in place; return the rows of each. See `fine_tune_seeds`."""
    labels = torch.stack([run.labels for run in runs])
    (seeds, images), batch_size, epochs = labels.shape, protocol["batch_size"], protocol["epochs"]
    if images % batch_size == 1 and protocol["resolution"] <= 32:
        raise InputError(
            f"{images} images in batches of {batch_size}: the last batch holds one image, which batch norm cannot "
            f"normalise at {protocol['resolution']}x{protocol['resolution']} pixels. Change 'images' or 'batch_size' by one."
        )
    device, test_labels = labels.device, dataset.test_labels.to(labels.device)
    orders = [generator_for(run.seed, "order") for run in runs]
    # Weight decay reaches every trainable parameter, batch norm and biases included (the authors' run).
    optimiser = SGD(learner.parameters, protocol["momentum"], protocol["weight_decay"])
    evaluated = set(protocol["evaluated_epochs"])

    start, table = time.perf_counter(), [[] for _ in runs]
    for epoch in range(1, epochs + 1):
        learning_rate = learning_rate_at(epoch, epochs, protocol["learning_rate"])
        learner.set_mode(training=True)
        # Sums stay on the device: reading them once an epoch costs one synchronisation, not one a step.
        loss_sum = torch.zeros(seeds, device=device)
        correct = torch.zeros(seeds, dtype=torch.int64, device=device)
        order = torch.stack([torch.randperm(images, generator=generator) for generator in orders])
        rows = torch.stack([run.train.pick(some, run.augmentation) for run, some in zip(runs, order, strict=True)])
        batches = zip(order.to(device).split(batch_size, 1), rows.to(device).split(batch_size, 1), strict=True)
        for batch, batch_rows in batches:
            truth = labels.gather(1, batch)
            with _arithmetic(device, protocol):
                losses, logits = learner.training_losses(batch_rows, truth)
            optimiser.clear_gradients()
            losses.sum().backward()
            optimiser.step(learning_rate)
            loss_sum += losses.detach() * truth.shape[1]
            correct += (logits.detach().argmax(2) == truth).sum(1)
        progress.finished += seeds
        train_loss = loss_sum.double() / images
        _check_finite(train_loss, runs, epoch, "training")
        if epoch in evaluated:
            learner.set_mode(training=False)
            with _arithmetic(device, protocol):
                test_accuracy, test_loss = evaluate(learner, test_labels, runs)
            _check_finite(test_loss, runs, epoch, "test")
            seconds = (time.perf_counter() - start) / seeds
            for index, run in enumerate(runs):
                row = {
                    "epoch": epoch,
                    "test_accuracy": float(test_accuracy[index]),
                    "train_accuracy": int(correct[index]) / images,
                    "test_loss": float(test_loss[index]),
                    "train_loss": float(train_loss[index]),
                    "seconds": seconds,
                }
                table[index].append(row)
                logger.info(
                    "seed %d epoch %d/%d: train loss %.3f, test accuracy %.4f, %.0f images/s; "
                    "%.0f%% done, about %.1f min left",
                    run.seed,
                    epoch,
                    epochs,
                    row["train_loss"],
                    row["test_accuracy"],
                    epoch * images / seconds,
                    100 * progress.done,
                    progress.minutes_left,
                )
    return table


def _check_finite(losses: torch.Tensor, runs: Sequence[Run], epoch: int, kind: str) -> None:
    for loss, run in zip(losses.tolist(), runs, strict=True):
        if not math.isfinite(loss):
            raise FloatingPointError(f"seed {run.seed} diverged in epoch {epoch}: the {kind} loss is {loss}")


@torch.no_grad()
def evaluate(learner: Learner, labels: torch.Tensor, runs: Sequence[Run]) -> tuple[torch.Tensor, torch.Tensor]:
    """Accuracy (fraction) and mean cross-entropy (nats) on test labels [n], both float64 [seeds], summed in float64."""
    correct = torch.zeros(len(runs), dtype=torch.float64, device=labels.device)
    loss_sum = torch.zeros_like(correct)
    for batch, logits in runs[0].test.cache.batches.map(learner.test_logits, len(labels)):
        truth = labels[batch].expand(len(runs), -1)
        correct += (logits.argmax(2) == truth).sum(1)
        losses = functional.cross_entropy(logits.double().flatten(0, 1), truth.flatten(), reduction="none")
        loss_sum += losses.view(truth.shape).sum(1)
    return correct / len(labels), loss_sum / len(labels)
