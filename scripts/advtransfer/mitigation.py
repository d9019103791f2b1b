"""Discrepancy mitigation: fine-tuning that keeps the features of an image where an adversary would move them (Zhang et al., arXiv 2106.10989).

The loss of a batch of n images x with labels y is

    (1/n) sum_i [ cross-entropy(z(x_i), y_i) + beta (1/p) |f(x'_i) - f(x_i)|_2^2 ]

with z the logits, f the p penultimate features, and x' the image within Linf epsilon of x that gradient ascent finds where f is furthest from
f(x). The mean over features is the authors' code's (whose default, 500 over a batch of 128, is a beta of 3.9); with it a beta means the same
at every width. docs/nonrobustness.md has the other differences.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from advtransfer.activations import pass_block, pass_frozen
from advtransfer.adversarial import representation_distance
from advtransfer.attacks import evaluating, pgd
from advtransfer.models import ImageClassifier
from advtransfer.randomness import generator_for
from advtransfer.threats import Linf
from advtransfer.transfer import Learner, OneNetwork, Run, mean_cross_entropy

# All steps together, in radii: from any start of the ball an image can come near each of its corners, and turn.
REACH = 1.25


@contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Let batch norm that is in training mode normalise by each batch, and leave its running statistics as they are."""
    layers = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d) and module.training]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        # Without a momentum, `activations.normalise` leaves it to the layer, which looks at the first.
        layer.track_running_stats, layer.momentum = False, None
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.track_running_stats, layer.momentum = True, momentum


def features(model: ImageClassifier, blocks: int, images: torch.Tensor) -> torch.Tensor:
    """Penultimate features [n, p] of images [n, 3, h, w] in [0, 1], with a graph from the last `blocks` blocks on; as training passes them."""
    x = pass_frozen(model, blocks, images)
    for block in model.network.split_blocks(blocks)[1]:
        x = pass_block(block, x)
    return model.network.pool(x) if blocks else x


def most_discrepant(
    model: ImageClassifier, images: torch.Tensor, epsilon: float, steps: int, generator: torch.Generator
) -> torch.Tensor:
    """Images [n, 3, h, w] within Linf epsilon of `images` at which the features have been driven away, the model in eval mode.

    `steps` sign steps of REACH epsilon / steps from a random point of the ball, and the last iterate.
    """
    images = images.contiguous(memory_format=torch.channels_last)
    with evaluating(model):
        raised = representation_distance(model, images)
        unused = torch.empty(len(images), dtype=torch.int64)  # labels: the objective needs none
        step_size = REACH * epsilon / steps
        return pgd(model, images, unused, Linf(epsilon), steps, step_size, True, generator=generator, objective=raised)


class Mitigated(OneNetwork):
    """A network with some trained blocks, by cross-entropy and the discrepancy of its features. See `transfer.Learner`.

    Heads, order and augmentation of a seed are those of plain fine-tuning: the adversary has a random stream of its own. Running statistics
    see clean images only, as in plain fine-tuning.
    """

    def __init__(self, run: Run, blocks: int, batch_norm: str, beta: float, epsilon: float, steps: int):
        """beta: weight of the discrepancy, nats per squared unit of a feature. epsilon: Linf radius, pixel units. steps: of the adversary."""
        super().__init__(run, blocks, batch_norm)
        self.beta, self.epsilon, self.steps = beta, epsilon, steps
        self.adversary = generator_for(run.seed, "mitigation")

    def training_losses(self, rows: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean cross-entropy plus beta times the mean squared distance, over images and features, of a batch [1], in nats; and its logits.

        Logits [1, b, classes]. Both ends of the distance carry a gradient. Raises ValueError where the training inputs are cached activations.
        """
        model = self.run.model
        images = self.run.train.images(rows[0], self.run.augmentation)
        others = most_discrepant(model, images, self.epsilon, self.steps, self.adversary)
        found = features(model, self.blocks, images)
        logits = model.network.fc(found)[None].float()
        # ASSUME: x' too is normalised by statistics of its batch, where the image's are, and leaves no trace in the running ones; the authors'
        # code lets both update them.
        with statistics_kept(model):
            moved = features(model, self.blocks, others)
        discrepancy = (moved.float() - found.float()).square().mean()
        return mean_cross_entropy(logits, labels) + self.beta * discrepancy, logits


def learner_of(protocol: Mapping[str, Any]) -> Callable[[Run, int, str], Learner]:
    """What trains by a resolved protocol (see `config.mitigation`): `Mitigated` where it asks for mitigation, else the plain learner."""
    return partial(Mitigated, **protocol["mitigation"]) if "mitigation" in protocol else OneNetwork
