"""Rendered letters as a target."""

from pathlib import Path

import matplotlib
import pytest
import torch
from matplotlib.ft2font import FT2Font

from advtransfer.datasets import Dataset
from advtransfer.targets import glyphs
from advtransfer.targets.catalogue import INSTALLED


def draw() -> Dataset:
    return glyphs.build({"kind": "glyphs"}, Path("unused"), "config.yaml: target 'glyphs'")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return draw()


def test_the_classes_are_balanced(dataset: Dataset) -> None:
    counts = INSTALLED["glyphs"].counts
    assert dataset.class_names == list("ABCDEFGHIJ")
    for part, images, labels in (
        ("train", dataset.train_images, dataset.train_labels),
        ("test", dataset.test_images, dataset.test_labels),
    ):
        assert images.shape == (counts[part], 1, 32, 32)
        assert images.dtype == torch.uint8
        assert labels.bincount().tolist() == [counts[part] // counts["classes"]] * counts["classes"]


def test_two_builds_give_the_same_bytes(dataset: Dataset) -> None:
    assert draw().fingerprint() == dataset.fingerprint()


def test_no_image_appears_twice(dataset: Dataset) -> None:
    images = torch.cat([dataset.train_images, dataset.test_images]).flatten(1)
    assert len({image.numpy().tobytes() for image in images}) == 2500


def test_the_letters_can_be_learned_but_not_at_a_glance(dataset: Dataset) -> None:
    from sklearn.svm import SVC

    def features(images: torch.Tensor) -> torch.Tensor:
        values = images.flatten(1).float()
        return (values - values.mean(1, keepdim=True)) / values.std(1, keepdim=True)

    machine = SVC(C=10, gamma=1 / 2048)
    machine.fit(features(dataset.train_images[:400]), dataset.train_labels[:400])
    accuracy = machine.score(features(dataset.test_images), dataset.test_labels)
    # Guessing gives 0.1.
    assert 0.25 < accuracy < 0.9


@pytest.mark.parametrize("name", glyphs.FONTS + glyphs.TEST_FONTS)
def test_every_font_has_every_letter(name: str) -> None:
    characters = FT2Font(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf")).get_charmap()
    assert set(map(ord, glyphs.LETTERS)) <= set(characters)


def test_some_fonts_are_kept_for_testing() -> None:
    assert not set(glyphs.FONTS) & set(glyphs.TEST_FONTS)
