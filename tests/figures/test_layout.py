"""Panels in rows, measured and wrapped text, names at the ends of lines."""

import itertools

import pytest

from figures import style
from figures.axes import labelled
from figures.layout import GAP, LEFT, RIGHT, place_panels, shorten_text, spread, text_width, wrap_text


@pytest.fixture(autouse=True)
def _theme():
    style.set_theme({})


@pytest.mark.parametrize("tail", [False, True])
@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_rows_are_filled_from_edge_to_edge(count, columns, tail):
    places = place_panels(5.5, count, columns, tail)
    assert len(places) == count + tail
    rows = [[place for place in places if place.row == row] for row in range(places[-1].row + 1)]
    for row in rows:
        assert row[0].left == pytest.approx(LEFT)
        assert row[-1].left + row[-1].width == pytest.approx(5.5 - RIGHT)
        assert [place.first for place in row] == [True] + [False] * (len(row) - 1)
        for place, after in itertools.pairwise(row):
            assert after.left - (place.left + place.width) >= GAP - 1e-9
    assert max(map(len, rows)) <= columns
    assert all(len(row) == columns for row in rows[:-2])


def test_text_is_wrapped_and_shortened_by_its_measured_width():
    text = "Lines: means over seeds; bands: their 95% intervals"
    lines = wrap_text(text, 1.0, 7, "    ")
    assert " ".join(" ".join(lines).split()) == text
    assert all(text_width(line, 7) <= 1.02 for line in lines)
    assert all(line.startswith("    ") for line in lines[1:])
    assert wrap_text("", 1.0, 7) == []
    assert wrap_text("w" * 100, 0.5, 7) == [shorten_text("w" * 100, 0.5, 7)]
    short = shorten_text("a target with a long name", 0.7, 7)
    assert short.endswith("…")
    assert text_width(short, 7) <= 0.7
    assert shorten_text("short", 0.7, 7) == "short"
    assert text_width("iii", 7) < text_width("www", 7)
    assert text_width("wide", 14) == pytest.approx(2 * text_width("wide", 7), rel=0.02)


def test_names_are_moved_apart_and_keep_their_order():
    values = [0.5, 0.51, 0.1, 0.49, 0.98]
    placed = spread(values, 0.1, 0.05, 0.95)
    order = sorted(range(5), key=values.__getitem__)
    assert sorted(range(5), key=placed.__getitem__) == order
    inorder = [placed[index] for index in order]
    assert all(b - a >= 0.1 - 1e-6 for a, b in itertools.pairwise(inorder))
    assert min(placed) >= 0.05 - 1e-6
    assert max(placed) <= 0.95 + 1e-6
    assert placed[2] == pytest.approx(0.1)  # nothing is near


def test_labels_are_all_that_fit_or_evenly_few():
    sizes = [100 * 2**power for power in range(10)]
    assert labelled(sizes, 6.0) == set(sizes)
    few = sorted(labelled(sizes, 1.4))
    assert few == [100, 800, 6400, 51200]
    assert labelled(sizes, 0.5) == {100, 51200}
    assert labelled([100], 0.2) == {100}
