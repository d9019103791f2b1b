"""Figures in print: text of 6 points, colours without red or green cones, text that stays text in the PDF, no blank room."""

import itertools
import zlib

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from advtransfer.config.catalogue import DRAWN
from advtransfer.targets.catalogue import PAPER_TARGETS
from drawings import FROM_ROWS, OF_NETWORKS, OF_STUDIES, an_experiment, drawing, panel, rows_of, texts_of
from figures import source_robustness, style
from page import blank_below_legends, text_points

# Machado, Oliveira, Fernandes 2009 (IEEE TVCG 15, 6), tables of severity 1.0, of linear RGB.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
PROTANOPIA = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)
# sRGB to CIE XYZ, D65 (IEC 61966-2-1).
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


NORMAL = np.eye(3)


def lab(colour, vision=NORMAL):
    """CIELAB of a colour as it looks to some vision (a matrix of linear RGB)."""
    encoded = np.array(to_rgb(colour))
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(vision @ linear, 0, 1) / WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def least_distance(colours, vision=NORMAL):
    return min(np.linalg.norm(lab(a, vision) - lab(b, vision)) for a, b in itertools.combinations(colours, 2))


@pytest.fixture(autouse=True)
def _close_figures():
    style.set_theme({})
    yield
    plt.close("all")


def robustness():
    lines = [
        [source, norm, epsilon, 0.5, 20, "PGD-20", "measured"]
        for source in ("plain", "l2")
        for norm, epsilons in (("l2", [0, 0.25, 0.5, 1, 3]), ("linf", [0, 1 / 255, 2 / 255, 4 / 255, 8 / 255]))
        for epsilon in epsilons
    ]
    columns = ["source", "norm", "epsilon", "accuracy", "images", "attack", "origin"]
    return source_robustness.draw(pd.DataFrame(lines, columns=columns), an_experiment())


def every_figure(folder, width=style.WIDTH, targets=tuple(PAPER_TARGETS)):
    """Each figure of the catalogue, drawn from made-up tables: (name, figure)."""
    style.set_theme({}, width)
    experiment = an_experiment(targets=list(targets))
    rows = rows_of(experiment)
    rows = rows[~((rows["source"] == "large") & (rows["target"] == targets[-1]))]
    for name in DRAWN:
        if name in FROM_ROWS:
            yield name, drawing(name, rows, experiment, folder, width)
        elif name in OF_NETWORKS:
            yield name, OF_NETWORKS[name]()
        elif name in OF_STUDIES:
            yield name, OF_STUDIES[name](folder)
        else:
            assert name == "source_robustness", f"{name} is drawn by no test"
            yield name, robustness()


@pytest.mark.parametrize("width", [3.25, style.WIDTH])
def test_every_figure_fits_its_page(tmp_path, width):
    """As wide as the page and no higher; all text has six points; no blank room under legends."""
    for name, figure in every_figure(tmp_path, width):
        sizes = text_points(figure)
        assert figure.get_figwidth() == width, name
        assert len(sizes) > 5, name
        assert min(sizes.values()) >= 6, (name, min(sizes.items(), key=lambda item: item[1]))
        assert not any(text.get_fontsize() > 9 for text in figure.texts), name
        if width == style.WIDTH:
            # A row for each claim goes on over pages.
            assert figure.get_figheight() <= 9.5 or name.startswith("claims"), name
            # Figure 5's second legend stands between panels; a line of words stands under those of transferability and influence_cut.
            others = ("fig5", "fig9", "transferability", "transferability_sources", "influence_cut")
            if figure.legends and name not in others:
                assert 0 <= blank_below_legends(figure) <= 0.18, name
        plt.close(figure)


def test_colours_of_targets_differ_without_red_or_green_cones():
    colours = [style.target_looks(list(PAPER_TARGETS))[target][0] for target in PAPER_TARGETS]
    assert least_distance(colours) > 45
    assert least_distance(colours, DEUTERANOPIA) > 33
    assert least_distance(colours, PROTANOPIA) > 33
    # Seaborn's colour-blind palette, which they were: CIFAR-10 and FMNIST nearly coincided.
    assert least_distance(["#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#56b4e9"], DEUTERANOPIA) < 13
    # Light enough to stand apart from black axes, dark enough to be seen on white.
    assert all(25 < lab(colour)[0] < 80 for colour in colours)
    markers = [marker for _, marker in style.target_looks(list(PAPER_TARGETS)).values()]
    assert len(set(markers)) == len(markers)


def test_lines_of_differences_have_their_names_at_their_ends(tmp_path):
    experiment = an_experiment(targets=list(PAPER_TARGETS))
    drawn = drawing("fig2", rows_of(experiment), experiment, tmp_path)
    ax = panel(drawn, "L2  \N{MINUS SIGN}  natural")
    names = {text.get_text(): text for text in ax.texts}
    assert set(names) == set(PAPER_TARGETS)
    # In the order of the lines' ends, and apart by more than a line of text.
    ends = {line.get_label(): line.get_ydata()[-1] for line in ax.get_lines() if line.get_label() in names}
    heights = {name: text.get_position()[1] for name, text in names.items()}
    assert sorted(names, key=ends.get) == sorted(names, key=heights.get)
    apart = np.diff(sorted(heights.values())) * ax.get_position().height * drawn.get_figheight()
    assert apart.min() >= 7 / 72
    assert [text.get_text() for legend in drawn.legends for text in legend.get_texts()][::2] == ["L2", "natural"]


def test_figure_10_has_no_empty_place(tmp_path):
    """Linf 4 has no model on the last target: its row of panels is shorter, and filled."""
    experiment = an_experiment(targets=list(PAPER_TARGETS))
    rows = rows_of(experiment)
    drawn = drawing("fig10", rows[~((rows["source"] == "large") & (rows["target"] == "mnist"))], experiment, tmp_path)
    assert len(drawn.axes) == 4 * 7 - 1
    assert "Missing: L∞ 4 on mnist." in texts_of(drawn)
    rows_of_panels = {}
    for ax in drawn.axes:
        rows_of_panels.setdefault(round(ax.get_position().y0, 4), []).append(ax.get_position())
    edges = {
        (round(min(box.x0 for box in row), 3), round(max(box.x1 for box in row), 3)) for row in rows_of_panels.values()
    }
    assert len(edges) == 1


def test_figure_3_is_fitted_to_its_data(tmp_path):
    """Stones has no epoch beyond 11: neither has its axis; and accuracies within a point do not lie in a twentieth of the height."""
    experiment = an_experiment()
    rows = rows_of(experiment)
    rows["test_accuracy"] = 0.80 + rows["epoch"] / 2000
    drawn = drawing("fig3", rows[(rows["epoch"] < 20) | (rows["target"] == "leaves")], experiment, tmp_path)
    assert panel(drawn, "Stones").get_xlim()[1] < 20
    assert panel(drawn, "Leaves").get_xlim()[1] > 20
    low, high = panel(drawn, "Leaves").get_ylim()
    assert high - low < 0.12


def pdf_streams(content):
    """The decompressed streams of a PDF file."""
    streams = []
    for part in content.split(b"stream\n")[1::2]:
        try:
            streams.append(zlib.decompress(part.split(b"\nendstream")[0]))
        except zlib.error:
            continue
    return streams


def test_text_stays_text_in_the_pdf(tmp_path):
    """Fonts are embedded as TrueType (type 42), and every text operator shows glyphs of a font; no outlines in their place."""
    experiment = an_experiment()
    drawn = drawing("fig2", rows_of(experiment), experiment, tmp_path)
    style.save_figure(drawn, str(tmp_path / "a.pdf"), str(tmp_path / "a.png"), "Accuracy", {})
    content = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in content
    assert b"/Subtype /Type3" not in content
    page = b"".join(pdf_streams(content))
    shown = len([text for text in text_points(drawn) if text])
    assert page.count(b"BT") >= shown > 20
    # What makes it text to search for and to copy.
    assert b"/ToUnicode" in content


def test_runs_of_other_epochs_are_faint_and_said(tmp_path):
    """All runs of Stones at 400 images ended at epoch 11 of 20: their part of the line is faint, in every figure from rows."""
    experiment = an_experiment()
    rows = rows_of(experiment)
    rows = rows[~((rows["target"] == "stones") & (rows["images"] == 400) & (rows["epoch"] > 11))]
    for name in FROM_ROWS:
        drawn = drawing(name, rows, experiment, tmp_path)
        words = " ".join(texts_of(drawn).split())
        assert "protocol: short except where faint;" in words, name
        assert (
            "Faint: runs that ended after other epochs than the protocol's: 11 in place of 20 (at 400 images)." in words
        )
        faint = [line for line in panel(drawn, "Stones").get_lines() if line.get_alpha() == style.FAINT]
        assert faint, name
        assert all(line.get_alpha() is None for line in panel(drawn, "Leaves").get_lines())
        plt.close(drawn)
    drawn = drawing("fig2", rows, experiment, tmp_path)
    solid, faint = (
        next(line for line in panel(drawn, "Stones").get_lines() if line.get_label() == label)
        for label in ("L2", "_faint")
    )
    assert np.isfinite(solid.get_ydata()).tolist() == [True, True, False]
    assert np.isfinite(faint.get_ydata()).tolist() == [False, True, True]
    assert faint.get_markevery() == [2]
    whole = texts_of(drawing("fig2", rows_of(experiment), experiment, tmp_path))
    assert "aint" not in whole


def test_printed_means_are_hollow_on_the_papers_targets_only(tmp_path):
    experiment = an_experiment(targets=["cifar10", "leaves"])
    rows = rows_of(experiment)
    for name, sources in (
        ("fig2", ["L2, ε = 3", "natural"]),
        ("fig5", ["L2, ε = 3", "L∞, ε = 4/255", "L∞, ε = 8/255"]),
    ):
        drawn = drawing(name, rows, experiment, tmp_path)
        marks = {
            title: [line for line in panel(drawn, title).get_lines() if line.get_label() == "_printed"]
            for title in ("cifar10", "Leaves")
        }
        assert marks["Leaves"] == []
        assert len(marks["cifar10"]) == len(sources)
        assert all(line.get_markerfacecolor() == "none" for line in marks["cifar10"])
        assert len({line.get_marker() for line in marks["cifar10"]}) == len(sources)
        words = [text.get_text() for legend in drawn.legends for text in legend.get_texts()]
        assert [word for word in words if word.startswith("printed")] == [f"printed: {source}" for source in sources]
        assert "Hollow: the means that the paper prints in its Table 5" in texts_of(drawn)
    # Table 5, CIFAR-10 with 100, 200 and 400 images.
    table = style.read_table(str(tmp_path / "fig2.csv"))
    natural = table[(table["quantity"] == "printed") & (table["source"] == "natural")]
    drawn = drawing("fig2", rows, experiment, tmp_path)
    marks = [line for line in panel(drawn, "cifar10").get_lines() if line.get_label() == "_printed"]
    assert any(np.allclose(line.get_ydata(), natural["mean"]) for line in marks)
    for other in (an_experiment(), an_experiment(blocks=[1, 9])):
        figures = ["fig2"] if 3 in other["blocks"] else ["fig4"]
        for name in figures:
            drawn = drawing(name, rows_of(other), other, tmp_path)
            assert "Hollow" not in texts_of(drawn)
            assert not any("printed" in line.get_label() for ax in drawn.axes for line in ax.get_lines())
