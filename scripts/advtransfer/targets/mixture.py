"""Some classes of some targets, put together to one data set of equal classes: sources differ by what they were trained on, and by nothing else."""

from collections.abc import Mapping
from typing import Any

import torch

from advtransfer.datasets import Dataset
from advtransfer.errors import InputError
from advtransfer.targets.shrinking import shrunk


def build(settings: Mapping[str, Any], parts: Mapping[str, Dataset], place: str) -> Dataset:
    """The first images of each class that `settings` names: parts in alphabetical order, classes and images in their own.

    settings: parts {target: [class name, ...]}; train_per_class and test_per_class, how many images of each class; pixels, the shorter side
    that every part's images are shrunk to, by area. parts: {target: its data set}. Grey images beside coloured ones get three equal channels.

    Raises InputError, which begins with `place`, where a part lacks a class or images of it, or has images of another shape.
    """
    channels = max(dataset.train_images.shape[1] for dataset in parts.values())
    shapes, names = {}, []
    pieces: dict[str, list[torch.Tensor]] = {"train": [], "test": []}
    for target, classes in sorted(settings["parts"].items()):
        dataset, shorter = parts[target], min(parts[target].train_images.shape[2:])
        if settings["pixels"] > shorter:
            raise InputError(
                f"{place}: pixels: found {settings['pixels']}; the images of '{target}' have {shorter}. Lower it."
            )
        dataset = shrunk(dataset, settings["pixels"])
        shapes[tuple(dataset.train_images.shape[2:])] = target
        if len(shapes) > 1:
            (one, first), (other, second) = shapes.items()
            raise InputError(
                f"{place}: '{first}' has images of {one[0]}x{one[1]} pixels, '{second}' of {other[0]}x{other[1]}. Mix targets of one shape."
            )
        for name in classes:
            if name not in dataset.class_names:
                raise InputError(
                    f"{place}: part '{target}' has no class {name!r}. Choose among: {', '.join(dataset.class_names)}."
                )
            label = dataset.class_names.index(name)
            for part, images, labels in (
                ("train", dataset.train_images, dataset.train_labels),
                ("test", dataset.test_images, dataset.test_labels),
            ):
                wanted, mine = settings[f"{part}_per_class"], images[labels == label]
                if len(mine) < wanted:
                    raise InputError(
                        f"{place}: {part}_per_class: found {wanted}; class {name!r} of '{target}' has {len(mine)}. Lower it."
                    )
                pieces[part].append(mine[:wanted].expand(-1, channels, -1, -1))
            names.append(f"{target} {name}")
    made = {part: torch.cat(images).contiguous() for part, images in pieces.items()}
    labels = {
        part: torch.arange(len(names)).repeat_interleave(settings[f"{part}_per_class"]) for part in ("train", "test")
    }
    origin = {"kind": "mixture", "parts": {target: dataset.origin for target, dataset in parts.items()}}
    return Dataset(made["train"], labels["train"], made["test"], labels["test"], names, origin)
