"""Images shrunk by area."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from advtransfer.datasets import Dataset
from advtransfer.errors import InputError
from advtransfer.targets.shrinking import BATCH, shrink, shrunk


def by_repetition(image, height, width):
    """The area means of an image [h, w]: every pixel repeated until old and new ones share a grid, then blocks averaged."""
    rows, columns = image.shape
    fine = np.repeat(np.repeat(image.astype(int), height, axis=0), width, axis=1)
    sums = fine.reshape(height, rows, width, columns).sum((1, 3))
    return (2 * sums + rows * columns) // (2 * rows * columns)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 12), st.randoms(use_true_random=False))
def test_each_pixel_is_the_mean_of_its_area(height, width, pixels, random):
    image = np.array([[random.randrange(256) for _ in range(width)] for _ in range(height)], np.uint8)
    shorter = min(height, width)
    pixels = min(pixels, shorter)
    found = shrink(torch.from_numpy(image)[None, None], pixels)[0, 0].numpy()
    assert min(found.shape) == pixels
    assert found.tolist() == by_repetition(image, *found.shape).tolist()


def test_blocks_of_whole_pixels_are_averaged():
    images = torch.randint(0, 256, (3, 2, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    means = images.double().unflatten(2, (4, 2)).unflatten(4, (4, 2)).mean((3, 5))
    assert torch.equal(shrink(images, 4), (means + 0.5).floor().to(torch.uint8))
    assert torch.equal(shrink(images, 8), images)


def test_more_images_than_a_batch_and_none():
    images = (
        torch.arange(BATCH + 3, dtype=torch.int64).remainder(256).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    )
    assert torch.equal(shrink(images, 2), images[:, :, :2, :2])
    assert shrink(torch.empty(0, 1, 4, 4, dtype=torch.uint8), 2).shape == (0, 1, 2, 2)


def test_a_longer_side_keeps_the_proportion():
    assert shrink(torch.zeros(1, 3, 30, 40, dtype=torch.uint8), 15).shape == (1, 3, 15, 20)


def test_images_are_never_enlarged():
    with pytest.raises(InputError, match=r"shrink_to: found 9; the images have 8 pixels\. Lower it"):
        shrink(torch.zeros(1, 1, 8, 10, dtype=torch.uint8), 9)


def test_a_data_set_keeps_its_labels_and_says_what_was_done():
    images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    labels = torch.arange(4)
    small = shrunk(Dataset(images, labels, images[:2], labels[:2], list("abcd"), {"kind": "digits"}), 5)
    assert small.train_images.shape == (4, 1, 5, 5)
    assert small.test_images.shape == (2, 1, 5, 5)
    assert torch.equal(small.train_labels, labels)
    assert small.origin == {"kind": "digits", "shrink_to": 5}
