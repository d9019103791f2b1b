"""The rules of a target subset, for any labels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from advtransfer.errors import InputError
from advtransfer.subsets import draw_subset


@given(data=st.data())
@settings(deadline=None, max_examples=100)
def test_any_subset_is_distinct_complete_and_reproducible(data):
    labels = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=60))
    images = data.draw(st.integers(len(set(labels)), len(labels)))
    seed = data.draw(st.integers(0, 2**40))
    ids = draw_subset(torch.tensor(labels), images, seed)
    assert len(ids) == images == len(set(ids.tolist()))
    assert {labels[i] for i in ids} == set(labels)
    assert torch.equal(ids, draw_subset(labels, images, seed))


def test_as_many_images_as_classes_is_one_of_each():
    """CIFAR-100 at 100 images (docs/protocol.md)."""
    labels = torch.arange(100).repeat(500)
    ids = draw_subset(labels, 100, 20000000)
    assert sorted(labels[ids].tolist()) == list(range(100))


def test_seeds_differ():
    labels = torch.arange(10).repeat(100)
    draws = {tuple(draw_subset(labels, 20, 20000000 + 100000 * i).tolist()) for i in range(20)}
    assert len(draws) == 20


def test_a_rare_class_is_always_there_and_the_rest_is_drawn_evenly():
    labels = np.repeat([0, 1, 2], [500, 499, 1])
    counts = np.zeros(1000)
    for seed in range(300):
        counts[draw_subset(labels, 50, seed).numpy()] += 1
    assert counts[999] == 300
    # 49 of the other 999 images in each draw: 14.7 expected of each image.
    assert counts[:999].mean() == pytest.approx(49 * 300 / 999)
    assert counts[:999].max() < 14.7 + 6 * 14.7**0.5


def test_impossible_sizes_are_refused():
    with pytest.raises(InputError, match="only 4 training images"):
        draw_subset([0, 0, 1, 1], 5, 0)
    with pytest.raises(InputError, match="2 classes and each needs one"):
        draw_subset([0, 0, 1, 1], 1, 0)
