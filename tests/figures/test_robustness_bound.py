"""Figure robustness_bound: what stands where, for few and for many sources."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from drawings import bound_experiment, bound_table
from figures import robustness_bound as figure
from figures import style


def drawing(sources, targets, blocks=(0, 3), **changes):
    style.set_theme({})
    table = bound_table(sources, targets, blocks=blocks, **changes)
    drawn = figure.draw(table, bound_experiment(sources, targets, blocks[1:]))
    drawn.canvas.draw()
    return table, drawn


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def texts(drawn):
    return [text.get_text() for text in drawn.findobj(plt.Text) if text.get_text()]


def test_all_points_lie_below_the_identity():
    table, drawn = drawing(["plain", "l2"], ["leaves", "stones"])
    ax = drawn.axes[0]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    points = [line.get_xydata() for line in ax.lines if line.get_linestyle() == "None"]
    # One for each source, target and radius.
    assert sum(map(len, points)) == 2 * 2 * 2
    assert all((xy[:, 1] <= xy[:, 0]).all() for xy in points)
    drawn_gaps = sorted(np.concatenate(points)[:, 1])
    assert drawn_gaps == pytest.approx(sorted(table[table["quantity"] == "loss_gap"].query("blocks == 0")["value"]))


def test_accuracies_stand_in_their_order():
    _, drawn = drawing(["plain", "l2"], ["leaves", "stones"])
    for ax in drawn.axes[2:4]:
        by_place = {}
        for line in ax.lines:
            by_place.setdefault(line.get_xdata()[0], {})[line.get_marker()] = line.get_ydata()[0]
        assert len(by_place) == 2 * 2
        assert all(levels["^"] <= levels["o"] <= levels["_"] for levels in by_place.values())


def test_no_flipped_image_stands_right_of_zero():
    _, drawn = drawing(["plain", "l2"], ["leaves"])
    stairs = {patch.get_label(): patch.get_data() for patch in drawn.axes[-2].patches}
    values, edges = stairs["flipped"].values, stairs["flipped"].edges
    assert values.sum() > 0
    assert values[edges[:-1] >= -1e-12].sum() == 0


def test_the_footer_says_what_was_done_and_certifies_nothing():
    _, drawn = drawing(["plain", "l2", "small"], ["leaves"])
    (words,) = [" ".join(text.split()) for text in texts(drawn) if text.startswith("Experiment")]
    assert "15 networks (linear probes, and with 3 blocks trained), each on up to 12 test images" in words
    assert "PGD-20, L∞, ε = 1/255, 2/255" in words
    assert "is a lower estimate of the sensitivity and certifies nothing" in words
    # The correlation at every epsilon.
    one = r"\S?\d\.\d\d \(p = \S+\)"
    assert re.search(rf"by rising ε, p of all permutations: leaves {one}, {one}, 3 sources\.", words)


@pytest.mark.parametrize(
    ("sources", "targets", "blocks"), [(1, 1, (0,)), (7, 2, (0, 1, 3)), (15, 6, (0, 3)), (4, 3, (0, 3))]
)
def test_any_number_of_sources_and_targets_fits_the_page(sources, targets, blocks):
    names, places = [f"source{index}" for index in range(sources)], [f"target{index}" for index in range(targets)]
    _, drawn = drawing(names, places, blocks)
    assert drawn.get_figwidth() == 5.5
    assert len(drawn.axes) == 3 + targets + (len(blocks) > 1)
    drawn.set_dpi(300)  # as printed: at fewer pixels text is wider, by hinting
    renderer = drawn.canvas.get_renderer()
    for text in drawn.findobj(plt.Text):
        if text.get_text() and text.get_visible():
            assert text.get_fontsize() >= 6, text
    box = drawn.get_tightbbox(renderer)
    assert box.x0 >= 0
    assert box.x1 <= 5.5
    assert box.y0 >= 0
    assert box.y1 <= drawn.get_figheight()


def test_a_single_network_has_no_bars():
    _, drawn = drawing(["plain", "l2"], ["leaves"], seeds=1)
    assert any("Marks: single networks." in " ".join(text.split()) for text in texts(drawn))
