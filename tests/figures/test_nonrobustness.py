"""Figures nonrobustness and fig2_robust: what stands where, for few and for many arms and targets."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from drawings import arms
from figures import fig2_robust, nonrobustness, style
from page import nothing_overlaps, text_points


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawing(figure=nonrobustness, width=5.5, **choices):
    style.set_theme({}, width)
    table, experiment = arms(curve=figure is fig2_robust, **choices)
    drawn = figure.draw(table, experiment)
    drawn.canvas.draw()
    return table, drawn


def footer(drawn):
    (words,) = [" ".join(text.get_text().split()) for text in drawn.texts if text.get_text().startswith("Experiment")]
    return words


def of(table, quantity, target, epsilon):
    mine = table[(table["quantity"] == quantity) & (table["target"] == target)]
    return sorted(100 * mine.loc[np.isclose(mine["epsilon"], epsilon), "mean"])


def test_each_arm_has_its_two_accuracies_and_its_decline():
    table, drawn = drawing()
    panels = {ax.get_title(): ax for ax in drawn.axes}
    accuracies, declines = panels["Leaves: not attacked, and ε = 1/255"], panels["Leaves: decline at ε = 1/255"]
    points = [line.get_ydata()[0] for line in accuracies.lines]
    expected = of(table, "accuracy", "leaves", 0) + of(table, "adversarial_accuracy", "leaves", 1 / 255)
    assert sorted(points) == pytest.approx(sorted(expected))
    assert len(points) == 2 * (1 + 4 + 2)
    bars = sorted(patch.get_height() for patch in declines.patches)
    assert bars == pytest.approx(of(table, "decline_ratio", "leaves", 1 / 255))


def test_curves_begin_at_the_clean_accuracy_and_never_rise():
    table, drawn = drawing()
    ax = next(ax for ax in drawn.axes if ax.get_title() == "Stones: attacked")
    assert len(ax.lines) == 7
    assert sorted(line.get_ydata()[0] for line in ax.lines) == pytest.approx(of(table, "accuracy", "stones", 0))
    assert all((np.diff(line.get_ydata()) <= 0).all() for line in ax.lines)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "0.5", "1", "2", "4", "8"]


@pytest.mark.parametrize("betas", [(4, 16, 64), (16, 64, 4)])
def test_the_trade_off_goes_from_no_mitigation_to_the_largest_beta(betas):
    """In whatever order the protocols stand: as JSON they come by name."""
    table, drawn = drawing(betas=betas)
    ax = next(ax for ax in drawn.axes if ax.get_title() == "Leaves: mitigation, ε = 1/255")
    path = max(ax.lines, key=lambda line: len(line.get_xdata()))
    mine = table[(table["target"] == "leaves") & (table["source"] == "plain") & (table["arm"] != "standard")]
    clean, attacked = (
        100 * mine[(mine["quantity"] == quantity) & np.isclose(mine["epsilon"], epsilon)].sort_values("beta")["mean"]
        for quantity, epsilon in (("accuracy", 0), ("adversarial_accuracy", 1 / 255))
    )
    assert path.get_xdata() == pytest.approx(list(clean))
    assert path.get_ydata() == pytest.approx(list(attacked))


def test_the_footer_says_what_was_done():
    words = footer(drawing(autoattack=10)[1])
    assert (
        "42 networks on 100 training images: from scratch by recipe few; fine-tuned by protocol whole, 16 blocks"
        in words
    )
    assert "PGD-20, 3 restarts, L∞, on 50 test images of each, the worst case over restarts and smaller ε" in words
    assert (
        "AutoAttack after PGD at the same ε, 10 images of each network, takes another 10.0 points on average" in words
    )
    assert "AutoAttack" not in footer(drawing()[1])
    assert "Marks: single networks." in footer(drawing(seeds=1)[1])


def test_without_mitigation_there_is_no_trade_off():
    _, drawn = drawing(betas=())
    assert not [ax for ax in drawn.axes if "mitigation" in ax.get_title()]
    assert "(d)" not in footer(drawn)


def test_figure_2_under_attack_against_images():
    table, drawn = drawing(fig2_robust)
    ax = next(ax for ax in drawn.axes if ax.get_title() == "Leaves")
    # Two sources, attacked and not.
    assert len(ax.lines) == 4
    drawn_means = sorted(np.concatenate([line.get_ydata() for line in ax.lines]))
    assert drawn_means == pytest.approx(
        sorted(of(table, "accuracy", "leaves", 0) + of(table, "adversarial_accuracy", "leaves", 1 / 255))
    )
    assert "12 networks" not in footer(drawn)
    assert f"{2 * 2 * 3 * 3} networks, 3 blocks" in footer(drawn)


@pytest.mark.parametrize("width", [5.5, 3.25])
@pytest.mark.parametrize("figure", [nonrobustness, fig2_robust])
@pytest.mark.parametrize(
    "choices",
    [
        {"targets": ("leaves",), "betas": (4,)},
        {},
        {"targets": tuple(f"target{index}" for index in range(6)), "betas": (1, 4, 16, 64)},
        {"targets": ("leaves", "stones", "shells"), "betas": ()},
    ],
)
def test_any_number_of_targets_and_arms_fits_the_page(figure, width, choices):
    _, drawn = drawing(figure, width, **choices)
    assert drawn.get_figwidth() == width
    nothing_overlaps(drawn)
    assert min(text_points(drawn).values()) >= 6
