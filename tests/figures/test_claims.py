"""The claims as they are drawn: a row each, told apart by more than colour."""

import matplotlib.pyplot as plt
import pytest

from advtransfer.config.claims import VERDICTS
from drawings import CLAIMS_EXPERIMENT, claimed, claims_of_both, texts_of
from figures import claims, claims_compared, style
from page import nothing_overlaps, text_points


@pytest.mark.parametrize("width", [3.25, style.WIDTH])
def test_nothing_overlaps_and_all_can_be_read(width):
    style.set_theme({}, width)
    for figure in (
        claims.draw(claimed(), CLAIMS_EXPERIMENT),
        claims_compared.draw(claims_of_both(), CLAIMS_EXPERIMENT),
    ):
        nothing_overlaps(figure)
        assert min(text_points(figure).values()) >= 6
        plt.close(figure)


def test_verdicts_differ_without_colour():
    marks = {(marker, verdict == "not testable") for verdict, (_, marker) in claims.LOOKS.items()}
    assert len(marks) == len(VERDICTS) == len(claims.LOOKS)


def test_rows_show_the_tables_values():
    style.set_theme({})
    table = claimed()
    figure = claims.draw(table, CLAIMS_EXPERIMENT)
    figure.canvas.draw()
    texts = texts_of(figure)
    assert texts.count("24/30") == sum(table["cells"] > 0)
    assert "Utrera et al. 2020" in texts
    assert "Experiment: trial. In the place of the paper's sources: L2: L2, ε = 0.5." in " ".join(texts.split())
    (ax,) = figure.axes
    points = [line.get_xdata()[0] for line in ax.get_lines() if line.get_linestyle() == "None"]
    drawn = table[(table["statistic"] == "difference") & table["value"].notna()]
    assert points == list(drawn["value"])
    bars = [
        tuple(line.get_xdata()) for line in ax.get_lines() if len(line.get_xdata()) == 2 and line.get_linewidth() == 1.4
    ]
    assert bars == list(zip(drawn["low"], drawn["high"], strict=True))
    # Rows follow the table from above.
    heights = [line.get_ydata()[0] for line in ax.get_lines() if line.get_linestyle() == "None"]
    assert heights == sorted(heights)
    plt.close(figure)


def test_values_without_points_are_written():
    line = {"statistic": "count", "value": 4806.0}
    assert claims.value_in_words(line) == "4,806"
    assert claims.value_in_words({"statistic": "schedule", "value": 0.5}) == "50%"
    assert claims.value_in_words({"statistic": "rank_correlation", "value": -0.733}) == "rank corr. \N{MINUS SIGN}0.73"
