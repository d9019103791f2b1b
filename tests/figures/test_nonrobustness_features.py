"""Figure nonrobustness_features: what stands where."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from drawings import likenesses
from figures import nonrobustness_features as figure
from figures import style
from page import nothing_overlaps, text_points


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawing(width=5.5, **choices):
    style.set_theme({}, width)
    drawn = figure.draw(*likenesses(**choices))
    drawn.canvas.draw()
    return drawn


def test_likeness_changes_and_pictures():
    drawn = drawing()
    likeness, _, changes, _, *pictures = drawn.axes
    solid = [line for line in likeness.lines if line.get_linestyle() == "-"]
    assert len(solid) == len(figure.PAIRS)
    assert all(line.get_ydata() == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5]) for line in solid)
    assert [label.get_text() for label in likeness.get_xticklabels()] == ["stem", *(f"stage {i}" for i in range(1, 5))]
    assert [patch.get_height() for patch in changes.patches] == pytest.approx([10.0] * 3 * 4)
    assert len(pictures) == 3
    # Plus and minus epsilon are the ends of the scale.
    assert np.unique(pictures[0].images[0].get_array()).tolist() == pytest.approx([0, 1])


@pytest.mark.parametrize("width", [5.5, 3.25])
@pytest.mark.parametrize("targets", [("leaves",), ("leaves", "stones"), tuple(f"target{index}" for index in range(6))])
def test_any_number_of_targets_fits_the_page(width, targets):
    drawn = drawing(width, targets=targets)
    assert drawn.get_figwidth() == width
    nothing_overlaps(drawn)
    assert min(text_points(drawn).values()) >= 6
