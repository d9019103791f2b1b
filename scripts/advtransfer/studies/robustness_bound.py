"""How far the representation bounds the robustness of a linear predictor on it (Nern, Raj, Georgi, Sharma 2022, arXiv 2208.03835).

A network is a head on its penultimate features: z(x) = W f(x) + b, with f(x) [p], W [k, p] and b [k]. Its adversarial sensitivity is

    s(x) = sup over |delta| <= epsilon of |f(x + delta) - f(x)|_2

Two statements tie the head's robustness to s alone, whatever W was trained on:

- the loss moves by at most D_y s(x), D_y = max over j of |W_j - W_y|_2 (`loss_bound`; their bound on the loss);
- where s(x) is smaller than the distance rho(x) of f(x) from the nearest decision boundary, the prediction cannot change
  (`boundary_distance`; their criterion for robust classification).

An attack finds displacements, not the supremum: the largest one found, `s_hat`, is a lower estimate of s. It certifies nothing, and both
statements are checked where they must hold: at every adversarial point that an attack found, with that point's own displacement.

All quantities are float64 (NumPy), of the float32 features that the network computed. Theirs and ours: docs/robustness_bound.md.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from advtransfer.adversarial import read_adversarial
from advtransfer.features import pass_images
from advtransfer.models import ImageClassifier
from advtransfer.threats import threat_from

logger = logging.getLogger(__name__)


# ------------------------------------------------------------------------------------------------------------ formulas


def logits_of(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """W f + b in float64, [n, k]: features [n, p], weight [k, p], bias [k] of any precision."""
    return features.astype(np.float64) @ weight.astype(np.float64).T + bias.astype(np.float64)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """log sum_j exp(z_j) - z_y in nats, [n]: logits [n, k], labels y [n]."""
    highest = logits.max(axis=1)
    sums = np.exp(logits - highest[:, None]).sum(axis=1)
    return np.log(sums) + highest - logits[np.arange(len(labels)), labels]


def displacement(features: np.ndarray, others: np.ndarray) -> np.ndarray:
    """|f(x') - f(x)|_2 of each image, [n], in the units of the features; both [n, p]."""
    return np.linalg.norm(others.astype(np.float64) - features.astype(np.float64), axis=1)


def row_distances(weight: np.ndarray) -> np.ndarray:
    """|W_i - W_j|_2 of all pairs of rows of the head, [k, k]."""
    weight = weight.astype(np.float64)
    # Row by row: all differences at once would take k^2 p numbers.
    return np.stack([np.linalg.norm(weight - row, axis=1) for row in weight])


def weight_distance(weight: np.ndarray) -> np.ndarray:
    """D_y = max_j |W_j - W_y|_2 of each class y, [k], nats per unit of the features.

    The authors' code averages it over classes, and also reports the spectral norm; here each image has its own label's.
    """
    return row_distances(weight).max(axis=1)


def loss_bound(weight: np.ndarray, labels: np.ndarray, sensitivity: np.ndarray) -> np.ndarray:
    """D_y s, the most by which the cross-entropy can move while features move by s; nats, [n].

    With p_j the softmax, the gradient of the loss in f is sum_j p_j (W_j - W_y), a mean of vectors of length at most D_y, at every f.
    """
    return weight_distance(weight)[labels] * sensitivity


def spectral_loss_bound(weight: np.ndarray, sensitivity: np.ndarray) -> np.ndarray:
    """sqrt(2) |W|_2 s, nats, [n]; |W|_2 the spectral norm. Looser than `loss_bound`: W_j - W_y is W^T (e_j - e_y)."""
    return np.sqrt(2) * np.linalg.norm(weight.astype(np.float64), 2) * sensitivity


def row_loss_bound(weight: np.ndarray, sensitivity: np.ndarray) -> np.ndarray:
    """2 max_i |W_i|_2 s, nats, [n]. Looser than `loss_bound`, by the triangle inequality."""
    return 2 * np.linalg.norm(weight.astype(np.float64), axis=1).max() * sensitivity


def squared_error_bound(
    errors: np.ndarray, errors_adv: np.ndarray, weight: np.ndarray, sensitivity: np.ndarray
) -> np.ndarray:
    """(|e| + |e'|) |W|_2 s, the most by which the squared error |z - t|^2, summed over outputs, can move; [n].

    errors, errors_adv: e = z(x) - t and e' = z(x') - t, [n, k], t the target values.
    """
    lengths = np.linalg.norm(errors, axis=1) + np.linalg.norm(errors_adv, axis=1)
    return lengths * np.linalg.norm(weight.astype(np.float64), 2) * sensitivity


def boundary_distance(logits: np.ndarray, weight: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """rho = min over j != c of (z_c - z_j) / |W_c - W_j|_2, [n], in the units of the features; classes c [n].

    For the predicted classes it is how far features have to move before the prediction can change. The margin is signed (the paper
    takes the absolute one): for a class that is not predicted rho is negative. Rows that are equal have a common boundary nowhere: +inf
    where z_c is larger (its bias is), else 0. With a single class it is +inf.
    """
    rows = np.arange(len(classes))
    margins = logits[rows, classes][:, None] - logits
    distances = row_distances(weight)[classes]
    apart = np.divide(margins, distances, out=np.where(margins > 0, np.inf, 0.0), where=distances > 0)
    apart[rows, classes] = np.inf
    return apart.min(axis=1)


def rounding(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """How far rounding may move a logit, a loss, or either side of the two statements, at these features; nats, [n].

    Of standard error analysis, in double precision with unit roundoff u = 2^-53. A sum of p products is off by at most p u times the sum
    of their sizes, which Cauchy and Schwarz bound by |f| |W_j|; with M = |f|_2 max_j |W_j|_2 + max_j |b_j|, a logit is off by (p + 1) u M,
    a loss by twice that and (k + 2 M + 4) u for exponentials, sum and logarithm, and D_y |f' - f| <= 2 (M + M') by (2 p + 8) u times
    itself. All of it is below 8 (p + k + 8) u (1 + M) for each of the two points.
    """
    classes, length = weight.shape
    size = np.linalg.norm(features.astype(np.float64), axis=1) * np.linalg.norm(weight.astype(np.float64), axis=1).max()
    unit = np.finfo(np.float64).eps / 2
    return 8 * (length + classes + 8) * unit * (1 + size + np.abs(bias.astype(np.float64)).max())


def criterion_met(
    logits: np.ndarray, weight: np.ndarray, classes: np.ndarray, sensitivity: np.ndarray, slack: np.ndarray | float = 0
) -> np.ndarray:
    """Whether s < rho, [n], bool: with s the sensitivity, and not a lower estimate of it, the prediction could not change.

    Compared as s |W_c - W_j| < z_c - z_j for all j != c, in logits. slack: what they must be apart for rounding, nats [n].
    """
    rows = np.arange(len(classes))
    margins = logits[rows, classes][:, None] - logits
    needed = row_distances(weight)[classes] * sensitivity[:, None] + np.broadcast_to(slack, len(classes))[:, None]
    met = needed < margins
    met[rows, classes] = True
    return met.all(axis=1)


# ---------------------------------------------------------------------------------------------------------- measurement


@dataclass
class Worst:
    """What is worst for each image over the adversarial points that were looked at, the image itself among them.

    features, logits, losses: of the images. slack: for rounding, nats. s_hat: the largest displacement, s_hat_representation that of the
    attacks on the representation only. loss: the highest. prediction: another class than the image's own if any point has one, that of
    highest loss. violated: whether a point's loss is further from the image's than its displacement allows.
    """

    weight: np.ndarray
    bias: np.ndarray
    labels: np.ndarray
    features: np.ndarray

    def __post_init__(self):
        self.logits = logits_of(self.features, self.weight, self.bias)
        self.losses = cross_entropy(self.logits, self.labels)
        self.classes = self.logits.argmax(axis=1)
        self.slack = rounding(self.features, self.weight, self.bias)
        self.s_hat = np.zeros(len(self.labels))
        self.s_hat_representation = np.zeros(len(self.labels))
        self.loss, self.prediction = self.losses.copy(), self.classes.copy()
        self.loss_of_flip = np.full(len(self.labels), -np.inf)
        self.violated = np.zeros(len(self.labels), dtype=bool)

    def look(self, features: np.ndarray, objective: str) -> None:
        """Take the features [n, p] of an adversarial point of each image into account."""
        logits = logits_of(features, self.weight, self.bias)
        losses, classes = cross_entropy(logits, self.labels), logits.argmax(axis=1)
        moved = displacement(self.features, features)
        slack = rounding(features, self.weight, self.bias)
        self.violated |= np.abs(losses - self.losses) > loss_bound(self.weight, self.labels, moved) + self.slack + slack
        self.slack = np.maximum(self.slack, slack)
        self.s_hat = np.maximum(self.s_hat, moved)
        if objective == "representation":
            self.s_hat_representation = np.maximum(self.s_hat_representation, moved)
        self.loss = np.maximum(self.loss, losses)
        flips = (classes != self.classes) & (losses > self.loss_of_flip)
        self.prediction = np.where(flips, classes, self.prediction)
        self.loss_of_flip = np.where(flips, losses, self.loss_of_flip)

    def rows(self) -> dict[str, np.ndarray]:
        """The columns that `columns.BOUND_ROWS` has of each image."""
        return {
            "label": self.labels,
            "prediction": self.classes,
            "prediction_adv": self.prediction,
            "loss": self.losses,
            "loss_adv": self.loss,
            "sensitivity_estimate": self.s_hat,
            "sensitivity_representation": self.s_hat_representation,
            "feature_norm": np.linalg.norm(self.features.astype(np.float64), axis=1),
            "boundary_distance": boundary_distance(self.logits, self.weight, self.classes),
            "weight_distance": weight_distance(self.weight)[self.labels],
            "met": criterion_met(self.logits, self.weight, self.classes, self.s_hat, 2 * self.slack),
            "flipped": self.prediction != self.classes,
            "violated": self.violated,
        }


def epsilons_at(steps: list[list[Any]], resolution: int) -> list[float]:
    """The radii for networks of this resolution, ascending; steps: [[up to this resolution, [radius, ...]], ...]."""
    return sorted(next(radii for limit, radii in steps if resolution <= limit))


def same_representation(model: ImageClassifier, other: ImageClassifier) -> bool:
    """Whether two networks of one architecture have the same penultimate features: all is equal but their heads."""
    mine, theirs = (
        {
            name: tensor
            for name, tensor in network.state_dict().items()
            if not name.startswith("fc.") and not name.endswith("num_batches_tracked")
        }
        for network in (model.network, other.network)
    )
    return mine.keys() == theirs.keys() and all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())


def measure(
    models: Iterator[tuple[int, ImageClassifier]],
    images: torch.Tensor,
    labels: torch.Tensor,
    image_ids: torch.Tensor,
    resolution: int,
    settings: Mapping[str, Any],
    device: torch.device,
) -> Iterator[dict[str, Any]]:
    """Attack networks and yield, for each seed and epsilon, columns of `columns.BOUND_ROWS`: a scalar, or [n] of the images.

    models: (seed, network), which come to the CPU in eval mode. images: uint8 [n, c, h, w], labels int64 [n], ids in the data set [n].
    settings: `robustness_bound:` of config.yaml, resolved: norm, epsilons, steps, restarts, seed.

    Both objectives attack every image from `restarts` random starts. Attacks on the representation need no head: networks that differ
    in nothing else (seeds of a linear probe on frozen features) share them. A point of a smaller ball lies in the larger ones too,
    so that every quantity is over all points up to its epsilon.
    """
    before, clean, found = None, None, {}
    for seed, model in models:
        model = model.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
        if before is None or not same_representation(before, model):
            clean = pass_images(model.features, images, resolution, device).numpy()
            found = {}
        before = model
        head = model.network.fc
        worst = Worst(head.weight.cpu().numpy(), head.bias.cpu().numpy(), labels.numpy(), clean)
        for epsilon in epsilons_at(settings["epsilons"], resolution):
            threat = threat_from(settings["norm"], epsilon)
            for objective in ("representation", "logits"):
                if objective == "logits" or epsilon not in found:
                    points = [
                        features.numpy()
                        for features in read_adversarial(
                            model.features,
                            model,
                            images,
                            labels,
                            image_ids,
                            resolution,
                            threat,
                            settings["steps"],
                            settings["restarts"],
                            objective,
                            settings["seed"],
                            device,
                        )
                    ]
                    if objective == "representation":
                        found[epsilon] = points
                for features in found[epsilon] if objective == "representation" else points:
                    worst.look(features, objective)
            rows = worst.rows()
            logger.info(
                "seed %d, %s %.4g: accuracy %.3f, robust %.3f, mean loss %.3f to %.3f, largest bound %.3g",
                seed,
                settings["norm"],
                epsilon,
                (rows["prediction"] == rows["label"]).mean(),
                ((rows["prediction"] == rows["label"]) & ~rows["flipped"]).mean(),
                rows["loss"].mean(),
                rows["loss_adv"].mean(),
                (rows["weight_distance"] * rows["sensitivity_estimate"]).max(),
            )
            yield {
                "seed": seed,
                "norm": settings["norm"],
                "epsilon": epsilon,
                "image_id": image_ids.numpy(),
                **rows,
            }
