"""The whole fine-tuning on subsets: against the engine's own evaluation, and by what it must and must not hang on."""

from pathlib import Path

import numpy as np
import pytest
import torch

from advtransfer.datasets import Dataset
from advtransfer.retraining import retrained_losses
from advtransfer.transfer import fine_tune_seeds

CPU = torch.device("cpu")
SOURCE = Path(__file__).resolve().parents[2] / "resources/sources/natural.safetensors"
PROTOCOL = {
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch_size": 8,
    "epochs": 3,
    "evaluated_epochs": [1, 3],
    "batch_norm": "target",
    "head_init": "uniform",
    "augmentation": "none",
    "resolution": 32,
}


@pytest.fixture(scope="module")
def dataset():
    """Three classes, each a colour in noise: 24 training and 9 test images."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(33) % 3
    images = torch.randint(0, 120, (33, 3, 8, 8), dtype=torch.uint8, generator=generator)
    images[torch.arange(33), labels] += 100
    return Dataset(images[:24], labels[:24], images[24:], labels[24:], ["red", "green", "blue"], {})


def losses(dataset, subsets, seeds, blocks=1, query_ids=None, image_ids=None):
    image_ids = torch.arange(24) if image_ids is None else image_ids
    query_ids = torch.arange(9) if query_ids is None else query_ids
    return retrained_losses(SOURCE, dataset, image_ids, query_ids, subsets, seeds, blocks, PROTOCOL, CPU)


@pytest.mark.parametrize("blocks", [0, 1])
def test_their_mean_is_the_test_loss_of_a_fine_tuning_on_the_subset(dataset, blocks):
    """With 0 blocks all seeds' heads are trained at once, on features of one source."""
    subsets = np.zeros((2, 24), dtype=bool)
    subsets[0, :12], subsets[1, 6:20] = True, True
    image_ids = torch.arange(24).flip(0)
    found = losses(dataset, subsets, [5, 6], blocks, image_ids=image_ids)
    assert found.shape == (2, 2, 9)
    for column, subset in enumerate(subsets):
        ids = torch.tensor([int(image_ids[i]) for i in range(24) if subset[i]])
        for row, seed in enumerate((5, 6)):
            ((_, _, rows),) = fine_tune_seeds(SOURCE, dataset, {seed: ids}, blocks, PROTOCOL, CPU)
            assert found[row, column].mean() == pytest.approx(rows[-1]["test_loss"], rel=1e-4)
    assert not np.allclose(found[0], found[1])


def test_a_query_s_loss_does_not_hang_on_the_other_queries(dataset):
    subsets = np.ones((1, 24), dtype=bool)
    whole, some = losses(dataset, subsets, [5]), losses(dataset, subsets, [5], query_ids=torch.tensor([7, 2]))
    np.testing.assert_allclose(some[0, 0], whole[0, 0, [7, 2]], rtol=1e-3, atol=1e-5)


def test_a_class_that_the_subset_lacks_is_not_learnt(dataset):
    """What is left out is what the loss of its class rises by."""
    subsets = np.ones((2, 24), dtype=bool)
    subsets[1, dataset.train_labels.numpy() == 2] = False
    whole, lacking = losses(dataset, subsets, [5])[0]
    blue = dataset.test_labels.numpy() == 2
    assert (lacking[blue] > whole[blue] + 1).all()
