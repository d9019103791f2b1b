"""Adversarial images do not depend on what else is attacked; the attack on the representation is what a plain loop finds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from advtransfer import adversarial
from advtransfer.adversarial import attack, random_starts, read_adversarial, representation_distance
from advtransfer.augmentation import to_unit
from advtransfer.models import IMAGENET_MEAN, IMAGENET_STD, build
from advtransfer.threats import L2, Linf

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    shape = {"layers": [1], "width": 0.125, "stem": "cifar", "classes": 3}
    return build({**shape, "mean": IMAGENET_MEAN, "std": IMAGENET_STD}).eval()


@pytest.fixture(scope="module")
def images():
    return torch.randint(0, 256, (7, 3, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0])
IDS = torch.tensor([3, 10, 11, 40, 41, 5, 99])


def plain_attack(model, x, epsilon, norm, steps, start):
    """PGD on |f(x') - f(x)|^2 image by image, written out; returns the best iterate of each and its squared distance."""
    found, heights = [], []
    for image, first in zip(x, start, strict=True):
        clean = model.features(image[None]).detach()
        point = (image + first).clamp(0, 1)
        best, height = None, -1.0
        for step in range(steps + 1):
            point = point.detach().requires_grad_(True)
            value = ((model.features(point[None]) - clean) ** 2).sum()
            if value.item() > height:
                best, height = point.detach(), value.item()
            if step == steps:
                break
            value.backward()
            g = point.grad
            move = g.sign() if norm == "linf" else g / g.norm()
            change = point.detach() + 2.5 * epsilon / steps * move - image
            if norm == "linf":
                change = change.clamp(-epsilon, epsilon)
            elif change.norm() > epsilon:
                change = change * (epsilon / change.norm())
            point = (image + change).clamp(0, 1)
        found.append(best)
        heights.append(height)
    return torch.stack(found), torch.tensor(heights)


@pytest.mark.parametrize("threat", [Linf(0.03), L2(0.3)])
def test_the_attack_on_the_representation_is_that_of_a_plain_loop(model, images, threat):
    """Double precision: signs of tiny gradients would differ otherwise."""
    double, x = build_double(model), to_unit(images, 8).double()
    start = random_starts(threat, x, IDS.tolist(), "representation", 0, 5)
    ours = attack(double, x, LABELS, threat, 6, "representation", start)
    theirs, heights = plain_attack(double, x, threat.epsilon, threat.norm, 6, start)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
    torch.testing.assert_close(representation_distance(double, x)(ours), heights.double(), rtol=1e-5, atol=0)
    # It does raise what it is told to raise, well above its start.
    assert (heights > 1.5 * representation_distance(double, x)((x + start).clamp(0, 1))).all()


def build_double(model):
    import copy

    return copy.deepcopy(model).double()


def test_at_the_image_itself_the_representation_gives_no_direction(model, images):
    x = to_unit(images, 8)
    still = attack(model, x, LABELS, Linf(0.03), 5, "representation", torch.zeros_like(x))
    assert torch.equal(still, x)


@given(
    norm=st.sampled_from([L2, Linf]),
    epsilon=st.floats(0, 0.5),
    objective=st.sampled_from(adversarial.OBJECTIVES),
    seed=st.integers(0, 100),
)
@settings(deadline=None, max_examples=20)
def test_points_lie_in_the_ball_and_are_images(model, images, norm, epsilon, objective, seed):
    x, threat = to_unit(images, 8), norm(epsilon)
    start = random_starts(threat, x, IDS.tolist(), objective, 0, seed)
    assert (threat.size(start) <= epsilon * (1 + 1e-5) + 1e-7).all()
    found = attack(model, x, LABELS, threat, 2, objective, start)
    assert (threat.size(found - x) <= epsilon * (1 + 1e-5) + 1e-6).all()
    assert 0 <= found.min() <= found.max() <= 1


def test_a_start_belongs_to_its_image_objective_radius_and_restart(images):
    x, threat = to_unit(images, 8), Linf(0.1)
    all_of_them = random_starts(threat, x, IDS.tolist(), "logits", 0, 7)
    order = [4, 0, 6]
    assert torch.equal(random_starts(threat, x[order], IDS[order].tolist(), "logits", 0, 7), all_of_them[order])
    for other in (
        random_starts(threat, x, IDS.tolist(), "logits", 1, 7),
        random_starts(threat, x, IDS.tolist(), "representation", 0, 7),
        random_starts(threat, x, IDS.tolist(), "logits", 0, 8),
        random_starts(Linf(0.2), x, IDS.tolist(), "logits", 0, 7) / 2,
    ):
        assert not torch.isclose(other, all_of_them).flatten(1).all(1).any()


def found(model, images, objective="representation", restarts=2, **changes):
    arguments = {
        "labels": LABELS[: len(images)],
        "image_ids": IDS[: len(images)],
        "resolution": 8,
        "threat": Linf(0.03),
        "steps": 3,
        "restarts": restarts,
        "objective": objective,
        "seed": 0,
        "device": CPU,
    } | changes
    return list(read_adversarial(model.features, model, images, **arguments))


@pytest.mark.parametrize("objective", adversarial.OBJECTIVES)
def test_more_restarts_extend_the_set(model, images, objective):
    few, many = found(model, images, objective, 1), found(model, images, objective, 3)
    assert len(many) == 3
    assert torch.equal(few[0], many[0])
    assert not torch.isclose(many[0], many[1]).all()


def test_images_do_not_depend_on_their_batches(model, images, monkeypatch):
    """Double precision, as above: a sign that rounding turns would be another point."""
    double = build_double(model)
    monkeypatch.setattr(adversarial, "to_unit", lambda some, resolution: to_unit(some, resolution).double())
    whole = found(double, images)
    monkeypatch.setattr(adversarial, "GRADIENT_SHARE", 250)  # two images a batch
    parts = found(double, images)
    fewer = found(double, images[:3])
    for one, other, some in zip(whole, parts, fewer, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(one[:3], some, rtol=1e-9, atol=1e-12)


def test_the_network_is_left_as_it_was(model, images):
    model.train()
    found(model, images, "logits", 1)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    model.eval()
