"""A mixture holds the first images of each class that it names, shrunk, and nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from advtransfer.datasets import Dataset
from advtransfer.errors import InputError
from advtransfer.targets.catalogue import data_set_of
from advtransfer.targets.mixture import build
from advtransfer.targets.shrinking import shrink

PLACE = "config.yaml: target 'both'"


def part(seed, classes, pixels=8, channels=1, count=60):
    rng = np.random.default_rng(seed)

    def images(n):
        shape = (n, channels, pixels, pixels)
        labels = torch.from_numpy(rng.permutation(np.arange(n) % len(classes)))
        return torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8)), labels

    return Dataset(*images(count), *images(count // 2), list(classes), {"seed": seed})


PARTS = {"digits": part(0, "01234"), "letters": part(1, "ABC", pixels=16)}


def settings_of(parts, train=4, test=2, pixels=8):
    return {"kind": "mixture", "parts": parts, "pixels": pixels, "train_per_class": train, "test_per_class": test}


@given(
    st.lists(st.sampled_from("01234"), min_size=1, unique=True),
    st.lists(st.sampled_from("ABC"), min_size=1, unique=True),
    st.integers(1, 10),
    st.integers(1, 5),
    st.integers(1, 8),
)
@settings(deadline=None, max_examples=30)
def test_every_class_has_its_images(digits, letters, train, test, pixels):
    chosen = settings_of({"letters": letters, "digits": digits}, train, test, pixels)
    made = build(chosen, PARTS, PLACE)
    assert made.class_names == [*(f"digits {name}" for name in digits), *(f"letters {name}" for name in letters)]
    counts = {"train": len(made.train_labels), "test": len(made.test_labels), "classes": len(made.class_names)}
    assert counts == data_set_of(chosen).counts
    for label, name in enumerate(made.class_names):
        target, own = name.split()
        dataset = PARTS[target]
        for which, wanted in (("train", train), ("test", test)):
            images, labels = (getattr(dataset, f"{which}_{what}") for what in ("images", "labels"))
            expected = shrink(images[labels == dataset.class_names.index(own)][:wanted], pixels)
            found = getattr(made, f"{which}_images")[getattr(made, f"{which}_labels") == label]
            assert torch.equal(found, expected)


def test_grey_beside_colour_becomes_three_equal_channels():
    parts = {"digits": PARTS["digits"], "photos": part(2, "xy", channels=3)}
    made = build(settings_of({"digits": ["0"], "photos": ["x"]}), parts, PLACE)
    assert made.train_images.shape == (8, 3, 8, 8)
    grey = made.train_images[made.train_labels == 0]
    assert torch.equal(grey, grey[:, :1].expand(-1, 3, -1, -1))


@pytest.mark.parametrize(
    ("chosen", "finding"),
    [
        (settings_of({"digits": ["7"]}), "part 'digits' has no class '7'. Choose among: 0, 1, 2, 3, 4."),
        (
            settings_of({"digits": ["0"]}, train=13),
            "train_per_class: found 13; class '0' of 'digits' has 12. Lower it.",
        ),
        (settings_of({"digits": ["0"]}, test=7), "test_per_class: found 7; class '0' of 'digits' has 6. Lower it."),
        (settings_of({"digits": ["0"]}, pixels=9), "pixels: found 9; the images of 'digits' have 8. Lower it."),
        (settings_of({"digits": ["0"], "wide": ["q"]}), "'digits' has images of 8x8 pixels, 'wide' of 8x16."),
    ],
)
def test_what_does_not_fit_is_one_line(chosen, finding):
    wide = part(3, "q")
    wide = Dataset(
        *(
            tensor.repeat(1, 1, 1, 2) if tensor.dim() == 4 else tensor
            for tensor in (wide.train_images, wide.train_labels, wide.test_images, wide.test_labels)
        ),
        ["q"],
        {},
    )
    with pytest.raises(InputError) as error:
        build(chosen, {**PARTS, "wide": wide}, PLACE)
    assert str(error.value).startswith(f"{PLACE}: ")
    assert finding in str(error.value)
