"""Targets at a lower resolution than their own: each image shrunk by area."""

from dataclasses import replace

import torch

from advtransfer.datasets import Dataset
from advtransfer.errors import InputError

# Images at a time: their sums take 8 bytes a value.
BATCH = 4096


def shrink(images: torch.Tensor, pixels: int) -> torch.Tensor:
    """uint8 images [n, c, h, w] shrunk so that their shorter side has `pixels`, the longer one in proportion (rounded).

    Each new pixel is the mean grey level of the area that it covers, parts of old pixels included, rounded half up: whole
    numbers all the way, so that every processor gives the same images. Raises InputError where the images are smaller.
    """
    height, width = images.shape[-2:]
    shorter = min(height, width)
    if pixels > shorter:
        raise InputError(f"shrink_to: found {pixels}; the images have {shorter} pixels. Lower it, or remove it.")
    rows, columns = (_overlaps(side, max(1, round(side * pixels / shorter))) for side in (height, width))
    area = height * width  # that a new pixel's overlaps sum to
    parts = []
    for batch in images.split(BATCH):
        # Sums of whole numbers far below 2**53, which float64 holds exactly in any order.
        sums = (rows @ batch.double() @ columns.T).to(torch.int64)
        parts.append(((2 * sums + area) // (2 * area)).to(torch.uint8))
    return torch.cat(parts) if parts else images


def _overlaps(old: int, new: int) -> torch.Tensor:
    """How much of each old pixel [new, old] lies in each new one, in units of 1/new of an old pixel: rows sum to `old`."""
    start = torch.arange(new).view(-1, 1) * old
    left = torch.arange(old) * new
    return (torch.minimum(start + old, left + new) - torch.maximum(start, left)).clamp(min=0).double()


def shrunk(dataset: Dataset, pixels: int) -> Dataset:
    """A data set whose images are shrunk (see `shrink`); its origin says so."""
    return replace(
        dataset,
        train_images=shrink(dataset.train_images, pixels),
        test_images=shrink(dataset.test_images, pixels),
        origin={**dataset.origin, "shrink_to": pixels},
    )
