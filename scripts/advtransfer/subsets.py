"""Random target subsets with every class in them (paper, section 4; the authors' code)."""

from collections.abc import Sequence

import torch

from advtransfer.errors import InputError
from advtransfer.randomness import generator_for


def draw_subset(labels: torch.Tensor | Sequence[int], images: int, seed: int) -> torch.Tensor:
    """Image ids, int64 [images], of a random subset without replacement that holds at least one image of each class.

    The ids are shuffled with the seed, then taken in order while places remain for the classes still missing; so a
    subset as large as the number of classes has exactly one image of each. The result depends on nothing but the
    arguments: it is the same for every source and every number of blocks, which pairs their runs by seed.

    labels: int [n], the label of each training image. images: the subset's size. seed: any integer.
    Raises InputError where there are fewer images than asked for, or more classes than places.
    """
    labels = torch.as_tensor(labels).tolist()
    missing = set(labels)
    if images > len(labels):
        raise InputError(f"subset of {images} images: there are only {len(labels)} training images. Lower 'images'.")
    if images < len(missing):
        raise InputError(
            f"subset of {images} images: the target has {len(missing)} classes and each needs one. Raise 'images'."
        )
    chosen: list[int] = []
    for image_id in torch.randperm(len(labels), generator=generator_for(seed, "subset")).tolist():
        if len(chosen) == images:
            break
        if labels[image_id] in missing:
            missing.remove(labels[image_id])
            chosen.append(image_id)
        elif images - len(chosen) > len(missing):
            chosen.append(image_id)
    return torch.tensor(chosen, dtype=torch.int64)
