"""Figure transferability: what stands where, for few and for many sources and targets."""

import functools

import matplotlib.pyplot as plt
import numpy as np
import pytest

from advtransfer.tables import correlation
from advtransfer.tables.transferability_networks import MEASURES
from advtransfer.tables.transferability_networks import compare as tabulate
from drawings import compared, compared_experiment, compared_rows
from figures import style
from figures import transferability as figure
from page import nothing_overlaps


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    # Of more than nine sources the p-value is drawn: what it is is no matter here.
    monkeypatch.setattr(correlation, "DRAWS", 100)
    yield
    plt.close("all")


tables = functools.cache(compared)


def drawing(sources, targets, width=style.WIDTH, seeds=3):
    style.set_theme({}, width)
    table, experiment = tables(tuple(sources), tuple(targets), seeds)
    return table, figure.draw(table, experiment)


def points(ax):
    return {tuple(np.round(line.get_xydata()[0], 9)) for line in ax.lines if line.get_linestyle() == "None"}


def test_panels_show_the_tables_means():
    table, drawn = drawing(["plain", "l2", "small"], ["leaves", "stones"])
    titles = ["alpha1", "alpha2", "combined", "transfer rate (%)"]
    assert [ax.get_title() for ax in drawn.axes] == [*titles, *titles, ""]
    kinds = [f"{kind}_{direction}" for direction in ("source_target", "target_source") for kind in figure.KINDS]
    for ax, measure in zip(drawn.axes, kinds, strict=False):
        mine = table[(table["quantity"] == "measure") & (table["measure"] == measure)]
        factor = 100 if measure.startswith("transfer_rate") else 1
        # Of several targets, each with its mean subtracted.
        accuracy = 100 * (mine["accuracy"] - mine.groupby("target")["accuracy"].transform("mean"))
        expected = zip(factor * mine["mean"], accuracy, strict=True)
        assert points(ax) == {tuple(np.round(point, 9)) for point in expected}


def test_correlations_are_written_and_drawn():
    table, drawn = drawing(["plain", "l2", "small", "large"], ["leaves", "stones"])
    ax = drawn.axes[-1]
    found = table[(table["quantity"] == "rank_correlation") & (table["against"] == "accuracy")]
    pooled = found[found["target"].isna()].set_index("measure")
    texts = [text.get_text() for text in ax.texts]
    assert len(texts) == 8
    for text, measure in zip(texts, figure._order(), strict=True):
        line = pooled.loc[measure]
        assert text == f"{line['correlation']:.2f}, p = {line['p']:.2g}".replace("-", "\N{MINUS SIGN}")
    # Two targets and a diamond for each of 8 measures.
    assert sum(line.get_linestyle() == "None" for line in ax.lines) == 8 * 3
    words = " ".join(text.get_text().replace("\n", " ") for text in drawn.texts)
    assert "8 points" in words
    assert "all permutations within targets" in words


def test_a_single_target_has_no_diamonds():
    _, drawn = drawing(["0%", "50%", "100%"], ["leaves"])
    ax = drawn.axes[-1]
    assert {line.get_marker() for line in ax.lines if line.get_linestyle() == "None"} == {"o"}
    words = " ".join(text.get_text() for text in drawn.texts)
    assert "Diamonds" not in words
    assert "3 points" in " ".join(words.split())


def test_a_target_without_values_is_drawn_empty():
    style.set_theme({})
    rows = compared_rows(["plain", "l2"], ["leaves"])
    rows[list(MEASURES)] = float("nan")
    drawn = figure.draw(tabulate(rows, "t"), compared_experiment(["plain", "l2"], ["leaves"]))
    nothing_overlaps(drawn)
    assert [text.get_text() for text in drawn.axes[-1].texts] == ["none"] * 8


def test_a_single_seed_has_no_bars():
    _, drawn = drawing(["plain", "l2"], ["leaves"], seeds=1)
    assert all(not ax.collections for ax in drawn.axes[:-1])
    assert "bars" not in " ".join(text.get_text() for text in drawn.texts)


@pytest.mark.parametrize("width", [3.25, 5.5, 10])
@pytest.mark.parametrize(("sources", "targets"), [(2, 1), (6, 2), (15, 6)])
def test_any_number_of_sources_and_targets_fits_the_page(sources, targets, width):
    names = [f"L∞, ε = {index}/255" for index in range(sources)]
    _, drawn = drawing(names, [f"target{index}" for index in range(targets)], width)
    nothing_overlaps(drawn)
    assert drawn.get_figheight() <= 9.5 or width < style.WIDTH
    assert len(drawn.axes) == 9


def test_the_footer_says_what_was_attacked():
    _, drawn = drawing(["plain", "l2"], ["leaves"])
    words = " ".join(" ".join(part.get_text() for part in drawn.texts).split())
    assert "PGD-20, L\N{INFINITY}, \N{GREEK SMALL LETTER EPSILON} = 25.5/255, on the output of S or T" in words
    assert "accuracy leaves! 90%" in words
    # 3 seeds of 45 images, whatever the sources.
    assert "at the 135 images (of all seeds) that T has right" in words
