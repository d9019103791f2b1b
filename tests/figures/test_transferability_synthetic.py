"""The figure of the synthetic experiment of transferability."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from figures import style
from figures.transferability_synthetic import COLOURS, PANELS, draw


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def table(seeds):
    quantities = [quantity for _, mine in PANELS for quantity in mine]
    lines = [
        [attack, quantity, x, 0.5 + x / 10, 0.4, 0.6, seeds, -1.0, 0]
        for attack in COLOURS
        for quantity in quantities
        for x in (2.0, 0.0, 1.0)
    ]
    columns = ["attack", "quantity", "perturbation", "mean", "low", "high", "seeds", "spearman", "left_out"]
    return pd.DataFrame(lines, columns=columns)


def test_a_panel_for_each_measure():
    style.set_theme({})
    figure = draw(table(4), {})
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
    figure = draw(table(1).assign(low=float("nan"), high=float("nan")), {})
    assert "95%" not in " ".join(text.get_text() for text in figure.texts)
