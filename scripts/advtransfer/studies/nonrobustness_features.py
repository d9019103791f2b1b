"""Why non-robustness may be handed on: how alike layers are, and whether one perturbation moves all networks (Zhang et al. 2021).

Layers are compared by canonical correlation analysis (CCA) over images: of the activations X [n, p] and Y [n, q] of two networks, the
correlations of the best matched directions. A universal perturbation is one delta for all images: here the one within Linf epsilon that moves
the penultimate features of a pre-trained network furthest, on average. docs/nonrobustness.md has the choices.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from advtransfer.augmentation import to_unit
from advtransfer.errors import InputError
from advtransfer.features import pass_images
from advtransfer.models import ImageClassifier
from advtransfer.randomness import generator_for
from advtransfer.threats import Linf

logger = logging.getLogger(__name__)

# Pixels of a side at which perturbations are kept to be drawn.
DRAWN_PIXELS = 32


def principal_directions(activations: np.ndarray, variance: float) -> np.ndarray:
    """Orthonormal columns [n, k] that span the leading principal components of activations [n, p], up to this share of their variance."""
    centred = activations.astype(np.float64) - activations.mean(0, dtype=np.float64)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    # What rounding left of directions that are not there.
    kept = sizes > sizes[0] * max(centred.shape) * np.finfo(np.float64).eps if len(sizes) else sizes > 0
    shares = np.cumsum(sizes[kept] ** 2) / max(np.sum(sizes[kept] ** 2), np.finfo(np.float64).tiny)
    return left[:, kept][:, : int(np.searchsorted(shares, variance - 1e-12)) + 1]


def mean_cca(activations: np.ndarray, others: np.ndarray, variance: float = 0.99) -> float:
    """Mean canonical correlation of activations [n, p] and [n, q] over the same n images, from 0 to 1; NaN where either is constant.

    Both are reduced to their leading principal components first, with this share of their variance; with all of it (1) the measure
    does not depend on invertible linear maps of either. The mean is over as many directions as the smaller has. It grows with k / n
    for independent activations too: compare with shuffled ones.
    """
    return mean_correlation(principal_directions(activations, variance), principal_directions(others, variance))


def mean_correlation(mine: np.ndarray, theirs: np.ndarray) -> float:
    """Mean of the min(k, l) canonical correlations of two sets of orthonormal columns, [n, k] and [n, l]; NaN where either has none."""
    if not mine.shape[1] or not theirs.shape[1]:
        return float("nan")
    return float(np.linalg.svd(mine.T @ theirs, compute_uv=False).clip(0, 1).mean())


def layer_activations(
    model: ImageClassifier, images: torch.Tensor, resolution: int, device: torch.device
) -> list[np.ndarray]:
    """What the stem and each stage give of uint8 images [n, c, h, w], means over pixels, each [n, channels]; in eval mode."""
    network = model.network
    # ASSUME: a layer is its channels' means over pixels, with images as samples; pixels as samples would ask for as many images again.

    def read(x: torch.Tensor) -> torch.Tensor:
        x = network.stem(model.normalise(x))
        found = [x.mean((2, 3))]
        for stage in range(network.stages):
            x = getattr(network, f"layer{stage + 1}")(x)
            found.append(x.mean((2, 3)))
        return torch.cat(found, 1)

    widths = [network.conv1.out_channels]
    widths += [getattr(network, f"layer{stage + 1}")[-1].conv3.out_channels for stage in range(network.stages)]
    joined = pass_images(read, images, resolution, device).numpy()
    return np.split(joined, np.cumsum(widths)[:-1], axis=1)


def universal_perturbation(
    model: ImageClassifier, images: torch.Tensor, epsilon: float, steps: int, generator: torch.Generator
) -> torch.Tensor:
    """One perturbation [3, h, w] within Linf epsilon that moves the features of all images far: mean |f(x + delta) - f(x)|^2 is raised.

    images: [n, 3, h, w] in [0, 1], all in every step; the model is in eval mode. `steps` sign steps of 2.5 epsilon / steps from a random
    point of the ball, and the best iterate.
    """
    threat = Linf(epsilon)
    with torch.no_grad():
        clean = model.features(images)
    delta = threat.random_start(images[:1], generator)
    best, highest = delta, -1.0
    for step in range(steps + 1):
        delta = delta.detach().requires_grad_(True)
        moved = (model.features((images + delta).clamp(0, 1)) - clean).square().sum(1).mean()
        if float(moved.detach()) > highest:
            best, highest = delta.detach(), float(moved.detach())
        if step < steps:
            (gradient,) = torch.autograd.grad(moved, delta)
            delta = threat.project(delta.detach() + threat.step(gradient, 2.5 * epsilon / steps))
    return best[0]


def random_signs(like: torch.Tensor, epsilon: float, generator: torch.Generator) -> torch.Tensor:
    """A perturbation of the shape of another one, +epsilon or -epsilon at each place."""
    return epsilon * (2 * torch.randint(2, like.shape, generator=generator).to(like.dtype) - 1).to(like.device)


@torch.no_grad()
def changed(model: ImageClassifier, images: torch.Tensor, deltas: Sequence[torch.Tensor]) -> list[float]:
    """For each perturbation [3, h, w], the share of images [n, 3, h, w] in [0, 1] that get another class with it than without."""
    clean = model(images).argmax(1)
    return [float((model((images + delta).clamp(0, 1)).argmax(1) != clean).double().mean()) for delta in deltas]


def measure(
    networks: Mapping[str, ImageClassifier],
    pairs: list[list[str]],
    train_images: torch.Tensor,
    test_images: torch.Tensor,
    resolution: int,
    settings: Mapping[str, Any],
    seed: int,
    device: torch.device,
) -> Iterator[dict[str, Any]]:
    """Rows of `columns.NONROBUSTNESS_FEATURES_ROWS` of one seed's networks, but for what names the target.

    networks: {name: network} in eval mode on the device; those of settings["crafted"] are pre-trained and give perturbations, which the
    networks of settings["perturbed"] get. pairs: which are compared. train_images, test_images: uint8, for crafting and for everything
    else. settings: variance, epsilon, steps, draws (of random signs), crafted, perturbed, seed. Raises InputError where networks have
    different numbers of stages.
    """
    stages = {model.network.stages for model in networks.values()}
    if len(stages) > 1:
        raise InputError(
            f"nonrobustness_features: the networks of one target have {' and '.join(map(str, sorted(stages)))} stages. Compare networks of as many stages: see 'layers' in "
            "'reference_networks'."
        )
    layers = {
        name: [
            principal_directions(activations, settings["variance"])
            for activations in layer_activations(model, test_images, resolution, device)
        ]
        for name, model in networks.items()
    }
    order = torch.randperm(len(test_images), generator=generator_for(settings["seed"], "shuffled images")).numpy()
    for first, second in pairs:
        for layer, (mine, theirs) in enumerate(zip(layers[first], layers[second], strict=True)):
            same = {"seed": seed, "first": first, "second": second, "place": layer}
            yield {"quantity": "cca", **same, "value": mean_correlation(mine, theirs)}
            # Shuffled images have their directions shuffled.
            yield {"quantity": "cca_shuffled", **same, "value": mean_correlation(mine, theirs[order])}
    crafting, x = (to_unit(part.to(device), resolution) for part in (train_images, test_images))
    deltas = {}
    for name in settings["crafted"]:
        generator = generator_for(settings["seed"], f"universal perturbation of {name}")
        deltas[name] = [
            universal_perturbation(networks[name], crafting, settings["epsilon"], settings["steps"], generator)
        ]
    generator = generator_for(settings["seed"], "random signs")
    deltas["random"] = [random_signs(x[0], settings["epsilon"], generator) for _ in range(settings["draws"])]
    for name, drawn in deltas.items():
        for other in settings["perturbed"]:
            share = float(np.mean(changed(networks[other], x, drawn)))
            logger.info("seed %d: perturbation of %s changes %.3f of the classes of %s", seed, name, share, other)
            yield {"quantity": "changed", "seed": seed, "first": name, "second": other, "place": 0, "value": share}
        shown = drawn[0]
        if shown.shape[-1] > DRAWN_PIXELS:
            shown = functional.adaptive_avg_pool2d(shown, DRAWN_PIXELS)
        for place, value in enumerate(shown.flatten().tolist()):
            yield {"quantity": "pixel", "seed": seed, "first": name, "second": "", "place": place, "value": value}
