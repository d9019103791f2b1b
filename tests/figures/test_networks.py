"""What the figures that look into single networks show: pictures, matrices, shares, the schematic."""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from advtransfer.artefacts import save_arrays
from figures import fig1, fig6, fig7, fig9, networks, style

SCRIPTS = Path(style.__file__).resolve().parents[1]
LOOKED = {
    "target": "leaves",
    "images": 60,
    "blocks": 3,
    "seed": 7,
    "sources": {"natural": "plain", "robust": "l2"},
    "pinv_rcond": 0.05,
    "damping": 0,
    "self_influence": "excluded",
    "test_images": 30,
}
EXPERIMENT = {
    "name": "trial",
    "protocol": "short",
    "sources": {"natural": "plain", "robust": "l2"},
    "targets": ["leaves"],
    "labels": {"plain": "natural", "l2": "L2, ε = 3", "leaves": "Leaves"},
    "influence": LOOKED,
    "visualisation": {**LOOKED, "blocks": 0, "units": [3, 9], "steps": 10, "step_size": 2},
}
NAMES = ["oak", "a class with a long name", "ash", "elm", "yew", "fir", "fig", "bay", "box", "asp"]
SHORTENED = [NAMES[0], "a class wi…", *NAMES[2:]]


@pytest.fixture(autouse=True)
def _close_figures():
    style.set_theme({})
    yield
    plt.close("all")


def pictures():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 10, 3, 8, 8), dtype=np.uint8)
    labels = [list(range(10)), [0, 1, 2, 3, 4, 9, 9, 9, 9, 9], [9] * 10]
    return {"images": images}, {"rows": ["test image", "robust", "natural"], "labels": labels, "class_names": NAMES}


def influence_matrices():
    rng = np.random.default_rng(0)
    arrays = {
        f"{role}_{queries}": rng.standard_normal((rows, 60)).astype(np.float32)
        for role in ("robust", "natural")
        for queries, rows in (("train", 60), ("test", 30))
    }
    edges = {"train": [0.1 * (1 + i) for i in range(10)], "test": [0.05, *(0.15 + 0.1 * i for i in range(8)), 1.0]}
    return arrays, {"edges": edges, "sizes": {"train": 60, "test": 30}, "class_names": NAMES}


def visualisations():
    rng = np.random.default_rng(0)
    arrays = {"starts": rng.random((3, 3, 32, 32), dtype=np.float32)}
    for role in ("natural", "robust"):
        arrays[f"{role}_images"] = rng.random((2, 3, 3, 32, 32), dtype=np.float32)
        arrays[f"{role}_activations"] = np.stack([np.zeros((2, 3)), np.full((2, 3), 4.5)], -1).astype(np.float32)
    return arrays, {"starts": ["photograph 1", "photograph 2", "noise"]}


def shares(ways=("",)):
    lines = [
        [queries, role, rank, share / rank, 30, 60, 0.1, way]
        for way in ways
        for queries in ("train", "test")
        for role, share in (("robust", 0.8), ("natural", 0.5))
        for rank in range(1, 60)
    ]
    columns = ["queries", "role", "rank", "same_class_share", "query_images", "train_images", "chance", "through"]
    table = pd.DataFrame(lines, columns=columns)
    return table if ways != ("",) else table.drop(columns="through")


def schematic():
    lines = []
    for blocks in (0, 3):
        parts = [("conv1", 0), *((f"layer{1 + i // 4}.{i % 4}", 1 + i // 4) for i in range(8)), ("fc", -1)]
        for index, (part, stage) in enumerate(parts):
            trained = 1_000_000 if index >= len(parts) - 1 - blocks else 0
            lines.append([blocks, part, stage, 1_000_000, trained])
    return pd.DataFrame(lines, columns=["blocks", "part", "stage", "parameters", "trained"])


FIGURES = {
    "fig1": lambda: fig1.draw(visualisations(), EXPERIMENT),
    "fig6": lambda: fig6.draw(pictures(), EXPERIMENT),
    "fig7": lambda: fig7.draw(influence_matrices(), EXPERIMENT),
    "fig8": lambda: networks.draw_shares(shares(), EXPERIMENT),
    "influence_all": lambda: networks.draw_shares(shares(("head", "all weights")), EXPERIMENT),
    "fig9": lambda: fig9.draw(schematic(), EXPERIMENT),
}


def drawn(figure):
    made = FIGURES[figure]()
    made.canvas.draw()
    return made


def texts_of(figure):
    return "\n".join(text.get_text() for text in figure.texts)


@pytest.mark.parametrize("figure", FIGURES)
def test_nothing_overlaps_or_is_cut_off(figure):
    made = drawn(figure)
    renderer = made.canvas.get_renderer()
    boxes = [ax.get_tightbbox(renderer) for ax in made.axes] + [legend.get_window_extent() for legend in made.legends]
    boxes += [text.get_window_extent() for text in made.texts if not text.get_text().startswith("(")]
    for index, box in enumerate(boxes):
        assert box.x0 >= made.bbox.x0
        assert box.x1 <= made.bbox.x1
        assert box.y0 >= made.bbox.y0
        assert box.y1 <= made.bbox.y1
        for other in boxes[:index]:
            width = min(box.x1, other.x1) - max(box.x0, other.x0)
            height = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert min(width, height) <= 2 or figure == "fig9", (box, other)  # fig9: the legend stands in its axes


@pytest.mark.parametrize("figure", FIGURES)
def test_footers_name_the_experiment(figure):
    assert "Experiment: trial" in texts_of(drawn(figure))


@pytest.mark.parametrize("figure", ["fig6", "fig7", "fig8", "influence_all"])
def test_footers_say_how_influence_was_computed(figure):
    words = " ".join(texts_of(drawn(figure)).split())
    assert "60 images of Leaves (3 blocks; seed 7)" in words
    assert "eigenvalues above 0.05 of the largest" in words
    if figure != "fig6":
        assert "influence on itself is excluded" in words


def test_damping_and_included_self_influence_are_stated():
    changed = {**EXPERIMENT, "influence": {**LOOKED, "damping": 0.5, "self_influence": "included"}}
    words = " ".join(texts_of(networks.draw_shares(shares(), changed)).split())
    assert "damping 0.5" in words
    assert "influence on itself is included" in words


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
        assert ax.get_images()[0].get_cmap().name == "Greys"  # the largest value is darkest
    assert [tick.get_text() for tick in panels[0].get_yticklabels()] == SHORTENED
    assert [tick.get_text() for tick in panels[2].get_xticklabels()] == SHORTENED


def test_figure_6_frames_the_same_class_in_green():
    made = drawn("fig6")
    assert len(made.axes) == 30
    colours = [ax.xaxis.label.get_color() for ax in made.axes]
    assert colours[10:20] == [fig6.RIGHT] * 5 + [fig6.WRONG] * 4 + [fig6.RIGHT]
    assert colours[20:30] == [fig6.WRONG] * 9 + [fig6.RIGHT]
    assert made.axes[1].get_xlabel() == "a class wi…"


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
        json.dumps(EXPERIMENT),
    ]
    arguments += ["--pdf", tmp_path / "fig7.pdf", "--png", tmp_path / "fig7.png"]
    command = [sys.executable, "-X", "importtime", SCRIPTS / "figure.py", *arguments]
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    assert "| torch" not in done.stderr
    assert (tmp_path / "fig7.pdf").stat().st_size < 2e6
