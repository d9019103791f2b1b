"""Which files an image folder holds, from its directories: cheap enough to look before any job runs. No torch here."""

import functools
import hashlib
import json
import os
import unicodedata
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from advtransfer.artefacts import whole_file
from advtransfer.errors import InputError
from advtransfer.targets.catalogue import data_set_of
from advtransfer.targets.image_file import UnreadableImageError, read_image

# {"train" and "test": {class: files}}
Parts = dict[str, dict[str, list[Path]]]


# What names of classes, which tables and figures show, must not hold: control characters, line ends, and the surrogates that
# stand for bytes that are no UTF-8 (categories of the Unicode standard).
NOT_IN_NAMES = ("Cc", "Cs", "Zl", "Zp")
# Endings of images: such a file beside the class folders belongs to no class.
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".avif")


def count(settings: Mapping[str, Any], place: str, cache: Path | None = None) -> dict[str, int]:
    """Numbers of training images, test images and classes of an image folder: keys "train", "test" and "classes".

    Where unreadable files are skipped they do not count, and every file is read to find them. cache: a folder in which the
    list of them is kept, for as long as names, sizes and times of the files stay. Raises InputError like
    `list_image_folder`, and where a class has no readable image.
    """
    folder = Path(settings["path"])
    parts = list_image_folder(folder, settings.get("test_share"), place)
    if settings.get("unreadable") == "skip":
        parts = without(parts, _unreadable(parts, settings, cache), folder, place)
    return {
        **{part: sum(len(files) for files in classes.values()) for part, classes in parts.items()},
        "classes": len(parts["train"]),
    }


def image_shape(settings: Mapping[str, Any], place: str) -> tuple[int, int, int]:
    """Channels, height and width in pixels of a target's images, of any kind, before any job runs.

    Of an image folder without 'resolution' they are those of the first readable file; colour is taken for granted. Raises
    InputError where no file of the first class can be read.
    """
    if settings["kind"] != "image_folder":
        shape = data_set_of(settings).shape
    elif "resolution" in settings:
        shape = (3, settings["resolution"], settings["resolution"])
    else:
        classes = list_image_folder(Path(settings["path"]), settings.get("test_share"), place)["train"]
        shape = (3, *_first_size(next(iter(classes.values())), place))
    scale = settings.get("shrink_to", min(shape[1:])) / min(shape[1:])
    return shape[0], round(shape[1] * scale), round(shape[2] * scale)


def _first_size(files: list[Path], place: str) -> tuple[int, int]:
    for file in files:
        try:
            return read_image(file).shape[:2]
        except UnreadableImageError:
            continue
    raise InputError(f"{place}: {files[0].parent} has no image that can be read. Replace its files.")


def without(parts: Parts, bad: Collection[Path], folder: Path, place: str) -> Parts:
    """The files of an image folder that are not among `bad`. Raises InputError where a class loses all of a part."""
    left = {
        part: {name: [file for file in files if file not in bad] for name, files in classes.items()}
        for part, classes in parts.items()
    }
    for part, classes in left.items():
        for name, files in classes.items():
            if parts[part][name] and not files:
                raise InputError(
                    f"{place}: class '{name}' of {folder} has no readable image for {part}ing. Add images."
                )
    return left


def _unreadable(parts: Parts, settings: Mapping[str, Any], cache: Path | None) -> set[Path]:
    """The files that `build` skips."""
    files = sorted(file for classes in parts.values() for group in classes.values() for file in group)
    resolution, resize = settings.get("resolution"), settings.get("resize")
    states = [(os.fsencode(file), *_state(file)) for file in files]
    if cache is None:
        return {file for file, state in zip(files, states, strict=True) if not _is_readable(state, resolution, resize)}
    key = hashlib.sha256(repr((states, resolution, resize)).encode()).hexdigest()[:16]
    kept = cache / f"{key}.json"
    try:
        # Positions in the sorted list: names need not be texts.
        return {files[index] for index in json.loads(kept.read_text(encoding="utf-8"))}
    except (OSError, ValueError, TypeError, IndexError):
        # Absent, or damaged: found out anew.
        bad = [index for index, state in enumerate(states) if not _is_readable(state, resolution, resize)]
    with whole_file(kept) as part:
        part.write_text(json.dumps(bad), encoding="utf-8")
    return {files[index] for index in bad}


# A start of Snakemake asks several times.
@functools.cache
def _is_readable(state: tuple[bytes, int, int], resolution: int | None, resize: int | None) -> bool:
    try:
        read_image(Path(os.fsdecode(state[0])), resolution, resize)
    except UnreadableImageError:
        return False
    return True


def _state(file: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change; zeros for what cannot be looked at, such as a link to nothing."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def shown(path: Path) -> str:
    """A path in a message of one line; a name may hold any bytes but two."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def list_image_folder(folder: Path, test_share: float | None, place: str) -> Parts:
    """The files of an image folder: {"train" and "test": {class: files}}, both in the same order of classes.

    test_share 1: all files are for testing. Reads directories only; a link to nothing counts as a file, which is then not
    readable. Raises InputError where the folder, its split or a class is not as `build` needs it, where something in it
    would be read by nobody (a folder within a class, an image beside the classes), or where it cannot be listed.
    """
    try:
        return _list(folder, test_share, place)
    except OSError as error:
        where = shown(Path(error.filename)) if error.filename else folder
        raise InputError(
            f"{place}: {where} cannot be listed ({error.strerror}). Correct 'path', or make it readable."
        ) from None


def _list(folder: Path, test_share: float | None, place: str) -> Parts:
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
    classes = {}
    for entry in _entries(folder):
        if entry.is_dir():
            if any(unicodedata.category(character) in NOT_IN_NAMES for character in entry.name):
                raise InputError(
                    f"{place}: class folder {entry.name!a} in {folder} has a name that is no UTF-8 text in one line. "
                    "Rename it."
                )
            classes[entry.name] = [_file(file, entry.name, folder, place) for file in _entries(Path(entry))]
        elif _leads_nowhere(entry) or entry.name.lower().endswith(IMAGE_ENDINGS):
            raise InputError(
                f"{place}: {shown(Path(entry))} lies beside the class folders and would not be read. "
                "Move it into one of them, or remove it."
            )
    empty = [name for name, files in classes.items() if not files]
    if empty:
        raise InputError(f"{place}: class folder '{empty[0]}' in {folder} is empty. Add images or remove it.")
    if len(classes) < 2:
        raise InputError(f"{place}: {folder} has {len(classes)} class folder(s). At least 2 are needed, one per class.")
    return classes


def _entries(folder: Path) -> list[os.DirEntry]:
    """What lies in a folder, sorted by name; hidden files and folders do not count."""
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _file(entry: os.DirEntry, name: str, folder: Path, place: str) -> Path:
    if entry.is_dir():
        raise InputError(
            f"{place}: class folder '{name}' in {folder} holds a folder, {shown(Path(entry.name))}, whose images would not be "
            "read. Move them up into the class folder, or remove it."
        )
    if not entry.is_file() and not _leads_nowhere(entry):
        raise InputError(f"{place}: {shown(Path(entry))} is neither a file nor a folder. Remove it.")
    return Path(entry)


def _leads_nowhere(entry: os.DirEntry) -> bool:
    return entry.is_symlink() and not os.path.exists(entry)


def fingerprint(settings: Mapping[str, Any], place: str) -> str:
    """Hash of the names and sizes in bytes of an image folder's files, 16 hexadecimal digits: changes when they do.

    Raises InputError like `list_image_folder`.
    """
    folder = Path(settings["path"])
    parts = list_image_folder(folder, settings.get("test_share"), place)
    files = sorted(file for classes in parts.values() for group in classes.values() for file in group)
    listing = "\n".join(f"{file.relative_to(folder).as_posix()} {_state(file)[0]}" for file in files)
    # Names of files need not be UTF-8.
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()[:16]
