"""Which files an image folder holds, from its directories alone: cheap enough to look before any job runs."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from advtransfer.errors import InputError


def count(settings: Mapping[str, Any], place: str) -> dict[str, int]:
    """Numbers of training images, test images and classes of an image folder: keys "train", "test" and "classes".

    Files that turn out to be unreadable and are skipped count here. Raises InputError like `list_image_folder`.
    """
    parts = list_image_folder(Path(settings["path"]), settings.get("test_share"), place)
    return {
        **{part: sum(len(files) for files in classes.values()) for part, classes in parts.items()},
        "classes": len(parts["train"]),
    }


def list_image_folder(folder: Path, test_share: float | None, place: str) -> dict[str, dict[str, list[Path]]]:
    """The files of an image folder: {"train" and "test": {class: files}}, both in the same order of classes.

    test_share 1: all files are for testing. Reads directories only. Raises InputError where the folder, its split or a class is not as `build` needs it.
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
    if not 0 < test_share <= 1:
        raise InputError(f"{place}: test_share is {test_share}. Give a share between 0 and 1, for example 0.2.")
    if test_share == 1:
        classes = _class_files(folder, place)
        return {"train": {name: [] for name in classes}, "test": classes}
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


def fingerprint(settings: Mapping[str, Any], place: str) -> str:
    """Hash of the names and sizes in bytes of an image folder's files, 16 hexadecimal digits: changes when they do.

    Raises InputError like `list_image_folder`.
    """
    folder = Path(settings["path"])
    parts = list_image_folder(folder, settings.get("test_share"), place)
    files = sorted(file for classes in parts.values() for group in classes.values() for file in group)
    listing = "\n".join(f"{file.relative_to(folder).as_posix()} {file.stat().st_size}" for file in files)
    return hashlib.sha256(listing.encode()).hexdigest()[:16]
