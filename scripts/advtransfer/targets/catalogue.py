"""What is known of the targets of fixed content before anything is downloaded or imported. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DataSet:
    """Numbers of images and classes; shape: channels, height and width in pixels; archive_bytes: what a download fetches."""

    train: int
    test: int
    classes: int
    shape: tuple[int, int, int]
    archive_bytes: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Keys "train", "test" and "classes", as `listing.count` gives them for image folders."""
        return {"train": self.train, "test": self.test, "classes": self.classes}


# What torchvision downloads, by its class names.
TORCHVISION = {
    "CIFAR10": DataSet(50_000, 10_000, 10, (3, 32, 32), 170_498_071),
    "CIFAR100": DataSet(50_000, 10_000, 100, (3, 32, 32), 169_001_437),
    "SVHN": DataSet(73_257, 26_032, 10, (3, 32, 32), 246_316_178),
    "FashionMNIST": DataSet(60_000, 10_000, 10, (1, 28, 28), 30_878_645),
    "KMNIST": DataSet(60_000, 10_000, 10, (1, 28, 28), 21_240_888),
    "MNIST": DataSet(60_000, 10_000, 10, (1, 28, 28), 11_594_722),
}
# What installed packages bring along, by kind.
INSTALLED = {
    "digits": DataSet(1_297, 500, 10, (1, 8, 8)),
    "glyphs": DataSet(2_000, 500, 10, (1, 32, 32)),
}
# The paper's six targets by the names that its logs and `config.yaml` use, in the order of its figures.
PAPER_TARGETS = {
    "cifar100": TORCHVISION["CIFAR100"],
    "cifar10": TORCHVISION["CIFAR10"],
    "svhn": TORCHVISION["SVHN"],
    "fmnist": TORCHVISION["FashionMNIST"],
    "kmnist": TORCHVISION["KMNIST"],
    "mnist": TORCHVISION["MNIST"],
}


def data_set_of(target: Mapping[str, Any]) -> DataSet:
    """The data set of a target's entry in the configuration, of any kind but `image_folder`; a mixture counts as coloured."""
    if target["kind"] == "mixture":
        classes = sum(map(len, target["parts"].values()))
        train, test = (classes * target[f"{part}_per_class"] for part in ("train", "test"))
        return DataSet(train, test, classes, (3, target["pixels"], target["pixels"]))
    return TORCHVISION[target["dataset"]] if target["kind"] == "torchvision" else INSTALLED[target["kind"]]
