"""A user's own images: a folder for each class."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from advtransfer.datasets import Dataset
from advtransfer.errors import InputError


def build(settings: Mapping[str, Any], downloads: Path, place: str) -> Dataset:
    """Read a folder with train/ and test/, each with a folder per class; or one folder with a folder per class.

    test_share: for one folder, the share of each class that becomes the test set (files are shuffled with seed 0
    within each class). resolution: pixels of a side to which every image is resized (bilinear, whole image); needed
    only if the images differ in size. unreadable: "refuse" or "skip" files that PIL cannot read.
    Images keep one channel if all of them are grey, else they become RGB. Files whose names begin with "." are ignored.
    """
    folder, resolution = Path(settings["path"]), settings.get("resolution")
    parts = list_image_folder(folder, settings.get("test_share"), place)
    # Grey images are found out by looking: read everything once, then decide.
    images: dict[str, list[np.ndarray]] = {}
    labels: dict[str, list[int]] = {}
    bad: list[str] = []
    for part, classes in parts.items():
        images[part], labels[part] = [], []
        for label, files in enumerate(classes.values()):
            for file in files:
                array = _read_image(file, resolution)
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
    everything = images["train"] + images["test"]
    for part in ("train", "test"):
        if not images[part]:
            raise InputError(f"{place}: no readable image in the {part} part of {folder}. Add images to it.")
    sizes = sorted({array.shape[:2] for array in everything})
    if len(sizes) > 1:
        raise InputError(
            f"{place}: images of {len(sizes)} sizes, from {sizes[0][1]}x{sizes[0][0]} to {sizes[-1][1]}x{sizes[-1][0]} "
            "pixels. Set 'resolution' for this target, for example 'resolution: 224'."
        )
    grey = all(array.ndim == 2 for array in everything)
    return Dataset(
        _stack(images["train"], grey),
        torch.tensor(labels["train"]),
        _stack(images["test"], grey),
        torch.tensor(labels["test"]),
        list(parts["train"]),
        {"kind": "image_folder", "folder": str(folder), "skipped": bad, "test_share": settings.get("test_share")},
    )


def list_image_folder(folder: Path, test_share: float | None, place: str) -> dict[str, dict[str, list[Path]]]:
    """The files of an image folder: {"train" and "test": {class: files}}, both in the same order of classes.

    Reads directories only. Raises InputError where the folder, its split or a class is not as `build` needs it.
    """
    if not folder.is_dir():
        raise InputError(f"{place}: path {folder} is not a folder. Correct 'path' (relative to the working folder).")
    split = {part: folder / part for part in ("train", "test")}
    has_split = [part for part in split if split[part].is_dir()]
    if len(has_split) == 2:
        if test_share is not None:
            raise InputError(f"{place}: {folder} has train/ and test/ of its own. Remove 'test_share'.")
        parts = {part: _class_files(split[part], place) for part in split}
        if list(parts["train"]) != list(parts["test"]):
            odd = sorted(set(parts["train"]) ^ set(parts["test"]))
            raise InputError(
                f"{place}: class '{odd[0]}' is in only one of train/ and test/ of {folder}. Add it or remove it."
            )
        return parts
    if has_split:
        raise InputError(f"{place}: {folder} has {has_split[0]}/ but not both train/ and test/. Add the other one.")
    if test_share is None:
        raise InputError(
            f"{place}: {folder} has no train/ and test/. Add them, or set 'test_share', for example 'test_share: 0.2'."
        )
    parts = {"train": {}, "test": {}}
    for name, files in _class_files(folder, place).items():
        test_count = max(1, round(test_share * len(files)))
        if len(files) <= test_count:
            raise InputError(f"{place}: class '{name}' has {len(files)} file(s), too few for a test share. Add images.")
        order = np.random.default_rng(0).permutation(len(files))
        chosen = set(order[:test_count].tolist())
        parts["train"][name] = [file for index, file in enumerate(files) if index not in chosen]
        parts["test"][name] = [file for index, file in enumerate(files) if index in chosen]
    return parts


def _class_files(folder: Path, place: str) -> dict[str, list[Path]]:
    classes = {
        entry.name: sorted(file for file in entry.iterdir() if file.is_file() and not file.name.startswith("."))
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and not entry.name.startswith(".")
    }
    empty = [name for name, files in classes.items() if not files]
    if empty:
        raise InputError(f"{place}: class folder '{empty[0]}' in {folder} is empty. Add images or remove it.")
    if len(classes) < 2:
        raise InputError(f"{place}: {folder} has {len(classes)} class folder(s). At least 2 are needed, one per class.")
    return classes


def _read_image(file: Path, resolution: int | None) -> np.ndarray | None:
    """One image as uint8 [h, w] (grey) or [h, w, 3]; None if PIL cannot read it."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
            grey = image.mode in ("1", "L")
            image = image.convert("L" if grey else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        # PIL raises any of these for a damaged file, by format.
        return None
    if resolution is not None and image.size != (resolution, resolution):
        image = image.resize((resolution, resolution), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _stack(arrays: Iterable[np.ndarray], grey: bool) -> torch.Tensor:
    if grey:
        return torch.from_numpy(np.stack(list(arrays))[:, None])
    colour = [np.repeat(array[..., None], 3, axis=2) if array.ndim == 2 else array for array in arrays]
    return torch.from_numpy(np.stack(colour)).permute(0, 3, 1, 2).contiguous()
