"""Ours beside the printed means as they are drawn."""

import matplotlib.pyplot as plt
import pytest

from drawings import panel, reproduced, texts_of
from figures import reproduction, style
from page import nothing_overlaps, text_points


@pytest.mark.parametrize("width", [3.25, style.WIDTH])
@pytest.mark.parametrize("models", [1, 4])
def test_nothing_overlaps_and_all_can_be_read(width, models, tmp_path):
    style.set_theme({}, width)
    figure = reproduction.draw(*reproduced(tmp_path, models))
    nothing_overlaps(figure)
    assert min(text_points(figure).values()) >= 6
    plt.close(figure)


def test_points_are_the_tables(tmp_path):
    style.set_theme({})
    table, experiment = reproduced(tmp_path)
    figure = reproduction.draw(table, experiment)
    for source in experiment["sources"].values():
        mine = table[table["source"] == source]
        above, below = (panel(figure, source, which) for which in (0, 1))
        points = {tuple(line.get_xydata()[0]) for line in above.get_lines() if line.get_linestyle() == "None"}
        assert points == set(zip(mine["published_percent"], mine["accuracy_percent"], strict=True))
        heights = [line.get_ydata()[0] for line in below.get_lines() if line.get_linestyle() == "None"]
        assert sorted(heights) == sorted(mine["difference_points"])
        assert above.get_xlim() == above.get_ylim()
        assert f"{int(mine['holds'].sum())} of {len(mine)} hold" in [text.get_text() for text in above.texts]
    assert "16 cells of Table 5: the interval holds the printed value in" in " ".join(texts_of(figure).split())
    plt.close(figure)


def test_sources_follow_their_roles_and_other_epochs_are_faint(tmp_path):
    style.set_theme({})
    figure = reproduction.draw(*reproduced(tmp_path, epochs={"100": 20, "200": 30}))
    assert [ax.get_title() for ax in figure.axes[::2]] == ["plain", "l2", "small", "large"]
    marks = [line.get_alpha() for line in figure.axes[0].get_lines() if line.get_linestyle() == "None"]
    assert sorted(marks) == [style.FAINT] * 2 + [1.0] * 2
    text = " ".join(texts_of(figure).split())
    assert "protocol: short except where faint" in text
    assert "20 in place of 30 (at 200 images)" in text
    assert "Of the protocol's epochs: 8 cells" in text
    plt.close(figure)
