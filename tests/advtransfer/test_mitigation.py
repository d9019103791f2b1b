"""Discrepancy mitigation: its term against an independent computation, and what it must leave as plain fine-tuning has it."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from advtransfer.activations import ActivationCache, caches_activations
from advtransfer.datasets import Dataset
from advtransfer.mitigation import Mitigated, learner_of, most_discrepant, statistics_kept
from advtransfer.models import load_source
from advtransfer.randomness import generator_for
from advtransfer.transfer import OneNetwork, Run, fine_tune_seeds, new_head, set_training_mode

CPU = torch.device("cpu")
EPSILON = 2 / 255
PROTOCOL = {
    "epochs": 2,
    "evaluated_epochs": [1, 2],
    "batch_size": 8,
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch_norm": "target",
    "head_init": "uniform",
    "augmentation": "none",
    "resolution": 32,
}
NAMES = ("epoch", "test_accuracy", "train_accuracy", "test_loss", "train_loss")


@pytest.fixture(scope="module")
def source():
    return Path(__file__).resolve().parents[2] / "resources" / "sources" / "natural.safetensors"


@pytest.fixture(scope="module")
def dataset():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(16) % 2
    images = torch.randint(0, 200, (16, 3, 32, 32), generator=generator) + 50 * labels.view(-1, 1, 1, 1)
    images = images.to(torch.uint8)
    return Dataset(images, labels, images[:8].flip(3), labels[:8], ["a", "b"], {})


def protocol_of(beta=4.0, steps=2, epsilon=EPSILON, **changes):
    """What makes activations live, whatever the weight."""
    return {**PROTOCOL, "mitigation": {"beta": beta, "epsilon": epsilon, "steps": steps}, **changes}


def train(source, dataset, protocol, learner=None, blocks=1, seed=3):
    ((_, model, rows),) = fine_tune_seeds(
        source, dataset, {seed: torch.arange(16)}, blocks, protocol, CPU, learner or learner_of(protocol)
    )
    return model, [[row[name] for name in NAMES] for row in rows]


def a_learner(source, dataset, blocks=1, batch_norm="frozen", **mitigation):
    model = load_source(source).to(memory_format=torch.channels_last)
    protocol = protocol_of(batch_norm=batch_norm)
    inputs = ActivationCache(model, blocks, protocol).inputs(dataset.train_images)
    new_head(model, 2, blocks, "uniform", 3)
    run = Run(3, model, inputs, dataset.train_labels, inputs, generator_for(3, "augmentation"))
    learner = Mitigated(run, blocks, batch_norm, **{"beta": 4.0, "epsilon": EPSILON, "steps": 2, **mitigation})
    learner.set_mode(training=True)
    return learner


def test_a_protocol_with_mitigation_keeps_no_activations():
    assert caches_activations(PROTOCOL)
    assert not caches_activations(protocol_of())
    assert learner_of(PROTOCOL) is OneNetwork


@pytest.mark.parametrize(("blocks", "batch_norm"), [(0, "adapt"), (1, "adapt"), (1, "target"), (3, "frozen")])
@pytest.mark.parametrize("augmentation", ["none", "paper"])
def test_beta_0_is_plain_fine_tuning_to_the_bit(source, dataset, blocks, batch_norm, augmentation):
    """Its adversary runs all the same, and leaves no trace: neither in running statistics nor in what a seed draws."""
    protocol = protocol_of(0.0, batch_norm=batch_norm, augmentation=augmentation)
    mitigated, rows = train(source, dataset, protocol, blocks=blocks)
    plain, plain_rows = train(source, dataset, protocol, OneNetwork, blocks)
    assert rows == plain_rows
    others = plain.network.state_dict()
    for name, tensor in mitigated.network.state_dict().items():
        assert torch.equal(tensor, others[name]), name


@pytest.mark.parametrize(("blocks", "batch_norm"), [(1, "frozen"), (1, "adapt"), (3, "frozen")])
def test_the_loss_and_its_gradient_against_torchs_own_modules(source, dataset, blocks, batch_norm):
    """x' by a plain loop over steps; features by whole forward passes; gradients of every trained parameter."""
    beta, steps, rows = 2000.0, 3, torch.arange(16)[None]
    learner = a_learner(source, dataset, blocks, batch_norm, beta=beta, steps=steps)
    losses, logits = learner.training_losses(rows, dataset.train_labels[None])
    losses.sum().backward()

    other = a_learner(source, dataset, blocks, batch_norm)
    model, network = other.run.model, other.run.model.network
    images = dataset.train_images / 255
    low, high = (images - EPSILON).clamp(0, 1), (images + EPSILON).clamp(0, 1)
    draw = torch.rand(images.shape, generator=generator_for(3, "mitigation"))
    found = (images + EPSILON * (2 * draw - 1)).clamp(0, 1)
    model.eval()
    mean, std = model.mean, model.std
    with torch.no_grad():
        clean = network.features((images - mean) / std)
    for _ in range(steps):
        found = found.detach().requires_grad_(True)
        distance = (network.features((found - mean) / std) - clean).square().sum()
        (gradient,) = torch.autograd.grad(distance, found)
        found = (found.detach() + 1.25 * EPSILON / steps * gradient.sign()).clamp(low, high)
    assert float((found - images).abs().max()) <= EPSILON + 1e-7

    set_training_mode(model, blocks, batch_norm)
    ours, theirs = (network.features((batch - mean) / std) for batch in (images, found.detach()))
    term = (ours - theirs).square().sum() / (len(images) * ours.shape[1])
    expected = functional.cross_entropy(network.fc(ours), dataset.train_labels) + beta * term
    expected.backward()
    assert term.item() > 1e-5
    assert losses.item() == pytest.approx(expected.item(), rel=1e-3)
    torch.testing.assert_close(logits[0], network.fc(ours), rtol=1e-3, atol=1e-3)
    for mine, reference in zip(learner.parameters, other.parameters, strict=True):
        scale = float(reference.grad.abs().max())
        # Where a gradient is nearly 0, rounding may turn the sign of a step.
        torch.testing.assert_close(mine.grad, reference.grad, rtol=0.02, atol=0.02 * scale)


def test_both_ends_carry_a_gradient(source, dataset):
    """Without the cross-entropy, the gradient is the sum of what either end gives with the other held."""
    learner = a_learner(source, dataset, beta=1.0)
    losses, logits = learner.training_losses(torch.arange(16)[None], dataset.train_labels[None])
    term = losses.sum() - functional.cross_entropy(logits[0], dataset.train_labels)
    gradients = torch.autograd.grad(term, learner.parameters[:-2])
    assert any(gradient.abs().max() > 0 for gradient in gradients)
    head = torch.autograd.grad(
        learner.training_losses(torch.arange(16)[None], dataset.train_labels[None])[0].sum(), learner.parameters[-2:]
    )
    assert all(part.abs().max() > 0 for part in head)


def discrepancy(model, images, seed=0):
    """Mean squared distance that an adversary of ten steps finds on a network in eval mode."""
    found = most_discrepant(model, images, EPSILON, 10, generator_for(seed, "test"))
    with torch.no_grad():
        return float((model.features(found) - model.features(images)).square().sum(1).mean())


def test_a_larger_beta_keeps_the_features_closer(source, dataset):
    images = dataset.train_images / 255
    found = [
        discrepancy(train(source, dataset, protocol_of(beta, epochs=9, evaluated_epochs=[9]), blocks=3)[0], images)
        for beta in (0.0, 20.0, 200.0)
    ]
    assert found[0] > found[1] > found[2]
    assert found[2] < 0.5 * found[0]


def test_a_seed_determines_every_bit(source, dataset):
    model, rows = train(source, dataset, protocol_of())
    again, again_rows = train(source, dataset, protocol_of())
    other, other_rows = train(source, dataset, protocol_of(), seed=4)
    assert rows == again_rows != other_rows
    assert torch.equal(model.network.fc.weight, again.network.fc.weight)
    assert not torch.equal(model.network.fc.weight, other.network.fc.weight)


def test_the_adversary_stays_in_its_ball_and_in_the_range_of_pixels(source, dataset):
    model, images = load_source(source), dataset.train_images / 255
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    found = most_discrepant(model, images, EPSILON, 4, generator_for(1, "mitigation"))
    assert model.training
    assert float((found - images).abs().max()) <= EPSILON + 1e-7
    assert found.min() >= 0
    assert found.max() <= 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    start = most_discrepant(model, images, EPSILON, 1, generator_for(1, "mitigation"))
    assert discrepancy_of(model, images, found) > discrepancy_of(model, images, start)


@torch.no_grad()
def discrepancy_of(model, images, others):
    model.eval()
    return float((model.features(others) - model.features(images)).square().sum())


def test_running_statistics_are_kept_and_modes_restored(source, dataset):
    model, images = load_source(source).train(), dataset.train_images / 255
    layer = model.network.layer4[2].bn3.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with statistics_kept(model), torch.no_grad():
        kept = model(images)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with torch.no_grad():
        torch.testing.assert_close(model(images), kept)  # normalised as in training
    assert not torch.equal(model.network.bn1.running_mean, before["network.bn1.running_mean"])
    assert (layer.training, layer.momentum, layer.track_running_stats) == (False, 0.1, True)


def test_cached_activations_are_refused(source, dataset):
    learner = partial(Mitigated, beta=1.0, epsilon=EPSILON, steps=1)
    with pytest.raises(ValueError, match="these inputs are cached activations"):
        train(source, dataset, PROTOCOL, learner)
