"""The synthetic experiment of adversarial and knowledge transferability (Liang et al. 2021).

A target network learns a smooth function of points of a Gaussian mixture. Source networks are that network with weights perturbed more
and more. The measures of `transferability` fall as the perturbation grows, and the loss of the source's refitted last layer rises:
attacks that carry over go with knowledge that carries over. The second singular vector, which is no attack, shows nothing of the kind.

Sizes are the authors' (repository kyleliang919/Uncovering-the-Connections-..., folder synthetic-exp): 50 inputs, 10 outputs, 5,000
points around 10 centres, 100 radial features, 100 hidden units. Two things are ours. Their deviation accumulates over the steps while their
plots show the last increment; here `perturbation` is the whole of it. And everything is drawn again for each seed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
import torch

from advtransfer.config.columns import TRANSFERABILITY_SYNTHETIC
from advtransfer.randomness import generator_for
from advtransfer.studies import transferability as measures

INPUTS, OUTPUTS, POINTS, CENTRES, FEATURES, HIDDEN = 50, 10, 5000, 10, 100, 100
ATTACKS = ("first singular vector", "second singular vector")


class Network(NamedTuple):
    """One hidden layer of sigmoids, float64: x [p] to second (sigmoid(first x + first_bias)) + second_bias [d]."""

    first: torch.Tensor  # [h, p]
    first_bias: torch.Tensor  # [h]
    second: torch.Tensor  # [d, h]
    second_bias: torch.Tensor  # [d]

    def hidden(self, inputs: torch.Tensor) -> torch.Tensor:
        """Inputs [n, p] to hidden activations [n, h]."""
        return torch.sigmoid(inputs @ self.first.T + self.first_bias)

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Inputs [..., p] to outputs [..., d]."""
        return self.hidden(inputs) @ self.second.T + self.second_bias


def draw_data(seed: int, points: int = POINTS) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs [n, 50] and outputs [n, 10], float64: unit Gaussians around 10 centres, and a linear map of 100 radial features."""
    generator = generator_for(seed, "synthetic data")

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64) - 0.5

    centres = uniform(CENTRES, INPUTS)
    noise = torch.randn(points, INPUTS, generator=generator, dtype=torch.float64)
    inputs = centres[torch.arange(points) % CENTRES] + noise
    means = uniform(FEATURES, INPUTS)
    widths = 100 * torch.rand(FEATURES, generator=generator, dtype=torch.float64)
    features = torch.exp(-torch.cdist(inputs, means).square() / widths)
    return inputs, features @ uniform(OUTPUTS, FEATURES).T + uniform(OUTPUTS)


def train_target(inputs: torch.Tensor, outputs: torch.Tensor, seed: int, iterations: int) -> Network:
    """The target network: weights uniform in +-0.5, then L-BFGS on the mean squared error, summed over outputs, over all points.

    The authors took 10,000 steps of gradient descent. Its last layer is solved at the end, as those of the sources are.
    """
    generator = generator_for(seed, "synthetic target")
    shapes = ((HIDDEN, INPUTS), (HIDDEN,), (OUTPUTS, HIDDEN), (OUTPUTS,))
    weights = [
        (torch.rand(*shape, generator=generator, dtype=torch.float64) - 0.5).requires_grad_() for shape in shapes
    ]
    optimiser = torch.optim.LBFGS(weights, max_iter=iterations, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = (Network(*weights)(inputs) - outputs).square().sum(1).mean()
        value.backward()
        return value

    optimiser.step(loss)
    return solved(Network(*(weight.detach() for weight in weights)), inputs, outputs)


def perturb(network: Network, seed: int, perturbation: float) -> Network:
    """The network with every weight moved by `perturbation` times its own deviation, uniform in +-0.5 and the same for all sizes."""
    generator = generator_for(seed, "synthetic deviation")
    return Network(
        *(
            weight + perturbation * (torch.rand(weight.shape, generator=generator, dtype=torch.float64) - 0.5)
            for weight in network
        )
    )


def solved(network: Network, inputs: torch.Tensor, outputs: torch.Tensor) -> Network:
    """The network with its last layer solved for least squared error on the data, the hidden layer as it is."""
    hidden = torch.cat([network.hidden(inputs), torch.ones(len(inputs), 1, dtype=inputs.dtype)], 1)
    # By singular values: saturated hidden units are nearly constant.
    solution = torch.linalg.lstsq(hidden, outputs, driver="gelsd").solution
    return network._replace(second=solution[:-1].T, second_bias=solution[-1])


def root_mean_squared_error(network: Network, inputs: torch.Tensor, outputs: torch.Tensor) -> float:
    """Over points; squares are summed over outputs."""
    return float((network(inputs) - outputs).square().sum(1).mean().sqrt())


def compare(target: Network, source: Network, inputs: torch.Tensor) -> dict[str, dict[str, Any]]:
    """{attack: all measures of the pair of networks}, to first order, for each of ATTACKS.

    The control too is compared with what the networks' own attacks achieve, their first singular vectors (as in the authors' code).
    """
    of_target, of_source = (measures.jacobians(network, inputs) for network in (target, source))
    directions = [measures.singular_directions(each) for each in (of_target, of_source)]
    own_target, own_source = (
        measures.change(jacobian, found[:, 0])
        for jacobian, found in zip((of_target, of_source), directions, strict=True)
    )
    distance = float(measures.gradient_distance(of_target, of_source))
    found = {}
    for rank, attack in enumerate(ATTACKS):
        delta_target, delta_source = (each[:, rank] for each in directions)
        on_target, on_source = measures.change(of_target, delta_target), measures.change(of_source, delta_source)
        source_on_target = measures.change(of_target, delta_source)
        target_on_source = measures.change(of_source, delta_target)
        kept = measures.usable(on_target, on_source, source_on_target, target_on_source)
        found[attack] = {
            "alpha1_source_target": float(measures.alpha1(source_on_target, own_target).nanmean()),
            "alpha1_target_source": float(measures.alpha1(target_on_source, own_source).nanmean()),
            "alpha2_source_target": float(measures.alpha2(on_source, source_on_target)),
            "alpha2_target_source": float(measures.alpha2(on_target, target_on_source)),
            "combined_source_target": float(measures.combined(on_source, source_on_target, own_target)),
            "combined_target_source": float(measures.combined(on_target, target_on_source, own_source)),
            "tau1": float(measures.tau1(delta_source, delta_target).mean()),
            "tau2": float(measures.tau2(source_on_target, on_source)),
            "gradient_distance": distance,
            "left_out": len(inputs) - int(kept.sum()),
        }
    return found


def run(seed: int, perturbations: Sequence[float], iterations: int, points: int = POINTS) -> pd.DataFrame:
    """One draw of the whole experiment: a row (columns TRANSFERABILITY_SYNTHETIC) for each perturbation and attack."""
    inputs, outputs = draw_data(seed, points)
    target = train_target(inputs, outputs, seed, iterations)
    lines = []
    for perturbation in perturbations:
        source = perturb(target, seed, perturbation)
        loss = root_mean_squared_error(solved(source, inputs, outputs), inputs, outputs)
        for attack, found in compare(target, source, inputs).items():
            lines.append({"seed": seed, "perturbation": perturbation, "attack": attack, "transfer_loss": loss, **found})
    return pd.DataFrame(lines, columns=list(TRANSFERABILITY_SYNTHETIC))
