"""A user's own images: a folder for each class."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from advtransfer.datasets import Dataset
from advtransfer.errors import InputError
from advtransfer.targets.listing import list_image_folder


def build(settings: Mapping[str, Any], downloads: Path, place: str) -> Dataset:
    """Read a folder with train/ and test/, each with a folder per class; or one folder with a folder per class.

    test_share: for one folder, the share of each class that becomes the test set (files are shuffled with seed 0
    within each class); 1 makes all of them test images, as a validation folder needs it. resolution: pixels of a side to which every image is resized (bilinear, whole image); needed
    only if the images differ in size. resize: the shorter side is resized to so many pixels first, and the central square of
    `resolution` is cut out (ImageNet's convention: 256 and 224). unreadable: "refuse" or "skip" files that PIL cannot read.
    Images keep one channel if all of them are grey, else they become RGB; transparency is dropped, 16 bits become 8, and
    of a moving image the first frame counts. Files whose names begin with "." are ignored.
    """
    folder = Path(settings["path"])
    parts = list_image_folder(folder, settings.get("test_share"), place)
    # Grey images are found out by looking: read everything once, then decide.
    images: dict[str, list[np.ndarray]] = {}
    labels: dict[str, list[int]] = {}
    bad: list[str] = []
    for part, classes in parts.items():
        images[part], labels[part] = [], []
        for label, files in enumerate(classes.values()):
            for file in files:
                array = _read_image(file, settings.get("resolution"), settings.get("resize"))
                if array is None:
                    bad.append(str(file))
                else:
                    images[part].append(array)
                    labels[part].append(label)
    if bad and settings.get("unreadable", "refuse") == "refuse":
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise InputError(
            f"{place}: {len(bad)} unreadable image file(s): {', '.join(bad[:3])}{more}. "
            "Remove them, or set 'unreadable: skip' for this target."
        )
    for part, classes in parts.items():
        for label, (name, files) in enumerate(classes.items()):
            if files and label not in labels[part]:
                raise InputError(
                    f"{place}: class '{name}' of {folder} has no readable image for {part}ing. Add images."
                )
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
        {"kind": "image_folder", "folder": str(folder), "skipped": bad, "test_share": settings.get("test_share")},
    )


def _read_image(file: Path, resolution: int | None, shorter_side: int | None) -> np.ndarray | None:
    """One image as uint8 [h, w] (grey) or [h, w, 3]; None if PIL cannot read it."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):
                # PIL's own conversion clips 16-bit grey at 255 instead of scaling it.
                image = Image.fromarray((np.asarray(image).astype(np.int64) // 257).clip(0, 255).astype(np.uint8))
            grey = image.mode in ("1", "L")
            image = image.convert("L" if grey else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        # PIL raises any of these for a damaged file, by format.
        return None
    if shorter_side is not None:
        # Sides are rounded down and corners to the nearest pixel, as torchvision's transforms do.
        width, height = (shorter_side * side // min(image.size) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = round((width - resolution) / 2), round((height - resolution) / 2)
        image = image.crop((left, top, left + resolution, top + resolution))
    elif resolution is not None and image.size != (resolution, resolution):
        image = image.resize((resolution, resolution), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _stack(arrays: list[np.ndarray], grey: bool, size: tuple[int, int]) -> torch.Tensor:
    if not arrays:
        return torch.empty(0, 1 if grey else 3, *size, dtype=torch.uint8)
    if grey:
        return torch.from_numpy(np.stack(arrays)[:, None])
    colour = [np.repeat(array[..., None], 3, axis=2) if array.ndim == 2 else array for array in arrays]
    return torch.from_numpy(np.stack(colour)).permute(0, 3, 1, 2).contiguous()
