"""Resizing against PIL, and random augmentation per image."""

import numpy as np
import pytest
import torch
from PIL import Image

from advtransfer.augmentation import augment, to_unit


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "resolution"), [((8, 8), 32), ((32, 32), 224), ((28, 28), 224), ((300, 200), 224)])
def test_resizing_equals_pil(channels, size, resolution):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4, channels, *size), generator=generator, dtype=torch.uint8)
    ours = to_unit(images, resolution)
    for image, tensor in zip(images, ours, strict=True):
        array = image.permute(1, 2, 0).squeeze(2).numpy() if channels == 1 else image.permute(1, 2, 0).numpy()
        pil = np.asarray(Image.fromarray(array).resize((resolution, resolution), Image.Resampling.BILINEAR)) / 255
        pil = pil[None] if channels == 1 else pil.transpose(2, 0, 1)
        differences = np.abs(tensor.numpy() - pil)
        assert differences.max() <= 1 / 255 + 1e-6
        assert (differences > 1e-6).mean() < 0.01


def test_no_resize_is_exact():
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(to_unit(images, 16), (images.float() / 255).expand(1, 3, 16, 16))


def test_each_image_gets_its_own_draw_and_the_generator_decides_all():
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images = image.expand(16, -1, -1, -1).contiguous()
    state = torch.get_rng_state()
    first = augment(images, "paper", torch.Generator().manual_seed(1))
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(3)
    assert torch.equal(first, augment(images, "paper", torch.Generator().manual_seed(1)))
    assert not torch.equal(first, augment(images, "paper", torch.Generator().manual_seed(2)))
    assert len({tuple(x.flatten().tolist()) for x in first}) == 16
    assert first.shape == images.shape
    assert first.min() >= 0
    assert first.max() <= 1


def test_crop_and_flip_are_shifts_of_at_most_four_pixels():
    """Every result is the padded image, or its mirror image, seen through a window at one of 9 x 9 places."""
    image = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0)) + 0.01
    padded = torch.nn.functional.pad(image, [4] * 4)
    windows = [padded[..., y : y + 12, x : x + 12] for y in range(9) for x in range(9)]
    possible = torch.cat(windows + [window.flip(-1) for window in windows])
    draws = augment(image.expand(200, -1, -1, -1).contiguous(), "crop_flip", torch.Generator().manual_seed(0))
    distances = torch.cdist(draws.flatten(1), possible.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
    assert distances.min(1).values.max() < 1e-4
    # Both mirror images, and most places, turn up.
    seen = distances.argmin(1)
    assert 60 < int((seen < 81).sum()) < 140
    assert len(set(seen.tolist())) > 80


def test_none_changes_nothing():
    images = torch.rand(2, 3, 8, 8)
    assert augment(images, "none", torch.Generator()) is images
