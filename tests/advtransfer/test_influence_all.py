"""Influence through all fine-tuned weights: against autograd where the Hessian is left out, and against the head's own."""

from pathlib import Path

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional

from advtransfer.augmentation import to_unit
from advtransfer.features import read_out
from advtransfer.influence import head_influence
from advtransfer.influence_all import all_parameter_influence
from advtransfer.models import load_source

CPU = torch.device("cpu")
SOURCE = Path(__file__).resolve().parents[2] / "resources/sources/natural.safetensors"


@pytest.fixture(scope="module")
def problem():
    """A bundled network with a new head for 3 classes, 12 training images and 5 queries."""
    model = load_source(SOURCE)
    model.network.fc = nn.Linear(512, 3)
    with torch.no_grad():
        model.network.fc.weight.copy_(torch.randn(3, 512, generator=torch.Generator().manual_seed(1)) * 0.05)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (17, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.arange(17) % 3
    return model, (images[:12], labels[:12]), (images[12:], labels[12:])


@pytest.mark.parametrize("blocks", [0, 1])
def test_without_a_hessian_it_is_the_inner_product_of_gradients(problem, blocks):
    model, train, queries = problem
    found = all_parameter_influence(model, blocks, train, queries, 32, CPU, strategy="identity")
    trained = [*model.network.blocks()[16 - blocks :], model.network.fc]
    weights = [
        parameter
        for part in trained
        for module in part.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
        for parameter in module.parameters()
    ]

    def gradients(images, labels):
        rows = []
        for image, label in zip(images, labels, strict=True):
            loss = functional.cross_entropy(model.eval()(to_unit(image[None], 32)), label[None])
            rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)]))
        return torch.stack(rows)

    for weight in weights:
        weight.requires_grad_(True)
    expected = gradients(*queries) @ gradients(*train).T
    assert found.shape == (5, 12)
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_through_the_head_alone_it_ranks_as_the_closed_form_does(problem):
    """EK-FAC is an approximation, with sampled labels and a damping of its own: ranks agree, values need not."""
    model, train, queries = problem
    found = all_parameter_influence(model, 0, train, queries, 32, CPU)
    sides = [
        [part.numpy() for part in (*read_out(model, images, 32, CPU), labels)] for images, labels in (train, queries)
    ]
    exact = head_influence(*sides[0], *sides[1], pinv_rcond=1e-6)
    assert spearmanr(found.numpy().ravel(), exact.ravel()).statistic > 0.6


def test_the_network_is_left_as_it_was(problem):
    model, train, queries = problem
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    all_parameter_influence(model, 0, train, queries, 32, CPU)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert isinstance(model.network.fc, nn.Linear)


def test_where_torch_finds_no_eigenvalues_scipy_does(problem, monkeypatch, caplog):
    """MKL's divide and conquer gives up on covariances whose entries are nearly all 0."""
    model, train, queries = problem
    expected = all_parameter_influence(model, 0, train, queries, 32, CPU)
    asked = []

    def give_up(matrix):
        asked.append(matrix.shape)
        raise torch.linalg.LinAlgError("the algorithm failed to converge")

    monkeypatch.setattr(torch.linalg, "eigh", give_up)
    found = all_parameter_influence(model, 0, train, queries, 32, CPU)
    assert asked == [(513, 513), (3, 3)]
    assert caplog.messages == [
        f"torch finds no eigenvalues of a covariance [{n}, {n}]: scipy is asked" for n in (513, 3)
    ]
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert torch.linalg.eigh is give_up
