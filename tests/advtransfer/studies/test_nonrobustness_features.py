"""CCA and universal perturbations: invariances, an independent computation, and what must stay within its bounds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from advtransfer.config.columns import NONROBUSTNESS_FEATURES_ROWS
from advtransfer.errors import InputError
from advtransfer.models import ImageClassifier, ResNet
from advtransfer.randomness import generator_for
from advtransfer.studies.nonrobustness_features import (
    changed,
    layer_activations,
    mean_cca,
    measure,
    principal_directions,
    random_signs,
    universal_perturbation,
)

CPU = torch.device("cpu")


def matrices(seed, count=40, widths=(5, 7), shared=3):
    """Activations of two networks that have some directions in common."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((count, shared))
    return [
        common @ rng.standard_normal((shared, width)) + 0.5 * rng.standard_normal((count, width)) for width in widths
    ]


@given(seed=st.integers(0, 10_000), variance=st.sampled_from([0.8, 0.99, 1.0]), scale=st.floats(1e-3, 1e3))
@settings(max_examples=40, deadline=None)
def test_a_layer_is_like_itself(seed, variance, scale):
    """Also scaled, shifted and rotated, whatever share of the variance is kept."""
    x, _ = matrices(seed)
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((5, 5)))
    assert mean_cca(x, x, variance) == pytest.approx(1, abs=1e-9)
    assert mean_cca(x, scale * x @ rotation + 3, variance) == pytest.approx(1, abs=1e-6)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_invertible_linear_maps_change_nothing(seed):
    x, y = matrices(seed)
    rng = np.random.default_rng(seed + 1)
    left, right = (np.eye(width) + 0.3 * rng.uniform(-1, 1, (width, width)) / width for width in (5, 7))
    expected = mean_cca(x, y, 1)
    assert 0 <= expected <= 1
    assert mean_cca(x @ left + 2, y @ right - 1, 1) == pytest.approx(expected, abs=1e-9)
    assert mean_cca(y, x, 1) == pytest.approx(expected, abs=1e-12)


def test_against_the_eigenvalues_of_the_textbook():
    """Squared correlations are the eigenvalues of Sxx^-1 Sxy Syy^-1 Syx."""
    x, y = (part - part.mean(0) for part in matrices(4))
    product = np.linalg.solve(x.T @ x, x.T @ y) @ np.linalg.solve(y.T @ y, y.T @ x)
    expected = np.sqrt(np.linalg.eigvals(product).real.clip(0, 1)).mean()
    assert mean_cca(x, y, 1) == pytest.approx(expected, abs=1e-9)


def test_only_leading_components_count():
    """A direction of little variance that only one has is left out."""
    x, _ = matrices(5)
    noise = np.random.default_rng(0).standard_normal((40, 1))
    wide = np.concatenate([x, 1e-3 * noise], 1)
    assert mean_cca(wide, x, 0.99) == pytest.approx(mean_cca(x, x @ np.eye(5), 0.99), abs=1e-4)
    assert principal_directions(np.diag([10.0, 1, 0.1, 0])[:, :3], 0.9).shape[1] < 3


def test_shuffled_images_are_less_alike_and_a_constant_layer_has_none():
    x, y = matrices(6, count=200)
    order = np.random.default_rng(1).permutation(200)
    assert mean_cca(x, y[order], 1) < 0.5 * mean_cca(x, y, 1)
    assert np.isnan(mean_cca(x, np.ones((200, 3))))


def a_network(seed, classes=3):
    network = ResNet(classes, (1, 1), 0.125, "imagenet")
    network.initialise(torch.Generator().manual_seed(seed))
    return ImageClassifier(network).eval().requires_grad_(False)


def some_images(count=12, seed=0):
    return torch.randint(0, 256, (count, 3, 16, 16), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def test_the_last_layer_is_the_penultimate_features():
    model, images = a_network(0), some_images()
    layers = layer_activations(model, images, 16, CPU)
    assert [layer.shape for layer in layers] == [(12, 8), (12, 32), (12, 64)]
    np.testing.assert_allclose(layers[-1], model.features(images / 255).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("epsilon", [1 / 255, 8 / 255])
def test_one_perturbation_moves_all_images_further_than_random_signs(epsilon):
    model, images = a_network(1), some_images(20, 1) / 255
    delta = universal_perturbation(model, images, epsilon, 10, generator_for(0, "test"))
    assert delta.shape == (3, 16, 16)
    assert float(delta.abs().max()) <= epsilon * (1 + 1e-6)

    def moved(perturbation):
        difference = model.features((images + perturbation).clamp(0, 1)) - model.features(images)
        return float(difference.square().sum(1).mean())

    signs = [random_signs(images[0], epsilon, generator_for(seed, "signs")) for seed in range(3)]
    assert all(set((sign / epsilon).unique().tolist()) == {-1.0, 1.0} for sign in signs)
    assert moved(delta) > 1.5 * max(map(moved, signs))
    start = universal_perturbation(model, images, epsilon, 1, generator_for(0, "test"))
    assert moved(delta) >= moved(start)


def test_no_perturbation_changes_no_class():
    model, images = a_network(2), some_images() / 255
    assert changed(model, images, [torch.zeros(3, 16, 16)]) == [0]
    black = -torch.ones(3, 16, 16)
    of_black = model(torch.zeros(1, 3, 16, 16)).argmax()
    assert changed(model, images, [black]) == [pytest.approx((model(images).argmax(1) != of_black).double().mean())]


def test_networks_of_other_stages_cannot_be_compared_layer_by_layer():
    deeper = ResNet(3, (1, 1, 1), 0.125, "imagenet")
    networks = {"natural": a_network(0), "standard": ImageClassifier(deeper).eval()}
    with pytest.raises(InputError, match="have 2 and 3 stages"):
        list(measure(networks, [["natural", "standard"]], some_images(), some_images(), 16, {}, 7, CPU))


def test_rows_have_their_columns_and_a_network_equals_itself():
    networks = {"natural": a_network(0), "fine_tuned": a_network(0), "standard": a_network(3)}
    asked = {"variance": 0.99, "epsilon": 8 / 255, "steps": 3, "draws": 2, "crafted": ["natural"], "seed": 0}
    asked["perturbed"] = ["fine_tuned", "standard"]
    pairs = [["natural", "fine_tuned"], ["natural", "standard"]]
    rows = list(measure(networks, pairs, some_images(8), some_images(30, 5), 16, asked, 7, CPU))
    assert all({"target", *row} == set(NONROBUSTNESS_FEATURES_ROWS) for row in rows)
    cca = {(row["second"], row["place"]): row["value"] for row in rows if row["quantity"] == "cca"}
    assert all(cca["fine_tuned", layer] == pytest.approx(1) for layer in range(3))
    assert any(cca["standard", layer] < 0.99 for layer in range(3))
    assert {(row["first"], row["second"]) for row in rows if row["quantity"] == "changed"} == {
        (first, second) for first in ("natural", "random") for second in ("fine_tuned", "standard")
    }
    assert sum(row["quantity"] == "pixel" for row in rows) == 2 * 3 * 16 * 16
