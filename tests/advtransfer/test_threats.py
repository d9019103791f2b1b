"""The geometry of the two threat models, for any perturbation."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from advtransfer.threats import L2, Linf, threat_from

threats = st.builds(
    lambda kind, epsilon: kind(epsilon), st.sampled_from([L2, Linf]), st.floats(1e-3, 4, allow_nan=False)
)


def perturbations(seed: int, scale: float) -> torch.Tensor:
    return scale * torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(seed))


@given(threat=threats, seed=st.integers(0, 2**31), scale=st.floats(1e-3, 1e3))
@settings(deadline=None, max_examples=50)
def test_projection_lands_in_the_ball_and_keeps_what_is_inside(threat, seed, scale):
    outside = perturbations(seed, scale)
    projected = threat.project(outside)
    assert (threat.size(projected) <= threat.epsilon * (1 + 1e-5)).all()
    torch.testing.assert_close(threat.project(projected), projected, rtol=1e-5, atol=1e-7)
    inside = outside * (0.9 * threat.epsilon / threat.size(outside).max())
    assert torch.equal(threat.project(inside), inside)


@given(seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=25)
def test_l2_projection_is_the_nearest_point(seed):
    """No other point of the ball is nearer: the projection is optimal, not only feasible."""
    threat, point = L2(0.7), perturbations(seed, 1.0)
    distance = threat.size(point - threat.project(point))
    other = threat.project(threat.project(point) + perturbations(seed + 1, 0.05))
    assert (threat.size(point - other) >= distance - 1e-5).all()


@given(threat=threats, seed=st.integers(0, 2**31), exponent=st.integers(-35, 20))
@settings(deadline=None, max_examples=50)
def test_steps_have_the_asked_length_at_every_scale_of_gradient(threat, seed, exponent):
    """Saturated networks have gradients whose squares underflow in float32; the step must not shrink."""
    step = threat.step(perturbations(seed, 10.0**exponent), 0.25)
    torch.testing.assert_close(threat.size(step), torch.full((4,), 0.25), rtol=1e-4, atol=0)


@pytest.mark.parametrize("threat", [L2(0.5), Linf(0.1)])
def test_a_zero_gradient_makes_no_step(threat):
    assert torch.equal(threat.step(torch.zeros(2, 3, 4, 4), 0.1), torch.zeros(2, 3, 4, 4))


def test_random_starts():
    images = torch.zeros(64, 3, 8, 8)
    start = L2(0.5).random_start(images, torch.Generator().manual_seed(0))
    torch.testing.assert_close(L2(0.5).size(start), torch.full((64,), 0.5))
    start = Linf(0.1).random_start(images, torch.Generator().manual_seed(0))
    assert start.abs().max() <= 0.1
    # Uniform in the ball: mean 0, standard deviation epsilon / sqrt(3).
    assert abs(float(start.mean())) < 0.003
    assert float(start.std()) == pytest.approx(0.1 / 3**0.5, rel=0.02)
    again = Linf(0.1).random_start(images, torch.Generator().manual_seed(0))
    assert torch.equal(start, again)


def test_threats_by_name():
    assert threat_from("l2", 3) == L2(3.0)
    assert threat_from("linf", 4 / 255) == Linf(4 / 255)
