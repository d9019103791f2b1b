"""The paper's six target data sets, in the files and the layout of torchvision."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from advtransfer.datasets import Dataset
from advtransfer.downloads import fetch, file_hash
from advtransfer.errors import InputError
from advtransfer.targets.catalogue import TORCHVISION

# MD5 of the unpacked IDX files, which torchvision does not know. Packing them again gives archives of another MD5 but of
# the same content; and files that a user unpacked long ago can be verified too. None are published for KMNIST.
UNPACKED_MD5 = {
    "MNIST": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "FashionMNIST": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}


@dataclass
class _Archive:
    """A file that is downloaded. path: where torchvision puts it below its root."""

    path: str
    urls: list[str]
    hashes: list[str]


@dataclass
class _Layout:
    """What torchvision downloads, and what it reads: {path below its root: MD5, or None if it is not known}."""

    archives: list[_Archive]
    read: dict[str, str | None]


def build(settings: Mapping[str, Any], downloads: Path, place: str) -> Dataset:
    """CIFAR10, CIFAR100, SVHN (3 channels), FashionMNIST, KMNIST or MNIST (1 channel) at native resolution.

    data_root: a folder that is read and never written. Where it, or its subfolder named like the data set, is laid out
    as torchvision's `root`, the images are read from there. Otherwise the archives are looked for below it, then asked
    of `mirror` (a folder or a URL prefix), then of their publishers; they are kept in <downloads>/<dataset>.

    Every file is compared with its official MD5 before it is opened, and the numbers of images with the catalogue's. Only
    KMNIST files that lie unpacked in data_root have no MD5 to compare with; the origin then says `verified: false`.
    Raises InputError where the data are absent, damaged or other than they should be.
    """
    dataset = settings["dataset"]
    if dataset not in _LAYOUTS:
        raise InputError(f"{place}: unknown dataset '{dataset}'. Choose one of {', '.join(_LAYOUTS)}.")
    layout = _LAYOUTS[dataset](dataset)
    data_root = Path(settings["data_root"]) if settings.get("data_root") else None
    if data_root is not None:
        if not data_root.is_dir():
            raise InputError(f"{place}: data_root {data_root} is not a folder. Correct 'data_root', or remove it.")
        for root in (data_root, data_root / dataset):
            if all((root / path).is_file() for path in layout.read):
                found = _verify(root, layout.read, place)
                verified = None not in layout.read.values()
                return _read(dataset, root, {"files_md5": found, "verified": verified}, place)

    root = Path(downloads) / dataset
    mirrors = [data_root, settings.get("mirror")]
    for archive in layout.archives:
        try:
            fetch(
                archive.urls,
                root / archive.path,
                archive.hashes,
                mirror=[mirror for mirror in mirrors if mirror],
                mirror_paths=list(dict.fromkeys([archive.path, Path(archive.path).name])),
            )
        except InputError as error:
            raise InputError(f"{place}: {error}") from error
    origin = {
        "files_md5": {archive.path: file_hash(root / archive.path, "md5") for archive in layout.archives},
        "verified": True,
    }
    if set(layout.read) == {archive.path for archive in layout.archives}:
        # SVHN is not packed.
        return _read(dataset, root, origin, place)
    # Unpacked for the time of reading only: an interrupted extraction can then never be taken for the data.
    with tempfile.TemporaryDirectory(dir=root, prefix=".unpacked-") as unpacked:
        from torchvision.datasets.utils import extract_archive

        for archive in layout.archives:
            folder = Path(unpacked, archive.path).parent
            folder.mkdir(parents=True, exist_ok=True)
            extract_archive(str(root / archive.path), str(folder))
        return _read(dataset, Path(unpacked), origin, place)


def _cifar(dataset: str) -> _Layout:
    from torchvision import datasets

    cls = getattr(datasets, dataset)
    files = [*cls.train_list, *cls.test_list, (cls.meta["filename"], cls.meta["md5"])]
    return _Layout(
        [_Archive(cls.filename, [cls.url], [f"md5:{cls.tgz_md5}"])],
        {f"{cls.base_folder}/{name}": md5 for name, md5 in files},
    )


def _svhn(dataset: str) -> _Layout:
    from torchvision import datasets

    files = [getattr(datasets, dataset).split_list[part] for part in ("train", "test")]
    return _Layout(
        [_Archive(name, [url], [f"md5:{md5}"]) for url, name, md5 in files],
        {name: md5 for _, name, md5 in files},
    )


def _mnist(dataset: str) -> _Layout:
    from torchvision import datasets

    cls = getattr(datasets, dataset)
    layout = _Layout([], {})
    for name, md5 in cls.resources:
        unpacked = name.removesuffix(".gz")
        unpacked_md5 = UNPACKED_MD5.get(dataset, {}).get(unpacked)
        hashes = [f"md5:{md5}"] + ([f"uncompressed-md5:{unpacked_md5}"] if unpacked_md5 else [])
        layout.archives.append(_Archive(f"{dataset}/raw/{name}", [mirror + name for mirror in cls.mirrors], hashes))
        layout.read[f"{dataset}/raw/{unpacked}"] = unpacked_md5
    return layout


_LAYOUTS = {
    "CIFAR10": _cifar,
    "CIFAR100": _cifar,
    "SVHN": _svhn,
    "FashionMNIST": _mnist,
    "KMNIST": _mnist,
    "MNIST": _mnist,
}


def _verify(root: Path, files: Mapping[str, str | None], place: str) -> dict[str, str]:
    """The MD5 of every file. Raises InputError where one differs from the official value."""
    try:
        found = {path: file_hash(root / path, "md5") for path in files}
    except OSError as error:
        raise InputError(f"{place}: {error.filename} is not readable ({error.strerror}). Make it readable.") from None
    for path, md5 in files.items():
        if md5 not in (None, found[path]):
            raise InputError(
                f"{place}: {root / path} has MD5 {found[path]}, the official file has {md5}. "
                "Replace it, or remove 'data_root' to download the data set."
            )
    return found


def _read(dataset: str, root: Path, origin: dict[str, Any], place: str) -> Dataset:
    """Read both parts through torchvision and compare the numbers of images and classes with the catalogue's."""
    from torchvision import datasets

    cls = getattr(datasets, dataset)
    try:
        parts = (
            [cls(root, split=part) for part in ("train", "test")]
            if dataset == "SVHN"
            else [cls(root, train=train) for train in (True, False)]
        )
    # torchvision raises anything for files of another structure; only files without a known MD5 get this far.
    except Exception as error:
        raise InputError(
            f"{place}: {root} is not readable as {dataset} ({' '.join(str(error).split()) or type(error).__name__}). "
            "Replace its files, or remove 'data_root' to download the data set."
        ) from error
    (train_images, train_labels), (test_images, test_labels) = (_tensors(part) for part in parts)
    class_names = [str(name) for name in getattr(parts[0], "classes", range(10))]
    found = {"train": len(train_images), "test": len(test_images), "classes": len(train_labels.unique())}
    if found != TORCHVISION[dataset].counts or len(train_labels) != found["train"] or len(test_labels) != found["test"]:
        raise InputError(
            f"{place}: {dataset} in {root} has {found['train']} training images, {found['test']} test images and "
            f"{found['classes']} classes; it should have {', '.join(map(str, TORCHVISION[dataset].counts.values()))}. "
            "Replace its files."
        )
    labels = torch.cat([train_labels, test_labels])
    if train_images.shape[1:] != test_images.shape[1:] or not 0 <= labels.min() <= labels.max() < found["classes"]:
        raise InputError(
            f"{place}: {dataset} in {root} has images of two sizes, or labels outside 0 to {found['classes'] - 1}. "
            "Replace its files."
        )
    return Dataset(
        train_images,
        train_labels,
        test_images,
        test_labels,
        class_names,
        {"kind": "torchvision", "dataset": dataset, **origin},
    )


def _tensors(part: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Images uint8 [n, c, h, w] and labels int64 [n] of a torchvision data set, whichever way it keeps them."""
    images = torch.as_tensor(part.data)
    if images.ndim == 3:
        images = images.unsqueeze(1)
    elif images.shape[-1] == 3:
        images = images.permute(0, 3, 1, 2)
    labels = torch.as_tensor(part.labels if hasattr(part, "labels") else part.targets)
    return images.contiguous(), labels.to(torch.int64)
