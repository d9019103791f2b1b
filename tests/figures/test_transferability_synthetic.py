"""The figure of the synthetic experiment of transferability."""

import matplotlib.pyplot as plt
import pytest

from drawings import synthetic
from figures import style
from figures.transferability_synthetic import PANELS, draw


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_a_panel_for_each_measure():
    style.set_theme({})
    figure = draw(synthetic(4), {})
    assert [ax.get_title() for ax in figure.axes] == [title for title, _ in PANELS]
    counts = [len(ax.get_lines()) for ax in figure.axes]
    assert counts == [1, 4, 4, 4, 4, 1], "what does not hang on the attack is drawn once"
    for ax in figure.axes:
        for line in ax.get_lines():
            assert line.get_xdata().tolist() == [0, 1, 2]
    words = " ".join(text.get_text().replace("\n", " ") for text in figure.texts)
    assert "4 seeds" in words
    assert "95%" in words


def test_a_single_seed_has_no_intervals():
    style.set_theme({})
    figure = draw(synthetic(1).assign(low=float("nan"), high=float("nan")), {})
    assert "95%" not in " ".join(text.get_text() for text in figure.texts)
