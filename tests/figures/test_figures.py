"""What the figures show: lines, ticks, colours, footers; that the same table gives the same bytes."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import FillBetweenPolyCollection, LineCollection
from matplotlib.colors import to_hex

from advtransfer import figure_records
from advtransfer.artefacts import made_of, save_table
from advtransfer.config.catalogue import ROLES
from advtransfer.errors import InputError
from advtransfer.tables.accuracy import compare
from advtransfer.targets.catalogue import PAPER_TARGETS
from drawings import FROM_ROWS, an_experiment, drawing, lines_of, panel, rows_of, table_of, texts_of, ticks_of
from figures import source_robustness, style
from page import nothing_overlaps

SCRIPTS = Path(style.__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_robust_is_solid_with_circles_and_natural_dashed(tmp_path):
    experiment = an_experiment()
    lines = lines_of(panel(drawing("fig2", rows_of(experiment), experiment, tmp_path), "Leaves"))
    assert (lines["L2"].get_linestyle(), lines["L2"].get_marker()) == ("-", "o")
    assert (lines["natural"].get_linestyle(), lines["natural"].get_marker()) == ("--", "")
    assert lines["L2"].get_color() == lines["natural"].get_color()


def test_lines_and_bands_are_the_tables_values(tmp_path):
    experiment = an_experiment()
    rows = rows_of(experiment)
    ax = panel(drawing("fig2", rows, experiment, tmp_path), "L2  \N{MINUS SIGN}  natural")
    table = table_of("fig2", rows, experiment, tmp_path)
    mine = table[(table["quantity"] == "delta") & (table["target"] == "stones")]
    line = lines_of(ax)["Stones"]
    assert list(line.get_xdata()) == [100, 200, 400]
    assert np.allclose(line.get_ydata(), mine["mean"])
    bands = [collection for collection in ax.collections if isinstance(collection, FillBetweenPolyCollection)]
    band = bands[1].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(mine["low"].min())
    assert band[:, 1].max() == pytest.approx(mine["high"].max())
    assert any(np.allclose(line.get_ydata(), 0) for line in ax.get_lines())  # the zero line


def test_a_line_of_one_point_is_a_marker_with_a_bar(tmp_path):
    experiment = an_experiment()
    experiment["sizes"] = {target: [[400, 3]] for target in experiment["targets"]}
    rows = rows_of(experiment)
    drawn = drawing("fig2", rows, experiment, tmp_path)
    lines = lines_of(panel(drawn, "Leaves"))
    assert lines["natural"].get_marker() == "x"
    assert lines["L2"].get_marker() == "o"
    table = table_of("fig2", rows, experiment, tmp_path)
    mine = table[(table["quantity"] == "accuracy") & (table["target"] == "leaves")]
    bars = [part for part in panel(drawn, "Leaves").collections if isinstance(part, LineCollection)]
    drawn_ends = sorted(tuple(bar.get_segments()[0][:, 1]) for bar in bars)
    assert np.allclose(drawn_ends, sorted(zip(mine["low"], mine["high"], strict=True)))
    # Side by side around their size, and as the legend shows them.
    places = {name: float(line.get_xdata()[0]) for name, line in lines.items() if name in ("natural", "L2")}
    assert places["L2"] < 400 < places["natural"]
    assert places["L2"] * places["natural"] == pytest.approx(400**2)
    handles = {handle.get_label(): handle for legend in drawn.legends for handle in legend.legend_handles}
    assert handles["natural"].get_marker() == "x"
    words = texts_of(drawn)
    assert "Points, side by side: means over seeds; bars: their 95%" in " ".join(words.split())


def test_each_target_at_one_size_of_its_own(tmp_path):
    """images: [all]: the panels' x differ, and so do the places of the differences."""
    experiment = an_experiment()
    experiment["sizes"] = {"leaves": [[300, 3]], "stones": [[500, 3]]}
    experiment["fig3"] = {"images": 300, "epochs": [20]}
    drawn = drawing("fig2", rows_of(experiment), experiment, tmp_path)
    for title, size in (("Leaves", 300), ("Stones", 500)):
        places = [float(line.get_xdata()[0]) for line in lines_of(panel(drawn, title)).values()]
        assert math.prod(places) == pytest.approx(size**2)
    (differences,) = [ax for ax in drawn.axes if ax.get_title() not in ("Leaves", "Stones")]
    assert {float(line.get_xdata()[0]) for line in lines_of(differences).values()} == {300.0, 500.0}


def test_a_single_model_has_neither_band_nor_mark(tmp_path):
    experiment = an_experiment()
    experiment["sizes"] = {target: [[100, 1], [400, 1]] for target in experiment["targets"]}
    drawn = drawing("fig2", rows_of(experiment), experiment, tmp_path)
    for ax in drawn.axes:
        bands = [part for part in ax.collections if isinstance(part, FillBetweenPolyCollection)]
        marks = [part for part in ax.collections if part not in bands]
        assert bands
        assert all(np.isnan(path.vertices[:, 1]).all() for part in bands for path in part.get_paths())
        assert all(len(part.get_offsets()) == 0 for part in marks)
    text = texts_of(drawn)
    assert "bands" not in text
    assert "Small marks" not in text


def test_targets_keep_the_papers_colours_in_its_order(tmp_path):
    paper = list(PAPER_TARGETS)
    looks = style.target_looks(["mnist", "leaves", "cifar10"])
    assert looks["cifar10"] == style.target_looks(paper)["cifar10"]
    assert [style.target_looks(paper)[target][0] for target in paper] == list(style.PALETTE[:6])
    assert looks["leaves"][0] not in style.PALETTE[:6]
    assert len(set(style.PALETTE)) == len(style.PALETTE)
    experiment = an_experiment(targets=["svhn", "cifar100"])
    drawn = drawing("fig2", rows_of(experiment), experiment, tmp_path)
    colour = to_hex(lines_of(panel(drawn, "svhn"))["L2"].get_color())
    assert colour == style.PALETTE[2]


def test_x_axis_is_log2_with_plain_labels(tmp_path):
    experiment = an_experiment()
    experiment["sizes"]["stones"] = [[100 * 2**power, 2] for power in range(9)] + [[73_257, 1]]
    drawn = drawing("fig2", rows_of(experiment), experiment, tmp_path)
    few, many = panel(drawn, "Leaves"), panel(drawn, "Stones")
    assert few.get_xscale() == "log"
    assert few.xaxis.get_transform().base == 2
    assert ticks_of(few.xaxis) == ["100", "200", "400"]
    assert few.get_xticklabels()[0].get_rotation() == 0
    # A tick at each of ten sizes, labels at as many as stand side by side: at even distances, the first and the last among them.
    assert len(many.get_xticks()) == 10
    assert ticks_of(many.xaxis) == ["100", "800", "6,400", "73,257"]
    assert many.get_xticklabels()[0].get_rotation() == 0


def test_labels_that_would_touch_are_left_out(tmp_path):
    experiment = an_experiment()
    for target, everything in (("leaves", 50_000), ("stones", 52_000)):
        experiment["sizes"][target] = [[100 * 2**power, 2] for power in range(9)] + [[everything, 1]]
    drawn = drawing("fig2", rows_of(experiment), experiment, tmp_path)
    ax = panel(drawn, "L2  \N{MINUS SIGN}  natural")
    assert len(ax.get_xticks()) == 11
    assert "50,000" not in ticks_of(ax.xaxis)
    assert "52,000" in ticks_of(ax.xaxis)


@pytest.mark.parametrize("width", [3.25, 5.5, 9.0])
@pytest.mark.parametrize("targets", [["a target with a long name"], ["leaves", "stones", "svhn"]], ids=["one", "three"])
@pytest.mark.parametrize("figure", FROM_ROWS)
def test_nothing_overlaps_or_is_cut_off(tmp_path, figure, targets, width):
    """No two axes (labels and titles included) touch, nothing leaves the page, legends lie outside of the panels."""
    experiment = an_experiment(targets=targets)
    experiment["sizes"][targets[-1]] = [[400 * 2**power, 2] for power in range(9)]
    drawn = drawing(figure, rows_of(experiment), experiment, tmp_path, width)
    assert drawn.get_figwidth() == width
    nothing_overlaps(drawn)


def test_accuracy_axes_are_percent_and_hold_all_bands(tmp_path):
    experiment = an_experiment()
    for ax in drawing("fig4", rows_of(experiment), experiment, tmp_path).axes:
        low, high = ax.get_ylim()
        for line in ax.get_lines():
            assert low <= min(line.get_ydata())
            assert max(line.get_ydata()) <= high
    ax = panel(drawing("fig4", rows_of(experiment), experiment, tmp_path), "Leaves")
    assert all(
        float(text) == round(100 * place) for text, place in zip(ticks_of(ax.yaxis), ax.get_yticks(), strict=True)
    )
    assert ax.get_ylim()[1] <= 1.05


def test_block_counts_and_sources_have_lines(tmp_path):
    experiment = an_experiment()
    rows = rows_of(experiment)
    assert list(lines_of(panel(drawing("fig4", rows, experiment, tmp_path), "Stones"))) == [
        "0 blocks",
        "1 block",
        "3 blocks",
        "9 blocks",
    ]
    drawn = drawing("fig5", rows, experiment, tmp_path)
    lines = lines_of(panel(drawn, "Stones"))
    assert {label: line.get_linestyle() for label, line in lines.items()} == {"L2": "-", "L∞ 2": "--", "L∞ 4": ":"}
    assert [ax.get_title().replace("\N{MINUS SIGN}", "-") for ax in drawn.axes[2:]] == [
        "L∞ 2\n- L∞ 4",
        "L2\n- L∞ 2",
        "L2\n- L∞ 4",
    ]
    drawn = drawing("fig10", rows, experiment, tmp_path)
    assert len(drawn.axes) == len(ROLES) * (len(experiment["targets"]) + 1)


def test_what_does_not_exist_has_no_panel(tmp_path):
    experiment = an_experiment(targets=["leaves"])
    del experiment["sources"]["linf_large"]
    rows = rows_of(experiment)
    assert len(drawing("fig2", rows, experiment, tmp_path).axes) == 2
    assert len(drawing("fig5", rows, experiment, tmp_path).axes) == 2  # one target, one pair of sources
    assert len(drawing("fig10", rows, experiment, tmp_path).axes) == 3 * 2
    alone = experiment | {"sources": {"robust": "l2"}}
    assert len(drawing("fig2", rows, alone, tmp_path).axes) == 1
    assert len(drawing("fig5", rows, alone, tmp_path).axes) == 1
    every = drawing("fig10", rows[rows["blocks"] == 3], experiment, tmp_path)
    assert len(every.axes) == 3
    for figure in FROM_ROWS:
        assert all(ax.get_lines() for ax in drawing(figure, rows, experiment, tmp_path).axes)


def test_footer_names_experiment_models_bands_and_what_is_missing(tmp_path):
    experiment = an_experiment()
    rows = rows_of(experiment)
    whole = texts_of(drawing("fig10", rows, experiment, tmp_path))
    assert "Experiment: trial; protocol: short; 288 models, 3 per point." in whole
    text = whole.replace("\n    ", " ")
    assert (
        "bands: their 95% intervals (Student's t), point by point, over seeds; they do not cover another draw" in text
    )
    assert "Small marks: single models." in text
    assert "Missing" not in whole
    assert "Fewer" not in whole
    gone = (
        (rows["blocks"] == 9)
        | ((rows["source"] == "large") & (rows["target"] == "stones"))
        | ((rows["target"] == "leaves") & (rows["images"] == 200))
        | ((rows["target"] == "stones") & (rows["images"] == 400) & (rows["seed"] == 2))
    )
    text = texts_of(drawing("fig10", rows[~gone], experiment, tmp_path)).replace("\n    ", " ")
    assert "Missing: 9 blocks (all targets); L∞ 4 on Stones; Leaves at 200 images." in text
    assert "Fewer models than planned: Stones at 400 images (2 of 3)." in text
    text = texts_of(drawing("fig5", rows[rows["source"] != "large"], experiment, tmp_path))
    assert "Missing: L∞ 4 (all targets)." in text
    text = texts_of(drawing("fig3", rows[(rows["epoch"] < 20) | (rows["target"] == "leaves")], experiment, tmp_path))
    assert "12 models at 400 training images" in text
    assert "Missing: Stones at epoch 20." in text


def test_footer_names_unequal_training_and_unpaired_seeds(tmp_path):
    experiment = an_experiment()
    rows = rows_of(experiment)
    longer = (
        (rows["source"] == "plain") & (rows["target"] == "stones") & (rows["images"] == 100) & (rows["epoch"] == 20)
    )
    rows.loc[longer, "epoch"] = 40
    rows.loc[(rows["source"] == "l2") & (rows["target"] == "leaves") & (rows["seed"] == 2), "seed"] = 9
    text = texts_of(drawing("fig2", rows, experiment, tmp_path))
    assert "Models compared after different numbers of epochs: Stones at 100 images (20 or 40 epochs)." in text
    assert "seeds paired on Leaves at 100 images (2 of 4), 200 images (2 of 4), 400 images (2 of 4)" in text


def test_scripts_give_the_same_bytes_every_time_without_torch(tmp_path):
    experiment = an_experiment()
    save_table(tmp_path / "fig2.csv", compare(rows_of(experiment), experiment, "fig2"), made_of({}, "code", {}))
    mine = {**experiment, "figures": {"fig2": experiment["figures"]["fig2"]}}
    outputs = []
    for attempt in ("first", "second"):
        arguments = ["--figure", "fig2", "--table", tmp_path / "fig2.csv", "--experiment", json.dumps(mine)]
        arguments += ["--caption", "Accuracy", "--code", "0123456789abcdef"]
        arguments += ["--style", json.dumps({"lines.linewidth": 2}), "--pdf", tmp_path / f"{attempt}.pdf"]
        arguments += ["--png", tmp_path / f"{attempt}.png"]
        # A record, which has times in it, changes nothing.
        arguments += ["--record", tmp_path / "fig2.json"] if attempt == "second" else []
        command = [sys.executable, "-X", "importtime", SCRIPTS / "figure.py", *arguments]
        done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
        assert "| matplotlib" in done.stderr
        assert "| torch" not in done.stderr
        outputs.append([(tmp_path / f"{attempt}.{ending}").read_bytes() for ending in ("pdf", "png")])
    assert outputs[0] == outputs[1]
    record = figure_records.read(tmp_path / "fig2.json")
    assert {record["provenance"]["settings"]} == {
        *re.findall(r'"settings": "([0-9a-f]+)"', outputs[0][0].decode("latin-1"))
    }
    assert outputs[0][0].startswith(b"%PDF")
    assert b"/CreationDate" not in outputs[0][0]
    assert b"/FontFile2" in outputs[0][0]  # TrueType, embedded
    assert outputs[0][1].startswith(b"\x89PNG")
    assert not list(tmp_path.glob(".*.part"))


def test_unknown_style_is_refused():
    with pytest.raises(InputError, match=r"style: lines.girth = 2 is no setting"):
        style.set_theme({"lines.girth": 2})


def test_the_ladder_has_a_row_for_each_norm_and_begins_at_natural(tmp_path):
    experiment = an_experiment()
    rows = rows_of(experiment)
    drawn = drawing("epsilon", rows, experiment, tmp_path)
    l2, linf = panel(drawn, "Leaves", 0), panel(drawn, "Leaves", 1)
    assert ticks_of(l2.xaxis) == ["0", "0.5"]
    assert ticks_of(linf.xaxis) == ["0", "2/255", "4/255"]
    table = table_of("epsilon", rows, experiment, tmp_path)
    mine = table[(table["quantity"] == "accuracy") & (table["target"] == "leaves") & (table["images"] == 400)]
    mine = mine.set_index("source")["mean"]
    assert len(linf.get_lines()) == 2  # 100 and 400 images, not 200
    assert np.allclose(linf.get_lines()[1].get_ydata(), mine[["plain", "small", "large"]])
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["100 training images", "400 training images"]


def test_the_ladder_says_which_rung_is_missing(tmp_path):
    experiment = an_experiment()
    rows = rows_of(experiment)
    drawn = drawing("epsilon", rows[rows["source"] != "large"], experiment, tmp_path)
    assert "Missing: L∞ 4 (all targets)." in texts_of(drawn)
    assert np.isnan(panel(drawn, "Leaves", 1).get_lines()[0].get_ydata()).sum() == 0


def test_robustness_has_a_panel_for_each_norm(tmp_path):
    experiment = an_experiment()
    lines = [
        [source, norm, epsilon, accuracy, 100 if epsilon == 0 else 20, "PGD-20", "measured"]
        for source, drop in (("plain", 0.9), ("l2", 0.3))
        for norm, epsilons in (("l2", [0, 0.5, 1]), ("linf", [0, 1 / 255, 2 / 255]))
        for epsilon, accuracy in zip(epsilons, [0.9, 0.9 - drop / 2, 0.9 - drop], strict=True)
    ]
    columns = ["source", "norm", "epsilon", "accuracy", "images", "attack", "origin"]
    style.set_theme({})
    drawn = source_robustness.draw(pd.DataFrame(lines, columns=columns), experiment)
    drawn.canvas.draw()
    linf = panel(drawn, "attacked in L∞")
    assert ticks_of(linf.xaxis) == ["0", "1/255", "2/255"]
    natural = lines_of(linf)
    assert len(linf.get_lines()) == 2
    assert linf.get_lines()[0].get_linestyle() == "--"
    assert np.allclose(linf.get_lines()[0].get_ydata(), [0.9, 0.45, 0.0])
    assert natural == {}
    assert "clean (epsilon 0) on 100 test images, attacked on 20 (PGD-20)" in " ".join(texts_of(drawn).split())
    with pytest.raises(InputError, match="nothing was measured"):
        source_robustness.draw(pd.DataFrame([], columns=columns), experiment)
