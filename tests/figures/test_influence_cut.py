"""Figure influence_cut: what stands where, its marks, and any list of levels."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest

from drawings import CUTS, DAMPINGS, NETWORKS_EXPERIMENT, cut_table, texts_of, ticks_of
from figures import influence_cut as figure
from figures import style
from page import nothing_overlaps


@pytest.fixture(autouse=True)
def closed():
    style.set_theme({})
    yield
    plt.close("all")


def drawing(**changes):
    table = cut_table(**changes)
    drawn = figure.draw(table, NETWORKS_EXPERIMENT)
    drawn.canvas.draw()
    return table, drawn


def named(drawn, name):
    return next(ax for ax in drawn.axes if ax.get_ylabel() == name)


def series(ax):
    """{colour and width: y values} of the lines that have a point for each level."""
    return {
        (line.get_color(), line.get_linewidth()): line.get_ydata() for line in ax.lines if line.get_marker() != "None"
    }


def test_every_mean_is_drawn():
    table, drawn = drawing()
    means = table[table["seed"].isna()]
    for name, quantity, factor in (("LDS", "score", 1), ("top 1 (%)", "top1", 100), ("kept directions", "kept", 1)):
        ys = series(named(drawn, name))
        assert len(ys) == 4
        mine = means[(means["quantity"] == quantity) & (means["inverse"] == "cut")]
        found = sorted(np.concatenate(list(ys.values())))
        np.testing.assert_allclose(found, sorted(factor * mine["mean"]))
        assert all(len(y) == len(CUTS) for y in ys.values())
    losses = series(named(drawn, "test loss (nats)"))
    assert len(losses) == 2
    assert all(len(y) == len(DAMPINGS) for y in losses.values())


def test_red_and_solid_against_black_and_dashed_and_heads_by_width():
    _, drawn = drawing()
    lines = [line for line in named(drawn, "LDS").lines if line.get_marker() != "None"]
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}
    assert looks == {("#c1272d", "-", "o"), ("#c1272d", "-", "s"), ("black", "--", "o"), ("black", "--", "s")}


def test_the_papers_cuts_and_the_ridge_are_marked():
    _, drawn = drawing()
    ax = named(drawn, "LDS")
    marks = {text.get_text(): text.xy[0] for text in ax.texts}
    dashed = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "None"]
    points = next(line for line in ax.lines if line.get_marker() != "None").get_xdata()
    assert marks == {"text": pytest.approx(min(points)), "script": pytest.approx(max(points))}
    assert sorted(dashed) == pytest.approx(sorted(marks.values()))
    other = drawn.axes[1]
    assert [text.get_text() for text in other.texts] == ["ridge"]
    points = next(line for line in other.lines if line.get_marker() != "None").get_xdata()
    assert other.texts[0].xy[0] == pytest.approx(sorted(points)[DAMPINGS.index(1.0)])


def test_chance_is_where_it_belongs():
    _, drawn = drawing()
    for name, there in (("top 1 (%)", True), ("3 of top 5 (%)", False), ("LDS", False)):
        dotted = [line for line in named(drawn, name).lines if line.get_linestyle() == ":"]
        assert [line.get_ydata()[0] for line in dotted] == ([pytest.approx(10)] if there else [])


def test_numbers_of_levels():
    _, drawn = drawing()
    numbers = ticks_of(named(drawn, "kept directions").xaxis)
    assert numbers[0] == "1e\N{MINUS SIGN}20"
    assert numbers[-1] == "0.05"
    assert [figure._level_text(level) for level in (1e-3, 0.05, 1, 100, 2.5e-8)] == [
        "0.001",
        "0.05",
        "1",
        "100",
        "2e\N{MINUS SIGN}8",
    ]


def test_the_footer_says_what_the_score_is_and_what_the_figures_take():
    _, drawn = drawing()
    words = " ".join(texts_of(drawn).split())
    assert "3 networks per source, fine-tuned on 60 images of Leaves (3 blocks; seeds 7 to 9)" in words
    assert (
        "the mean over 30 test images of Spearman's correlation between predicted and real loss of 100 heads" in words
    )
    assert "optimum with ridge 1" in words
    assert "Figures 6 to 8 take the head as fine-tuned (eigenvalues above 0.05 of the largest)" in words


def test_bands_of_several_networks_only():
    _, several = drawing()
    assert len(named(several, "LDS").collections) == 4
    assert not named(several, "kept directions").collections
    _, single = drawing(seeds=1)
    assert not any(ax.collections for ax in single.axes)
    assert "Lines: single networks." in " ".join(texts_of(single).split())


@pytest.mark.parametrize("width", [3.25, 5.5])
@pytest.mark.parametrize(
    ("cuts", "dampings"),
    [((5e-2,), (1.0,)), (tuple(10.0**-power for power in range(1, 21)), tuple(10.0**power for power in range(-6, 7)))],
)
def test_any_list_of_levels_fits_the_page(width, cuts, dampings):
    style.set_theme({}, width)
    _, drawn = drawing(cuts=cuts, dampings=dampings)
    nothing_overlaps(drawn)
    for ax in drawn.axes:
        boxes = [
            label.get_window_extent() for label in ax.get_xticklabels() if label.get_text() and label.get_visible()
        ]
        boxes.sort(key=lambda box: box.x0)
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
