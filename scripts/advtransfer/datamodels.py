"""Does an influence predict retraining? Heads retrained on random halves of the data, and the linear datamodeling score (LDS).

The score is that of Park et al. 2023 (TRAK, arXiv 2303.14186): the rank correlation, over random subsets of the training images, between the
loss of a query after training on a subset, and the sum of the influences of the images in it. On fixed features the head is a convex problem,

    minimise over theta   sum over images of weight_i cross_entropy_i(theta) + ridge / 2 |theta|^2,

so that a retraining is exact, and quick. theta are the head's weights and biases [C, P + 1]; the ridge holds for both, in nats, as the sum.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from advtransfer.errors import InputError
from advtransfer.influence import read_head
from advtransfer.spectrum import spectrum

# A head is solved once no component of its gradient exceeds this, relative to the norm of the features: far below what ranks its losses.
# L-BFGS goes so far as NEARLY, Newton's method the rest of the way.
TOLERANCE, NEARLY = 1e-9, 1e-5
NEWTON_STEPS = 20
MOST_ITERATIONS = 20_000
# Influence ranks that `agreement` averages over, as figure 8 shows them.
RANKS = 100
# What `measure` finds.
MEASURED = ("kept", "score", "top1", "three_of_top5", "same_class", "loss", "accuracy", "residual_log10")
# 1 - p that underflows counts as this.
SMALLEST = 1e-300


@dataclass(frozen=True)
class Rotated:
    """Features [n, P] of training images and of queries in the span of the training images': train [n, k], query [q, k].

    A ridge optimum has no part outside of this span (its gradient would be the ridge's alone), so nothing is lost; inner products stay.
    directions [P + 1, k]: orthonormal, along which the coordinates are.
    """

    train: np.ndarray
    query: np.ndarray
    directions: np.ndarray


def rotate(train_features: np.ndarray, query_features: np.ndarray) -> Rotated:
    """The features with a constant 1, in as few dimensions as the training images span; float64."""
    train, query = (
        np.c_[np.asarray(part, np.float64), np.ones(len(part))] for part in (train_features, query_features)
    )
    if train.shape[1] != query.shape[1]:
        raise InputError(
            f"influence: training images have {train.shape[1] - 1} features, queries {query.shape[1] - 1}. Take both from the same network."
        )
    directions, triangle = np.linalg.qr(train.T)
    return Rotated(triangle.T, query @ directions, directions)


def fit_head(
    h: np.ndarray,
    labels: np.ndarray,
    classes: int,
    ridge: float,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """The ridge optimum theta [C, k] on h [n, k] (no constant is added) and labels [n], from `start` (0 by default), by L-BFGS and Newton's method, float64.

    The problem is strictly convex: the optimum is one, whatever the start. Raises InputError where the ridge is not positive, or too small
    for the search to end.
    """
    from scipy.optimize import minimize

    if not ridge > 0:
        raise InputError(
            f"influence.ridge: found {ridge}. Give a number above 0: without a ridge the head has no optimum."
        )
    own = np.zeros((len(h), classes))
    own[np.arange(len(h)), labels] = 1.0
    # A ridge's optimum lies in the span of its images, which a half has fewer of.
    directions, triangle = np.linalg.qr(h.T)
    x = np.ascontiguousarray(triangle.T)
    scale = max(1.0, float(np.linalg.norm(x, axis=1).max(initial=0.0)))

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        theta = flat.reshape(classes, -1)
        p, log_total = _softmax(x @ theta.T)
        loss = log_total.sum() - (x @ theta.T * own).sum() + ridge / 2 * (flat @ flat)
        return loss, ((p - own).T @ x).ravel() + ridge * flat

    begin = np.zeros((classes, x.shape[1])) if start is None else start @ directions
    limits = {"maxiter": MOST_ITERATIONS, "maxfun": 2 * MOST_ITERATIONS}
    found = minimize(
        objective,
        begin.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={**limits, "maxcor": 30, "ftol": 0.0, "gtol": NEARLY * scale},
    )
    flat = _newton(objective, found.x, x, classes, ridge, TOLERANCE * scale)
    left = np.abs(objective(flat)[1]).max() / scale
    if not left <= TOLERANCE:
        raise InputError(
            f"influence.ridge: found {ridge:g}, at which the head on {len(h)} images is not solved after {found.nit} steps (gradient "
            f"{left:.1e}). Raise it."
        )
    return flat.reshape(classes, -1) @ directions.T


def _newton(
    objective: Callable[[np.ndarray], tuple[float, np.ndarray]],
    flat: np.ndarray,
    x: np.ndarray,
    classes: int,
    ridge: float,
    enough: float,
) -> np.ndarray:
    """Newton's steps from near the optimum, by conjugate gradients: they need no values of the loss, whose rounding stops L-BFGS."""
    from scipy.sparse.linalg import LinearOperator, cg

    for _ in range(NEWTON_STEPS):
        gradient = objective(flat)[1]
        if not np.abs(gradient).max() > enough:
            break
        p, _ = _softmax(x @ flat.reshape(classes, -1).T)

        def curve(vector: np.ndarray, p: np.ndarray = p) -> np.ndarray:
            v = x @ vector.reshape(classes, -1).T
            return ((p * (v - (p * v).sum(1, keepdims=True))).T @ x).ravel() + ridge * vector.ravel()

        size = len(flat)
        step, _ = cg(LinearOperator((size, size), matvec=curve, dtype=np.float64), gradient, rtol=1e-6, maxiter=size)
        flat = flat - step
    return flat


def _softmax(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [n, C] of logits [n, C], and the logarithms [n] of their sums of exponentials."""
    top = z.max(1, keepdims=True)
    p = np.exp(z - top)
    total = p.sum(1, keepdims=True)
    return p / total, (np.log(total) + top)[:, 0]


def losses(theta: np.ndarray, h: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy [q] in nats of a head theta [C, k] on h [q, k], labels [q]."""
    z = h @ theta.T
    return _softmax(z)[1] - z[np.arange(len(z)), labels]


def draw_halves(images: int, count: int, seed: int) -> np.ndarray:
    """Random halves of the training images, without replacement: a mask [count, images], each row with images // 2 set."""
    rng = np.random.default_rng(seed)
    halves = np.zeros((count, images), dtype=bool)
    for row in halves:
        row[rng.permutation(images)[: images // 2]] = True
    return halves


def retrain(
    rotated: Rotated,
    train_labels: np.ndarray,
    query_labels: np.ndarray,
    classes: int,
    ridge: float,
    subsets: np.ndarray,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Loss [subsets, q] of each query after the head was trained on each subset (a mask [subsets, n]) to its ridge optimum."""
    made = [
        losses(
            fit_head(rotated.train[subset], train_labels[subset], classes, ridge, start), rotated.query, query_labels
        )
        for subset in subsets
    ]
    return np.stack(made)


def datamodeling_score(influence: np.ndarray, subsets: np.ndarray, retrained: np.ndarray) -> np.ndarray:
    """The score [q] of each query: Spearman's correlation over subsets of predicted and real loss; 0 where either is constant.

    influence [q, n], positive is helpful: a subset's predicted loss is less the sum of its images' influence. subsets [s, n], retrained [s, q]
    losses.
    """
    predicted = -(subsets.astype(np.float64) @ influence.T)
    return rank_correlations(predicted, retrained)


def rank_correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each column of two arrays [s, q]; 0 where a column is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(values, axis=0) for values in (one, other)]
    a, b = (values - values.mean(0) for values in ranks)
    norms = np.sqrt((a * a).sum(0) * (b * b).sum(0))
    return np.divide((a * b).sum(0), norms, out=np.zeros(norms.shape), where=norms > 0)


def refit(
    train_features: np.ndarray, train_labels: np.ndarray, query_features: np.ndarray, classes: int, ridge: float
) -> tuple[np.ndarray, np.ndarray]:
    """Logits [n, C] and [q, C] of the ridge optimum on features [n, P], labels [n] and queries' features [q, P]; see the module."""
    rotated = rotate(train_features, query_features)
    theta = fit_head(rotated.train, train_labels, classes, ridge)
    return rotated.train @ theta.T, rotated.query @ theta.T


def agreement(influence: np.ndarray, train_labels: np.ndarray, query_labels: np.ndarray) -> dict[str, float]:
    """How often influential images have the query's class, as section 6 of the paper counts it for test images; fractions.

    top1: the most influential one; three_of_top5: at least 3 of 5; same_class: of the first RANKS, on average.
    """
    order = np.argsort(-influence, axis=1, kind="stable")[:, :RANKS]
    same = train_labels[order] == query_labels[:, None]
    return {
        "top1": float(same[:, 0].mean()),
        "three_of_top5": float((same[:, :5].sum(1) >= 3).mean()),
        "same_class": float(same.mean()),
    }


def measure(
    train: tuple[np.ndarray, np.ndarray, np.ndarray],
    query: tuple[np.ndarray, np.ndarray, np.ndarray],
    ridge: float,
    cuts: Sequence[float],
    dampings: Sequence[float],
    subsets: np.ndarray,
    device: torch.device,
) -> Iterator[dict[str, Any]]:
    """Score and agreement of each inverse, for the head as it was fine-tuned and refitted to its ridge optimum.

    train, query: features [., P], logits [., C] of the fine-tuned head, labels [.]. subsets [s, n]: what heads are retrained on, all at `ridge`
    and on the same features. cuts: of the Hessian, that of the refitted head with its ridge; dampings: total, the ridge of the refitted head
    included. Rows: head ("fine_tuned", "refitted"), inverse ("cut", "damping"), level, kept (directions), score (mean over queries of
    `datamodeling_score`), `agreement`; of each head, inverse "none", level 0: loss (mean of the queries, nats), accuracy (a fraction of them) and
    residual_log10 (of the median over the training images of 1 - p, p the probability of the label); and for each of the dampings as a ridge,
    inverse "ridge": loss of the head refitted at it. What a row lacks is NaN.
    """
    (features, logits, labels), (query_features, query_logits, query_labels) = train, query
    classes, absent = logits.shape[1], dict.fromkeys(MEASURED, math.nan)
    rotated = rotate(features, query_features)
    theta = fit_head(rotated.train, labels, classes, ridge)
    retrained = retrain(rotated, labels, query_labels, classes, ridge, subsets, theta)
    heads = {"fine_tuned": (logits, query_logits), "refitted": (rotated.train @ theta.T, rotated.query @ theta.T)}
    for head, (own, others) in heads.items():
        trained = read_head(features, own, labels, device, "training")
        whole = spectrum(trained, read_head(query_features, others, query_labels, device, "query"))
        residual = -trained.r.cpu().numpy()[np.arange(len(labels)), labels]
        found = {
            "loss": (_softmax(others)[1] - others[np.arange(len(others)), query_labels]).mean(),
            "accuracy": (others.argmax(1) == query_labels).mean(),
            "residual_log10": math.log10(max(np.median(residual), SMALLEST)),
        }
        yield {"head": head, "inverse": "none", "level": 0.0, **absent, **found}
        within = ridge if head == "refitted" else 0.0
        inverses = [("cut", cut, whole.cut(cut, within), int(whole.kept(cut, within).sum())) for cut in cuts]
        inverses += [("damping", damping, whole.damped(damping), len(whole.values)) for damping in dampings]
        for inverse, level, influence, kept in inverses:
            influence = influence.cpu().numpy()
            score = datamodeling_score(influence, subsets, retrained).mean()
            found = {"kept": kept, "score": score, **agreement(influence, labels, query_labels)}
            yield {"head": head, "inverse": inverse, "level": float(level), **absent, **found}
    for level in dampings:
        fitted = fit_head(rotated.train, labels, classes, level, theta)
        loss = losses(fitted, rotated.query, query_labels).mean()
        yield {"head": "refitted", "inverse": "ridge", "level": float(level), **absent, "loss": loss}
