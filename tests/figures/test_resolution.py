"""The figure of the target's own resolution."""

import matplotlib.pyplot as plt
import pytest

from drawings import resolutions
from figures import style
from figures.resolution import draw


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_a_panel_for_each_target_and_a_line_for_each_size(tmp_path):
    def accuracy(source, target, blocks, images, seed, epoch):
        return 0.5 + 0.01 * seed * (source == "l2") + (0.1 if target == "leaves_8px" and source == "l2" else 0)

    style.set_theme({})
    figure = draw(*resolutions(tmp_path, accuracy))
    figure.canvas.draw()
    leaves, stones = figure.axes
    assert (leaves.get_title(), stones.get_title()) == ("Leaves", "stones")
    lines = [line for line in leaves.get_lines() if len(line.get_xdata()) == 2 and line.get_xdata()[0] > 1]
    assert [line.get_xdata().tolist() for line in lines] == [[8, 32], [8, 32]]
    assert lines[0].get_ydata() == pytest.approx([0.125, 0.025])
    assert leaves.get_ylim() == stones.get_ylim()
    assert [label.get_text() for label in leaves.get_xticklabels()] == ["8", "32"]
    words = " ".join(text.get_text() for text in figure.texts)
    # 2 sources, 3 targets, 2 sizes, 6 seeds.
    assert "72 models" in words
