"""A user's own images: a folder for each class."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from advtransfer.datasets import Dataset
from advtransfer.errors import InputError
from advtransfer.targets.image_file import UnreadableImageError, read_image
from advtransfer.targets.listing import list_image_folder, shown, without


def build(settings: Mapping[str, Any], downloads: Path, place: str) -> Dataset:
    """Read a folder with train/ and test/, each with a folder per class; or one folder with a folder per class.

    test_share: for one folder, the share of each class that becomes the test set (files are shuffled with seed 0
    within each class); 1 makes all of them test images, as a validation folder needs it. resolution: pixels of a side to
    which every image is resized (bilinear, whole image); needed only if the images differ in size. resize: the shorter side
    is resized to so many pixels first, and the central square of `resolution` is cut out (ImageNet's convention: 256 and
    224). unreadable: "refuse" or "skip" files that are not readable as images. Images keep one channel if all of them are
    grey, else they become RGB; see `read_image`. Files whose names begin with "." are ignored.
    """
    folder = Path(settings["path"])
    parts = list_image_folder(folder, settings.get("test_share"), place)
    resolution, resize = settings.get("resolution"), settings.get("resize")
    if resize is not None and (resolution is None or resolution > resize):
        raise InputError(
            f"{place}: 'resize' is {resize}, with 'resolution' {resolution}. Give a resolution that is not larger than "
            "resize; ImageNet's are 256 and 224."
        )
    # Grey images are found out by looking: read everything once, then decide.
    images: dict[str, list[np.ndarray]] = {}
    labels: dict[str, list[int]] = {}
    bad: dict[Path, str] = {}
    for part, classes in parts.items():
        images[part], labels[part] = [], []
        for label, files in enumerate(classes.values()):
            for file in files:
                try:
                    images[part].append(read_image(file, resolution, resize))
                    labels[part].append(label)
                except UnreadableImageError as error:
                    bad[file] = str(error)
    if bad and settings.get("unreadable", "refuse") == "refuse":
        named = ", ".join(f"{shown(file)} ({reason})" for file, reason in list(bad.items())[:3])
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise InputError(
            f"{place}: {len(bad)} unreadable image file(s): {named}{more}. "
            "Remove them, or set 'unreadable: skip' for this target."
        )
    without(parts, bad, folder, place)
    everything = images["train"] + images["test"]
    sizes = sorted({array.shape[:2] for array in everything})
    if len(sizes) > 1:
        raise InputError(
            f"{place}: images of {len(sizes)} sizes, from {sizes[0][1]}x{sizes[0][0]} to {sizes[-1][1]}x{sizes[-1][0]} "
            "pixels. Set 'resolution' for this target, for example 'resolution: 224'."
        )
    grey = all(array.ndim == 2 for array in everything)
    return Dataset(
        _stack(images["train"], grey, sizes[0]),
        torch.tensor(labels["train"], dtype=torch.int64),
        _stack(images["test"], grey, sizes[0]),
        torch.tensor(labels["test"]),
        list(parts["train"]),
        {
            "kind": "image_folder",
            "folder": str(folder),
            "skipped": [shown(file) for file in bad],
            "test_share": settings.get("test_share"),
        },
    )


def _stack(arrays: list[np.ndarray], grey: bool, size: tuple[int, int]) -> torch.Tensor:
    if not arrays:
        return torch.empty(0, 1 if grey else 3, *size, dtype=torch.uint8)
    if grey:
        return torch.from_numpy(np.stack(arrays)[:, None])
    colour = [np.repeat(array[..., None], 3, axis=2) if array.ndim == 2 else array for array in arrays]
    return torch.from_numpy(np.stack(colour)).permute(0, 3, 1, 2).contiguous()
