"""Draw fig2_robust: figure 2's networks under attack, accuracy against training images by source (after Zhang et al. 2021)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style
from figures.axes import epsilon_text, format_x
from figures.footer import blocks_in_words, name_of
from figures.layout import (
    NAME,
    NARROWEST,
    OVER,
    UNDER,
    Legend,
    canvas,
    figure_width,
    most_columns,
    place_panels,
    stack,
)
from figures.nonrobustness import NORMS

HIGH = 1.25


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """A panel for each target: under attack, and fainter as the images are."""
    settings = experiment["nonrobustness"]
    curve = settings["curve"]
    targets = style.present(table, experiment["targets"])
    looks = {
        source: (style.PALETTE[index], line, marker or "s")
        for index, (source, (line, marker, _)) in enumerate(
            (source, style.ROLE_LINES[role])
            for role, source in experiment["sources"].items()
            if source in curve["sources"]
        )
    }
    handles = [
        Line2D([], [], color=colour, linestyle=line, marker=marker, label=f"{name_of(experiment, source)}, attacked")
        for source, (colour, line, marker) in looks.items()
    ]
    handles += [
        Line2D([], [], color=colour, linestyle=line, alpha=0.4, label=f"{name_of(experiment, source)}, not attacked")
        for source, (colour, line, _) in looks.items()
    ]
    width, legend = figure_width(), Legend(handles)
    places = place_panels(width, len(targets), min(len(targets), most_columns(width, NARROWEST)))
    rows = [(OVER, HIGH, UNDER + NAME) for _ in range(places[-1].row + 1)]
    made = canvas(width, sum(map(sum, rows)), legend.height(width), _footer(table, experiment))
    made.legend(0, width, legend)
    bottoms = stack(made.top, rows)
    for place, target in zip(places, targets, strict=True):
        ax = made.axes(place.left, bottoms[place.row], place.width, HIGH)
        _draw_target(ax, table[table["target"] == target], looks, curve["epsilon"])
        style.set_title(ax, name_of(experiment, target))
        if place.first:
            ax.set_ylabel(style.ACCURACY_LABEL)
    return made.figure


def _draw_target(ax: Axes, table: pd.DataFrame, looks: dict, epsilon: float) -> None:
    for source, (colour, line, marker) in looks.items():
        mine = table[table["source"] == source].sort_values("images")
        clean = mine[mine["quantity"] == "accuracy"]
        attacked = mine[(mine["quantity"] == "adversarial_accuracy") & ((mine["epsilon"] - epsilon).abs() < 1e-9)]
        ax.plot(clean["images"], 100 * clean["mean"], color=colour, linestyle=line, alpha=0.4, linewidth=0.9)
        band = {"color": colour, "alpha": 0.15, "linewidth": 0, "zorder": 2}
        low, high = 100 * attacked["low"].clip(0, 1), 100 * attacked["high"].clip(0, 1)
        ax.fill_between(attacked["images"], low, high, **band)
        edge = {"markeredgecolor": "white", "markeredgewidth": 0.3}
        ax.plot(attacked["images"], 100 * attacked["mean"], color=colour, linestyle=line, marker=marker, **edge)
    format_x(ax, table["images"], style.XLABELS["images"])
    ax.set_ylim(0, 100)
    ax.spines[["top", "right"]].set_visible(False)


def _footer(table: pd.DataFrame, experiment: dict) -> str:
    settings = experiment["nonrobustness"]
    curve, attack = settings["curve"], settings["attack"]
    clean = table[table["quantity"] == "accuracy"]
    seeds = int(clean["attacked_networks"].max())
    kind = {"t": "Student's t", "bootstrap": "percentile bootstrap"}[experiment["bands"]]
    restarts = f", {attack['restarts']} restarts" if attack["restarts"] > 1 else ""
    bands = f"; bands: their 95% intervals ({kind}), cut at 0 and 100" if seeds > 1 else ""
    return (
        f"Experiment: {experiment['name']}; protocol: {curve['protocol']}; {int(clean['attacked_networks'].sum())} networks, {blocks_in_words(curve['blocks'])}. "
        f"Attack: PGD-{attack['steps']}{restarts}, {NORMS[attack['norm']]}, \N{GREEK SMALL LETTER EPSILON} = {epsilon_text(curve['epsilon'], attack['norm'])}, on {int(clean['test_images'].max()):,} test images of each, the worst case over "
        f"restarts.\nLines: means over {seeds} seed{'s' if seeds > 1 else ''}{bands}."
    )
