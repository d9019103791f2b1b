"""Draw nonrobustness_features: how alike layers are, and perturbations that move all networks (Zhang et al. 2021)."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style
from figures.axes import epsilon_text
from figures.footer import name_of
from figures.layout import LEFT, NAME, OVER, UNDER, Legend, canvas, figure_width, most_columns, place_panels, stack

NARROWEST, HIGH, PICTURE = 1.25, 1.1, 0.95
# Pairs of networks whose layers are compared: words, marker.
PAIRS = {
    ("natural", "fine_tuned"): ("natural: before and after", "o"),
    ("natural", "mitigated"): ("the same, mitigated", "P"),
    ("robust", "robust_fine_tuned"): ("robust: before and after", "^"),
    ("natural", "standard"): ("natural and from scratch", "s"),
    ("fine_tuned", "standard"): ("fine-tuned and from scratch", "D"),
}
NETWORKS = {
    "fine_tuned": "natural",
    "mitigated": "mitigated",
    "robust_fine_tuned": "robust",
    "standard": "scratch",
}
PERTURBATIONS = {"natural": "natural's", "robust": "robust's", "random": "random signs"}


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """For each target: (a) CCA by layer, (b) classes that perturbations change; (c) the perturbations, as images."""
    settings = experiment["nonrobustness"]
    targets = style.present(table, experiment["targets"])
    colours = dict(zip(PAIRS, style.PALETTE, strict=False))
    crafted = [name for name in PERTURBATIONS if (table["first"] == name).any()]
    looks = dict(zip(PERTURBATIONS, (*style.PALETTE[6:8], "0.8"), strict=True))
    looks = {name: colour for name, colour in looks.items() if name in crafted}
    width = figure_width()
    columns = min(len(targets), most_columns(width, NARROWEST))
    places = place_panels(width, len(targets), columns)
    lines = places[-1].row + 1
    side = min(PICTURE, (width - LEFT) / len(crafted) - 0.15)
    rows = [(OVER, HIGH, UNDER + NAME)] * lines + [(OVER, HIGH, UNDER + 0.06)] * lines + [(OVER, side, 0.1)]
    have = [pair for pair in PAIRS if ((table["first"] == pair[0]) & (table["second"] == pair[1])).any()]
    pairs = [Line2D([], [], color=colours[pair], marker=PAIRS[pair][1], label=PAIRS[pair][0]) for pair in have]
    pairs.append(Line2D([], [], color="0.6", linestyle=":", label="(a) images shuffled"))
    squares = [
        Line2D([], [], linestyle="", marker="s", color=colour, label=f"(b, c) {PERTURBATIONS[name]}")
        for name, colour in looks.items()
    ]
    legends = [Legend(pairs), Legend(squares)]
    above = [legend.height(width) for legend in legends]
    made = canvas(width, sum(map(sum, rows)), sum(above) - 0.08, _footer(table, experiment))
    made.legend(0, width, legends[0])
    made.legend(0, width, legends[1], made.height - above[0] + 0.05)
    bottoms = stack(made.top, rows)
    for kind, letter in enumerate("ab"):
        for place, target in zip(places, targets, strict=True):
            bottom = bottoms[kind * lines + place.row]
            ax, mine = made.axes(place.left, bottom, place.width, HIGH), table[table["target"] == target]
            if kind == 0:
                _draw_likeness(ax, mine, have, colours)
                ax.set_xlabel("layer")
            else:
                _draw_changes(ax, mine, looks)
            style.set_title(ax, name_of(experiment, target))
            if place.first:
                ax.set_ylabel("mean CCA" if kind == 0 else "classes changed (%)")
            ax.spines[["top", "right"]].set_visible(False)
            if target == targets[0]:
                made.letter(place.left - LEFT + 0.04, bottom + HIGH, letter)
    made.letter(0.04, bottoms[-1] + side, "c")
    pixels = table[(table["quantity"] == "pixel") & (table["target"] == targets[0])]
    gap = (width - LEFT - side * len(crafted)) / (len(crafted) + 0.5)
    for index, name in enumerate(crafted):
        ax = made.axes(LEFT + gap / 2 + index * (side + gap), bottoms[-1], side, side)
        _draw_picture(ax, pixels[pixels["first"] == name], settings["features"]["epsilon"])
        style.set_title(ax, PERTURBATIONS[name])
    return made.figure


def _draw_likeness(ax: Axes, table: pd.DataFrame, pairs: Sequence[tuple[str, str]], colours: dict) -> None:
    for pair in pairs:
        mine = table[(table["first"] == pair[0]) & (table["second"] == pair[1])].sort_values("place")
        cca, shuffled = (mine[mine["quantity"] == quantity] for quantity in ("cca", "cca_shuffled"))
        ax.plot(shuffled["place"], shuffled["mean"], color=colours[pair], linestyle=":", linewidth=0.8, alpha=0.7)
        band = {"color": colours[pair], "alpha": 0.15, "linewidth": 0}
        ax.fill_between(cca["place"], cca["low"].clip(0, 1), cca["high"].clip(0, 1), **band)
        edge = {"markeredgecolor": "white", "markeredgewidth": 0.3, "markersize": 4}
        ax.plot(cca["place"], cca["mean"], color=colours[pair], marker=PAIRS[pair][1], clip_on=False, **edge)
    layers = sorted(table.loc[table["quantity"] == "cca", "place"].unique())
    ax.set_xticks(layers, ["stem" if layer == 0 else f"stage {int(layer)}" for layer in layers])
    ax.set_ylim(0, 1)


def _draw_changes(ax: Axes, table: pd.DataFrame, looks: dict) -> None:
    changes = table[table["quantity"] == "changed"]
    networks = [name for name in NETWORKS if (changes["second"] == name).any()]
    wide = 0.8 / len(looks)
    for index, network in enumerate(networks):
        for place, (name, colour) in enumerate(looks.items()):
            x = index + (place - (len(looks) - 1) / 2) * wide
            for line in changes[(changes["second"] == network) & (changes["first"] == name)].itertuples():
                ax.bar(x, 100 * line.mean, wide, color=colour, linewidth=0)
                if math.isfinite(line.low) and math.isfinite(line.high):
                    ax.vlines(x, 100 * max(0, line.low), 100 * min(1, line.high), color="0.25", linewidth=0.7)
    ax.set_xticks(range(len(networks)), [NETWORKS[name] for name in networks])
    ax.set_ylim(0, 100)


def _draw_picture(ax: Axes, pixels: pd.DataFrame, epsilon: float) -> None:
    """Grey is no change; the largest change is black or white in a colour."""
    values = pixels.sort_values("place")["mean"].to_numpy()
    side = math.isqrt(len(values) // 3)
    ax.imshow(
        np.clip(0.5 + values.reshape(3, side, side).transpose(1, 2, 0) / (2 * epsilon), 0, 1), interpolation="nearest"
    )
    ax.set_axis_off()


def _footer(table: pd.DataFrame, experiment: dict) -> str:
    settings = experiment["nonrobustness"]
    features = settings["features"]
    seeds = int(table.loc[table["quantity"] == "cca", "seeds"].max())
    kind = {"t": "Student's t", "bootstrap": "percentile bootstrap"}[experiment["bands"]]
    bands = f" Bands and bars: their 95% intervals ({kind}), cut at 0 and 1." if seeds > 1 else ""
    first = name_of(experiment, style.present(table, experiment["targets"])[0])
    return (
        f"Experiment: {experiment['name']}; protocol: {settings['protocol']}; up to {features['images']:,} test images of a target; means over {seeds} "
        f"seed{'s' if seeds > 1 else ''}.{bands}\n"
        f"(a) Canonical correlations of channels' means over pixels, in the components with {100 * features['variance']:g}% of the variance; dotted: the same "
        "with the images of one network shuffled.\n"
        f"(b) Test images that get another class with one perturbation for all of them, L\N{INFINITY}, \N{GREEK SMALL LETTER EPSILON} = {epsilon_text(features['epsilon'], 'linf')}, made to move the features of a "
        f"source before fine-tuning; random signs: mean of {features['draws']} draws. (c) For {first}, first seed; grey is no change."
    )
