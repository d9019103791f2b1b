"""The figure of the target's own resolution."""

import matplotlib.pyplot as plt
import pytest

from advtransfer.artefacts import save_table
from advtransfer.tables.resolution import resolution
from experiments import an_experiment, rows_of, selections
from figures import style
from figures.resolution import draw

PLACES = {"leaves": [[32, "leaves"], [8, "leaves_8px"]], "stones": [[16, "stones"]]}
NAMES = ["leaves", "leaves_8px", "stones"]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_a_panel_for_each_target_and_a_line_for_each_size(tmp_path):
    experiment = an_experiment(
        6,
        labels={"leaves": "Leaves"},
        resolution={"targets": PLACES, "images": [100, 200]},
        figures={"resolution": selections(NAMES)["resolution"]},
    )
    wide = {**experiment, "targets": NAMES, "sizes": {name: [[100, 6], [200, 6]] for name in NAMES}}

    def accuracy(source, target, blocks, images, seed, epoch):
        return 0.5 + 0.01 * seed * (source == "l2") + (0.1 if target == "leaves_8px" and source == "l2" else 0)

    save_table(tmp_path / "resolution.csv", resolution(rows_of(wide, accuracy), experiment, "resolution"))
    style.set_theme({})
    figure = draw(style.read_table(str(tmp_path / "resolution.csv")), experiment)
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
