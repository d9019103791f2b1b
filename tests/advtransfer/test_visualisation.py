"""Gradient ascent on penultimate units."""

import pytest
import torch

from advtransfer.models import ImageClassifier, ResNet
from advtransfer.randomness import generator_for
from advtransfer.visualisation import penultimate, starting_images, visualise


@pytest.fixture(scope="module")
def model():
    network = ResNet(10, (1, 1, 1, 1), 0.25, "cifar")
    network.initialise(generator_for(0, "initialisation"))
    return ImageClassifier(network).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def starts():
    return torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_features_are_the_networks_and_the_last_relu_passes_all_gradients(model, starts):
    images = starts.clone().requires_grad_(True)
    features = penultimate(model, images)
    assert torch.allclose(features, model.features(starts), atol=1e-6)
    # Against the same unit before the last ReLU, whose gradient nothing blocks.
    last = model.network.layer4[-1]
    seen = []
    handle = last.relu.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    again = starts.clone().requires_grad_(True)
    model.features(again)
    handle.remove()
    (expected,) = torch.autograd.grad(seen[-1].mean((2, 3))[:, 5].sum(), again)
    (found,) = torch.autograd.grad(features[:, 5].sum(), images)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-7)


def test_one_step_is_a_normalised_step_uphill(model, starts):
    unit = int(model.features(starts).min(0).values.argmax())  # one that no start leaves silent
    images, activations = visualise(model, starts, [unit], 1, 0.01)
    step = (images[0] - starts).flatten(1).norm(dim=1)
    assert (step <= 0.01 + 1e-6).all()
    assert step.max() > 0.009  # clamping takes a little
    assert (activations[0, :, 1] > activations[0, :, 0]).all()


def test_units_and_starts_as_a_batch_equal_one_at_a_time(model, starts):
    images, activations = visualise(model, starts, [1, 4], 3, 0.1)
    assert images.shape == (2, 3, 3, 16, 16)
    assert activations.shape == (2, 3, 2)
    for index, unit in enumerate((1, 4)):
        for column in range(3):
            alone, activation = visualise(model, starts[column : column + 1], [unit], 3, 0.1)
            assert torch.allclose(alone[0, 0], images[index, column], atol=1e-5)
            assert torch.allclose(activation[0, 0], activations[index, column], atol=1e-5)
    assert images.min() >= 0
    assert images.max() <= 1


def test_a_vanishing_gradient_leaves_the_image_as_it_is(model, starts):
    black = ImageClassifier(model.network, std=(1e30, 1e30, 1e30)).eval()
    images, _ = visualise(black, starts, [0], 2, 0.1)
    assert torch.isfinite(images).all()


def test_starting_images():
    images, names = starting_images(32, generator_for(0, "visualisation"))
    assert images.shape == (3, 3, 32, 32)
    assert len(names) == 3
    assert images.min() >= 0
    assert images.max() <= 1
    assert images[2].std() < images[0].std()
