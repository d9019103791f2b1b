"""The artefact of a target data set, four uint8/int64 tensors at the images' native resolution; and the subsets drawn from it."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from advtransfer.artefacts import PROVENANCE, load_table, load_tensors, save_tensors
from advtransfer.errors import InputError
from advtransfer.randomness import generator_for


@dataclass
class Dataset:
    """Images uint8 [n, c, h, w] (c 1 or 3) and labels int64 [n], for training and for testing.

    class_names: the name of each label. origin: JSON-compatible facts about where the images come from.
    """

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    class_names: list[str]
    origin: dict[str, Any]

    def save(self, path: str | Path, provenance: Mapping[str, Any] | None = None) -> None:
        """Write the artefact results/targets/{target}.safetensors."""
        tensors = {name: getattr(self, name) for name in TENSORS}
        facts = {"class_names": self.class_names, "origin": self.origin}
        save_tensors(path, tensors, facts if provenance is None else {**facts, PROVENANCE: provenance})

    def fingerprint(self) -> str:
        """SHA-256 of the four tensors' bytes in order: the same images give the same value wherever they came from."""
        digest = hashlib.sha256()
        for name in TENSORS:
            digest.update(getattr(self, name).contiguous().numpy().tobytes())
        return digest.hexdigest()


TENSORS = ["train_images", "train_labels", "test_images", "test_labels"]


def load_dataset(path: str | Path) -> Dataset:
    """Read a target artefact. Raises InputError where it is missing, damaged or of another kind."""
    tensors, metadata = load_tensors(path, TENSORS, own=True)
    return Dataset(**tensors, class_names=metadata["class_names"], origin=metadata["origin"])


def load_labels(path: str | Path) -> torch.Tensor:
    """The training labels [n] of a target artefact, without reading its images."""
    return load_tensors(path, ["train_labels"], own=True)[0]["train_labels"]


def load_subsets(path: str | Path, seeds: Iterable[int]) -> dict[int, torch.Tensor]:
    """{seed: image ids int64 [n]} out of the artefact of a size's subsets (columns seed, image_id).

    Raises InputError where it is missing, damaged, or has no subset of a seed.
    """
    table = load_table(path)
    drawn = {
        seed: torch.from_numpy(image_ids.to_numpy(copy=True))
        for seed, image_ids in table.to_pandas().groupby("seed")["image_id"]
    }
    lacking = [seed for seed in seeds if seed not in drawn]
    if lacking:
        raise InputError(f"{path}: no subset was drawn for seed {lacking[0]}. Remove the file and make it again.")
    return {seed: drawn[seed] for seed in seeds}


def draw_test_images(dataset: Dataset, images: int, seed: int) -> torch.Tensor:
    """Ids int64 [m] of at most `images` test images, drawn at random: data sets are often sorted by class."""
    # The stream is called after its first use: by another name it would draw others than the sources were measured on.
    order = torch.randperm(len(dataset.test_labels), generator=generator_for(seed, "attacked images"))
    return order[:images].sort().values
