"""The measures of adversarial transferability: invariants, the exact identity of one output, an independent computation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from advtransfer.studies import transferability as measures


def changes(seed, points=40, outputs=4):
    return torch.randn(points, outputs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_jacobians(seed, points=30, outputs=4, inputs=6):
    return changes(seed, points, outputs * inputs).view(points, outputs, inputs)


SEEDS = st.integers(0, 10**6)


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.integers(1, 6))
def test_a_network_transfers_wholly_to_itself(seed, outputs):
    own = changes(seed, outputs=outputs)
    assert torch.allclose(measures.alpha1(own, own), torch.ones(40, dtype=torch.float64))
    assert 1 / math.sqrt(outputs) - 1e-12 <= float(measures.alpha2(own, own)) <= 1 + 1e-12
    assert float(measures.combined(own, own, own)) == pytest.approx(float(measures.alpha2(own, own)), abs=1e-12)
    assert torch.allclose(measures.tau1(own, own), torch.ones(40, dtype=torch.float64))
    assert float(measures.tau2(own, own)) == pytest.approx(1, abs=1e-10)


def test_the_ends_of_alpha2_of_a_network_and_itself():
    """One direction for all inputs gives 1; directions spread evenly give 1 / sqrt(d)."""
    assert float(measures.alpha2(*[torch.ones(5, 3, dtype=torch.float64)] * 2)) == pytest.approx(1)
    even = torch.eye(4, dtype=torch.float64)
    assert float(measures.alpha2(even, even)) == pytest.approx(1 / 2)


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.floats(0.01, 100), st.floats(0.01, 100))
def test_scaling_an_output_changes_nothing(seed, one, other):
    """The outputs of a scaled by one, those of b by other."""
    attacked, transferred, own = (changes(seed + index) for index in range(3))
    for found, scaled in (
        (measures.alpha1(transferred, own), measures.alpha1(other * transferred, other * own)),
        (measures.alpha2(attacked, transferred), measures.alpha2(one * attacked, other * transferred)),
        (
            measures.combined(attacked, transferred, own),
            measures.combined(one * attacked, other * transferred, other * own),
        ),
        (measures.tau2(transferred, attacked), measures.tau2(other * transferred, one * attacked)),
    ):
        assert torch.allclose(found, scaled, rtol=1e-9)


@settings(deadline=None, max_examples=50)
@given(SEEDS)
def test_turned_attacks_change_nothing(seed):
    """A singular vector has no sign: an attack and its opposite are the same."""
    attacked, transferred, own = (changes(seed + index) for index in range(3))
    signs = torch.where(changes(seed + 3, outputs=1) > 0, 1.0, -1.0)
    pairs = (attacked, transferred), (signs * attacked, signs * transferred)
    for measure in (measures.alpha2, lambda a, b: measures.combined(a, b, own), lambda a, b: measures.tau2(b, a)):
        assert float(measure(*pairs[0])) == pytest.approx(float(measure(*pairs[1])), rel=1e-9)


def test_with_one_output_the_measures_give_the_distance_of_gradients():
    """E|grad T - A grad S|^2 = E[(1 - tau1 tau2) |grad T|^2], to 1e-10."""
    for seed in range(20):
        of_target, of_source = (random_jacobians(seed + 100 * index, outputs=1) for index in range(2))
        delta_target, delta_source = (measures.singular_directions(each)[:, 0] for each in (of_target, of_source))
        on_source, on_target = measures.change(of_source, delta_source), measures.change(of_target, delta_source)
        factor = measures.best_map(on_target, on_source)[0, 0]
        left = (of_target - factor * of_source).square().sum((1, 2)).mean()
        tau1, tau2 = measures.tau1(delta_source, delta_target), measures.tau2(on_target, on_source)
        right = ((1 - tau1 * tau2) * of_target.square().sum((1, 2))).mean()
        assert float(left) == pytest.approx(float(right), rel=1e-10)


def test_the_measures_by_loops_over_inputs():
    """The definitions once more, input by input, in NumPy."""
    of_target, of_source = random_jacobians(1).numpy(), random_jacobians(2, outputs=3).numpy()
    ratios, outer, weighted = [], 0, 0
    for target, source in zip(of_target, of_source, strict=True):
        delta_source, delta_target = np.linalg.svd(source)[2][0], np.linalg.svd(target)[2][0]
        transferred, own, attacked = target @ delta_source, target @ delta_target, source @ delta_source
        ratios.append(np.linalg.norm(transferred) / np.linalg.norm(own))
        one = np.outer(attacked / np.linalg.norm(attacked), transferred / np.linalg.norm(transferred))
        outer, weighted = outer + one / len(of_target), weighted + ratios[-1] * one / len(of_target)
    torch_target, torch_source = torch.from_numpy(of_target), torch.from_numpy(of_source)
    delta_source, delta_target = (measures.singular_directions(each)[:, 0] for each in (torch_source, torch_target))
    transferred, own = measures.change(torch_target, delta_source), measures.change(torch_target, delta_target)
    attacked = measures.change(torch_source, delta_source)
    assert measures.alpha1(transferred, own).numpy() == pytest.approx(ratios)
    assert (np.array(ratios) <= 1 + 1e-12).all(), "no perturbation changes the output more than the attack"
    assert float(measures.alpha2(attacked, transferred)) == pytest.approx(np.linalg.norm(outer))
    assert float(measures.combined(attacked, transferred, own)) == pytest.approx(np.linalg.norm(weighted))


def test_jacobians_of_a_network():
    network = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    inputs = changes(0, 7, 6)
    found = measures.jacobians(network, inputs)
    for one, input_ in zip(found, inputs, strict=True):
        assert torch.allclose(one, torch.autograd.functional.jacobian(network, input_))


def test_inputs_at_which_an_attack_does_nothing_are_left_out():
    attacked, transferred, own = (changes(index) for index in range(3))
    own[3], transferred[5] = 0, 1e-9
    assert measures.alpha1(transferred, own).isnan().nonzero().flatten().tolist() == [3]
    kept = [index for index in range(40) if index not in (3, 5)]
    assert measures.usable(attacked, transferred, own).nonzero().flatten().tolist() == kept
    assert float(measures.combined(attacked, transferred, own)) == pytest.approx(
        float(measures.combined(attacked[kept], transferred[kept], own[kept]))
    )
    assert measures.alpha2(attacked, torch.zeros(40, 4, dtype=torch.float64)).isnan()


@settings(deadline=None, max_examples=30)
@given(SEEDS)
def test_the_best_map_is_no_larger_than_its_limit_and_no_worse_than_others(seed):
    transferred, attacked = changes(seed, outputs=3), changes(seed + 1, outputs=2)
    found = measures.best_map(transferred, attacked)
    limit = float((transferred.square().sum() / attacked.square().sum()).sqrt())
    assert float(torch.linalg.matrix_norm(found, 2)) <= limit * (1 + 1e-12)
    # Unbounded, it is the least-squares solution.
    solution = torch.linalg.lstsq(attacked, transferred).solution.T
    if float(torch.linalg.matrix_norm(solution, 2)) <= limit:
        assert torch.allclose(found, solution, rtol=1e-6, atol=1e-9)


def test_the_gradient_distance_is_a_minimum():
    of_target, of_source = random_jacobians(1), random_jacobians(2, outputs=3)
    found = float(measures.gradient_distance(of_target, of_source))
    stacked = (each.transpose(1, 2).reshape(-1, each.shape[1]) for each in (of_source, of_target))
    source, target = stacked
    residual = target - source @ torch.linalg.lstsq(source, target).solution
    assert found == pytest.approx(float((residual.square().sum() / len(of_target)).sqrt()))
    assert float(measures.gradient_distance(of_target, of_target)) == pytest.approx(0, abs=1e-6)
