"""What the figures that look into single networks show: pictures, matrices, shares, the schematic."""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from advtransfer.artefacts import save_arrays
from drawings import LOOKED, NAMES, NETWORKS_EXPERIMENT, OF_NETWORKS, SHORTENED, influence_matrices, shares, texts_of
from figures import fig6, fig7, fig9, networks, style
from page import nothing_overlaps

SCRIPTS = Path(style.__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _close_figures():
    style.set_theme({})
    yield
    plt.close("all")


def drawn(figure):
    made = OF_NETWORKS[figure]()
    made.canvas.draw()
    return made


@pytest.mark.parametrize("width", [3.25, 5.5, 9.0])
@pytest.mark.parametrize("figure", [figure for figure in OF_NETWORKS if figure != "fig9"])
def test_nothing_overlaps_or_is_cut_off(figure, width):
    style.set_theme({}, width)
    made = drawn(figure)
    assert made.get_figwidth() == width
    nothing_overlaps(made)


@pytest.mark.parametrize("width", [3.25, 5.5, 9.0])
def test_the_words_of_figure_9_stand_apart(width):
    """Its one axes is the page's width, and the legend stands in it: here words are compared with words."""
    style.set_theme({}, width)
    made = drawn("fig9")
    made.set_dpi(300)
    made.canvas.draw()
    boxes = [text.get_window_extent() for text in [*made.axes[0].texts, *made.texts]]
    boxes += [legend.get_window_extent() for legend in made.legends]
    for index, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.x1 <= made.bbox.x1
        assert not any(box.shrunk(0.95, 0.95).overlaps(other.shrunk(0.95, 0.95)) for other in boxes[:index])


@pytest.mark.parametrize("figure", OF_NETWORKS)
def test_footers_name_the_experiment(figure):
    assert "Experiment: trial" in texts_of(drawn(figure))


@pytest.mark.parametrize("figure", ["fig6", "fig7", "fig8", "influence_all"])
def test_footers_say_how_influence_was_computed(figure):
    words = " ".join(texts_of(drawn(figure)).split())
    assert f"60 images of Leaves (3 blocks; seed{'s 7 to 9' if figure == 'fig8' else ' 7'})" in words
    assert f"{'3 networks' if figure == 'fig8' else 'one network'} per source" in words
    assert "as fine-tuned (eigenvalues above 0.05 of the largest)" in words
    if figure != "fig6":
        assert "influence on itself is excluded" in words


def test_damping_and_included_self_influence_are_stated():
    changed = {**NETWORKS_EXPERIMENT, "influence": {**LOOKED, "damping": 0.5, "self_influence": "included"}}
    words = " ".join(texts_of(networks.draw_shares(shares(), changed)).split())
    assert "damping 0.5" in words
    assert "influence on itself is included" in words


@pytest.mark.parametrize(("damping", "more"), [(0, ""), (0.5, ", as damping 0.5")])
def test_footers_name_the_refitted_head_and_its_ridge(damping, more):
    changed = {**LOOKED, "head": "refitted", "ridge": 2.5, "damping": damping}
    words = networks.influence_words({**NETWORKS_EXPERIMENT, "influence": changed})
    assert f"refitted to its optimum with ridge 2.5 (which its Hessian has{more});" in words
    assert "eigenvalues" not in words


def test_figure_8_has_bands_over_seeds_only():
    made = drawn("fig8")
    for ax in made.axes:
        assert len(ax.collections) == 2
        low, high = (
            ax.collections[0].get_paths()[0].vertices[:, 1].min(),
            ax.collections[0].get_paths()[0].vertices[:, 1].max(),
        )
        assert (low, high) == (0, pytest.approx(85))
    assert "bands: their 95% intervals (Student's t)" in " ".join(texts_of(made).split())
    single = networks.draw_shares(shares(), NETWORKS_EXPERIMENT)
    assert not any(ax.collections for ax in single.axes)
    assert "bands" not in texts_of(single)


def test_figure_8_is_red_and_solid_against_black_and_dashed():
    made = drawn("fig8")
    for ax in made.axes:
        robust, natural, chance = ax.get_lines()
        assert (robust.get_linestyle(), natural.get_linestyle(), chance.get_linestyle()) == ("-", "--", ":")
        assert (robust.get_color(), natural.get_color()) == ("#c1272d", "black")
        assert np.allclose(robust.get_ydata(), 80 / np.arange(1, 60))
        assert np.allclose(chance.get_ydata(), 10)


def test_figure_7_is_grey_symmetric_and_names_classes():
    made = drawn("fig7")
    panels = [ax for ax in made.axes if ax.get_images() and ax.get_xlim() == (0, 1) and len(ax.get_lines()) == 18]
    assert len(panels) == 4
    for ax in panels:
        low, high = ax.get_images()[0].get_clim()
        assert low == -high
        values = np.abs(ax.get_images()[0].get_array())
        assert high == pytest.approx(
            max(np.abs(array).max() for array in influence_matrices()[0].values() if array.shape == values.shape)
        )
        assert ax.get_images()[0].get_cmap().name == "Greys"  # the largest value is darkest
    assert [tick.get_text() for tick in panels[0].get_yticklabels()] == SHORTENED
    assert [tick.get_text() for tick in panels[2].get_xticklabels()] == SHORTENED


def test_figure_7_shows_a_quarter_of_its_cells_of_any_matrix():
    """Of values over 12 decades, as saturated heads give them, a linear scale shows next to none."""
    rng = np.random.default_rng(0)
    for power in (0.1, 1, 4):
        values = rng.choice([-1, 1], 10_000) * np.exp(power * rng.standard_normal(10_000))
        scale = fig7.colour_scale(values)
        grey = np.asarray(scale(values))
        assert grey.min() >= 0
        assert grey.max() <= 1
        assert scale(0.0) == pytest.approx(0.5)
        np.testing.assert_allclose(grey, 1 - np.asarray(scale(-values)), atol=1e-12)
        assert (np.diff(np.asarray(scale(np.sort(values)))) >= 0).all()
        # A step of grey that is seen.
        assert (np.abs(grey - 0.5) > 0.04).mean() > 0.2
    assert fig7.colour_scale(np.zeros(5)).vmax == 1


def test_figure_6_frames_the_same_class_in_green():
    made = drawn("fig6")
    assert len(made.axes) == 30
    colours = [ax.xaxis.label.get_color() for ax in made.axes]
    assert colours[10:20] == [fig6.RIGHT] * 5 + [fig6.WRONG] * 4 + [fig6.RIGHT]
    assert colours[20:30] == [fig6.WRONG] * 9 + [fig6.RIGHT]
    shown = made.axes[1].get_xlabel()
    assert shown.endswith("…")
    assert NAMES[1].startswith(shown[:-1])


def test_figure_1_has_a_column_for_each_unit_and_start():
    made = drawn("fig1")
    assert len(made.axes) == 18
    assert "unit 3" in texts_of(made)
    assert "unit 9" in texts_of(made)
    assert [ax.get_xlabel() for ax in made.axes].count("0.00 → 4.50") == 12


def test_figure_9_colours_what_is_trained():
    made = drawn("fig9")
    boxes = [patch for patch in made.axes[0].patches if hasattr(patch, "get_width") and patch.get_width() < 1]
    trained = [plt.matplotlib.colors.to_hex(box.get_facecolor()) == fig9.TRAINED for box in boxes]
    assert trained == [False] * 9 + [True] + [False] * 6 + [True] * 4
    assert "4.00M parameters" in [text.get_text() for text in made.axes[0].texts]


def test_pictures_are_small_files_and_drawn_without_torch(tmp_path):
    """400 x 400 cells of noise, which does not compress, is the most that figure 7 draws: under 2 MB."""
    rng = np.random.default_rng(0)
    _, facts = influence_matrices()
    arrays = {
        f"{role}_{queries}": rng.standard_normal((400, 400)).astype(np.float32)
        for role in ("robust", "natural")
        for queries in ("train", "test")
    }
    save_arrays(tmp_path / "fig7.safetensors", arrays, facts)
    arguments = [
        "--figure",
        "fig7",
        "--caption",
        "Influence",
        "--code",
        "0123456789abcdef",
        "--table",
        tmp_path / "fig7.safetensors",
        "--experiment",
        json.dumps(NETWORKS_EXPERIMENT),
    ]
    arguments += ["--pdf", tmp_path / "fig7.pdf", "--png", tmp_path / "fig7.png"]
    command = [sys.executable, "-X", "importtime", SCRIPTS / "figure.py", *arguments]
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    assert "| torch" not in done.stderr
    assert (tmp_path / "fig7.pdf").stat().st_size < 2e6
