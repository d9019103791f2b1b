"""Training a source on a problem small enough for a test: it learns, and adversarial training makes it robust."""

import pytest
import torch

from advtransfer.datasets import Dataset
from advtransfer.robustness import measure_accuracy
from advtransfer.sources import train_source
from advtransfer.threats import L2

CPU = torch.device("cpu")
SETTINGS = {
    "layers": [1, 1],
    "width": 0.25,
    "stem": "imagenet",
    "resolution": 16,
    "seed": 0,
    "threat": None,
    "attack_steps": 2,
    "epochs": 6,
    "batch_size": 50,
    "peak_learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 5e-4,
}


@pytest.fixture(scope="module")
def dataset():
    """Two classes told apart by a robust feature (a bright half) and by a faint one (a checkerboard)."""
    generator = torch.Generator().manual_seed(0)
    board = (torch.arange(16).view(-1, 1) + torch.arange(16)) % 2

    def part(n):
        labels = torch.arange(n) % 2
        images = torch.randint(100, 156, (n, 3, 16, 16), generator=generator)
        sides = torch.where(torch.rand(n, generator=generator) < 0.85, labels, 1 - labels)
        half = torch.zeros(n, 1, 16, 16, dtype=torch.int64)
        half[sides == 0, :, :8] = 30
        half[sides == 1, :, 8:] = 30
        images = images + half + 6 * (board * (2 * labels.view(-1, 1, 1, 1) - 1))
        return images.clamp(0, 255).to(torch.uint8), labels

    return Dataset(*part(600), *part(200), ["top", "bottom"], {})


def train(dataset, **changes):
    lines = []
    result = train_source(dataset, {**SETTINGS, **changes}, CPU, lines.append)
    return *result, lines


def test_natural_and_adversarial_training(dataset):
    threat = {"norm": "l2", "epsilon": 0.5}
    natural, metadata, rows, lines = train(dataset)
    robust, robust_metadata, _, _ = train(dataset, threat=threat)
    measure = [dataset.test_images, dataset.test_labels, 16]
    assert measure_accuracy(natural, *measure) > 0.7
    assert measure_accuracy(robust, *measure, L2(0.5)) > measure_accuracy(natural, *measure, L2(0.5)) + 0.1
    assert rows[-1]["train_loss_nats"] < rows[0]["train_loss_nats"]
    assert len(rows) == len(lines) == 6
    assert metadata["threat"] is None
    assert robust_metadata["threat"] == threat
    assert metadata["classes"] == 2


def test_the_seed_determines_every_weight(dataset):
    one, two, other = (train(dataset, epochs=1, seed=seed)[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["network.fc.weight"], other["network.fc.weight"])


def test_divergence_is_an_error(dataset):
    with pytest.raises(FloatingPointError, match="training diverged in epoch 1"):
        train(dataset, peak_learning_rate=1e20, epochs=1)
