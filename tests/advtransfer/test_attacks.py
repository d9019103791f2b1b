"""PGD: its constraints for any input, its strength, and its agreement with an independent implementation."""

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from advtransfer.attacks import autoattack, evaluating, pgd, pgd_restarts
from advtransfer.errors import InputError
from advtransfer.threats import L2, Linf


def small_network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8 * 36, 4)
    ).eval()


def batch(seed: int = 0, n: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, 6, 6, generator=generator), torch.randint(4, (n,), generator=generator)


@given(
    kind=st.sampled_from([L2, Linf]),
    epsilon=st.floats(1e-3, 3),
    steps=st.integers(0, 4),
    random_start=st.booleans(),
    keep_best=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=40)
def test_adversarial_images_stay_in_the_ball_and_in_the_unit_cube(kind, epsilon, steps, random_start, keep_best, seed):
    threat, (images, labels) = kind(epsilon), batch(seed)
    adversarial = pgd(
        small_network(),
        images,
        labels,
        threat,
        steps,
        None,
        random_start,
        keep_best,
        torch.Generator().manual_seed(seed),
    )
    assert adversarial.shape == images.shape
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1
    assert (threat.size(adversarial - images) <= epsilon * (1 + 1e-5) + 1e-6).all()


@pytest.mark.parametrize("threat", [L2(0.5), Linf(0.03)])
def test_it_raises_every_loss_and_keep_best_never_loses(threat):
    model, (images, labels) = small_network(), batch(n=32)

    def losses(x):
        with torch.no_grad():
            return functional.cross_entropy(model(x), labels, reduction="none")

    last = pgd(model, images, labels, threat, 5)
    best = pgd(model, images, labels, threat, 5, keep_best=True)
    assert (losses(last) > losses(images)).float().mean() > 0.9
    assert (losses(best) >= losses(images)).all()
    assert (losses(best) >= losses(last) - 1e-6).all()


def test_keep_best_includes_the_first_iterate():
    """With steps so long that they overshoot, the clean image may be the worst case that was seen."""
    model, (images, labels) = small_network(), batch(n=64)

    class Peak(nn.Module):
        def forward(self, x):
            # Cross-entropy with label 0 is highest at the clean images and falls with distance from them.
            distance = (x - images).flatten(1).norm(dim=1)
            return torch.stack([distance, torch.zeros_like(distance)], 1)

    zeros = torch.zeros(64, dtype=torch.int64)
    best = pgd(Peak(), images, zeros, Linf(0.1), 3, random_start=True, keep_best=True)
    first = pgd(Peak(), images, zeros, Linf(0.1), 0, keep_best=True)
    assert torch.equal(first, images)
    assert best.shape == images.shape
    assert labels.shape == (64,)
    assert model is not None


@pytest.mark.parametrize("threat", [L2(0.5), Linf(0.03)])
def test_the_model_is_left_as_it_was(threat):
    """Modes of every module, parameters, running statistics and gradients; and it is attacked in eval mode."""
    model, (images, labels) = small_network(), batch()
    model.train()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen = []
    handle = model.register_forward_pre_hook(lambda module, inputs: seen.append(module.training))
    pgd(model, images, labels, threat, 2, keep_best=True)
    handle.remove()
    assert seen == [False] * 3
    assert [module.training for module in model] == [True, False, True, True, True, True]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_modes_come_back_after_an_error():
    model = small_network().train()
    with pytest.raises(RuntimeError, match="inside"), evaluating(model):
        assert not model.training
        raise RuntimeError("inside")
    assert all(module.training for module in model.modules())


def test_it_works_where_gradients_are_switched_off():
    model, (images, labels) = small_network(), batch()
    with torch.no_grad():
        inside = pgd(model, images, labels, Linf(0.03), 3)
    assert torch.equal(inside, pgd(model, images, labels, Linf(0.03), 3))


def test_an_images_perturbation_does_not_depend_on_its_batch():
    model, (images, labels) = small_network(), batch(n=6)
    together = pgd(model, images, labels, L2(0.5), 4)
    alone = torch.cat([pgd(model, images[i : i + 1], labels[i : i + 1], L2(0.5), 4) for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_agrees_with_torchattacks(norm):
    """Same model, same start (none), same step size and steps."""
    import torchattacks

    model, (images, labels) = small_network(), batch(n=8)
    if norm == "linf":
        ours = pgd(model, images, labels, Linf(0.05), 7, step_size=0.01)
        theirs = torchattacks.PGD(model, eps=0.05, alpha=0.01, steps=7, random_start=False)(images, labels)
    else:
        ours = pgd(model, images, labels, L2(0.5), 7, step_size=0.1)
        theirs = torchattacks.PGDL2(model, eps=0.5, alpha=0.1, steps=7, random_start=False)(images, labels)
    torch.testing.assert_close(ours - images, theirs - images, rtol=0, atol=1e-5)


def accuracy(model, images, labels):
    with torch.no_grad():
        return (model(images).argmax(1) == labels).float()


@pytest.mark.parametrize("threat", [L2(0.4), Linf(0.02)])
def test_more_restarts_never_help_the_network(threat):
    """The same generator: the first restarts of the longer attack are those of the shorter one."""
    model, (images, _) = small_network(), batch(n=64)
    with torch.no_grad():
        labels = model(images).argmax(1)
    standing = None
    for restarts in (1, 2, 5):
        adversarial = pgd_restarts(model, images, labels, threat, 2, restarts, torch.Generator().manual_seed(3))
        assert (threat.size(adversarial - images) <= threat.epsilon * (1 + 1e-5)).all()
        assert adversarial.min() >= 0
        assert adversarial.max() <= 1
        right = accuracy(model, adversarial, labels)
        assert standing is None or (right <= standing).all()
        standing = right
    assert 0 < standing.mean() < 1


def test_a_later_restart_does_not_undo_an_earlier_success():
    """A network that is fooled by the first call after each start only: what was found must be kept."""
    images, labels = torch.full((4, 3, 2, 2), 0.5), torch.zeros(4, dtype=torch.int64)

    class Moody(nn.Module):
        calls = 0

        def forward(self, x):
            # PGD with one step calls twice, the check of its result is the third call.
            self.calls += 1
            fooled = self.calls == 3
            score = x.flatten(1).sum(1) * 0 + (1.0 if fooled else -1.0)
            return torch.stack([torch.zeros_like(score), score], 1)

    model = Moody()
    first = pgd_restarts(model, images, labels, Linf(0.1), 1, 1, torch.Generator().manual_seed(0))
    model.calls = 0
    many = pgd_restarts(model, images, labels, Linf(0.1), 1, 4, torch.Generator().manual_seed(0))
    assert torch.equal(first, many)
    assert model.calls == 3  # all images were settled by the first run


def test_of_a_withstanding_image_the_highest_loss_is_kept():
    model, (images, _) = small_network(), batch(n=8)
    with torch.no_grad():
        labels = model(images).argmax(1)

    def losses(x):
        with torch.no_grad():
            return functional.cross_entropy(model(x), labels, reduction="none")

    few, many = (
        losses(pgd_restarts(model, images, labels, Linf(1e-3), 1, restarts, torch.Generator().manual_seed(0)))
        for restarts in (1, 6)
    )
    assert (accuracy(model, images, labels) == 1).all()
    assert (many >= few).all()
    assert (many > few).any()


@pytest.mark.parametrize("threat", [L2(0.3), Linf(0.02)])
def test_autoattack_is_within_its_threat_and_at_least_as_strong(threat):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 36, 16), nn.ReLU(), nn.Linear(16, 12)).eval()
    images, _ = batch(n=12)
    with torch.no_grad():
        labels = model(images).argmax(1)
    mine = pgd_restarts(model, images, labels, threat, 10, 1, torch.Generator().manual_seed(0))
    theirs = autoattack(model, images, labels, threat, 12, seed=0)
    assert (threat.size(theirs - images) <= threat.epsilon * (1 + 1e-4) + 1e-6).all()
    assert accuracy(model, theirs, labels).mean() <= accuracy(model, mine, labels).mean()


def test_autoattack_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchattacks", None)
    with pytest.raises(InputError, match=r"torchattacks is not installed\. Install torchattacks"):
        autoattack(small_network(), *batch(), L2(0.1), 4)
