"""Draw robustness_bound: how far the representation bounds what an attack does to a linear probe (Nern et al. 2022)."""

import functools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from figures import style
from figures.axes import epsilon_text
from figures.footer import blocks_in_words, name_of
from figures.layout import stack
from figures.sources import source_colours, source_handles

# Inches: left of a panel, its height, between two of a row, above and below one, and below one that names the sources.
LEFT, HIGH, GAP, OVER, UNDER, NAMED = 0.52, 1.65, 0.66, 0.26, 0.42, 0.62
LOW = HIGH - 0.25
# The least width of a panel, and of one with so many sources side by side.
NARROWEST, MOST_SOURCES = 1.5, 8
# Points, of text within panels.
SMALL = 6.5
# What panel (c) shows of a probe, from the top: marker, and whether it is filled.
LEVELS = {
    "accuracy": ("_", True, "accuracy"),
    "robust_accuracy": ("o", True, "robust accuracy"),
    "accuracy_met": ("^", False, "right and criterion met"),
}


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """(a) loss gap against its bound, (b) sensitivity and robust accuracy over sources, (c) accuracy, robust accuracy and where the criterion
    is met, (d) rho - s_hat by outcome, (e) networks with trained blocks against the bound of the pretrained representation.
    """
    settings = experiment["robustness_bound"]
    sources = style.present(table, settings["sources"], "source")
    targets = style.present(table, experiment["targets"])
    epsilons = sorted(table["epsilon"].unique())
    colours = source_colours(sources)
    markers = {target: marker for target, (_, marker) in style.target_looks(experiment["targets"]).items()}
    at = f"at \N{GREEK SMALL LETTER EPSILON} = {epsilon_text(epsilons[0], settings['attack']['norm'])}"
    first, beyond = _at(table, epsilons[0]), _at(table[table["quantity"] == "beyond_pretrained"], epsilons[0])

    width = style.figure_width()
    two = (width - 2 * LEFT - GAP + 0.38) / 2
    paired = two >= NARROWEST
    # Groups of panels that share rows: letter, how each is drawn, its height, the room below, whether it takes a whole row.
    groups = [
        [
            ("a", lambda ax: _draw_bound(ax, table, colours, markers)),
            ("b", lambda ax: _draw_sensitivity(ax, first, colours, markers, at)),
        ],
        [
            ("c", functools.partial(_draw_target, table, target, sources, epsilons, colours, experiment))
            for target in targets
        ],
        [("d", lambda ax: _draw_histogram(ax, first, at))],
    ]
    if len(beyond):
        groups[2].append(("e", lambda ax: _draw_beyond(ax, beyond, colours, markers, at)))
    rows = []
    for group in groups:
        names_sources = group[0][0] == "c"
        alone = not paired or (names_sources and (len(sources) > MOST_SOURCES or len(targets) == 1))
        step = 1 if alone else 2
        size = (OVER, LOW, NAMED) if names_sources else (OVER, HIGH, UNDER)
        rows += [(group[index : index + step], size, alone) for index in range(0, len(group), step)]

    legends = [
        style.Legend(source_handles(colours, experiment)),
        style.Legend(_shape_handles(targets, markers, experiment)),
    ]
    above = [legend.height(width) for legend in legends]
    made = style.canvas(
        width, sum(sum(size) for _, size, _ in rows), sum(above) - 0.08, _footer(table, experiment, epsilons)
    )
    made.legend(0, width, legends[0])
    made.legend(0, width, legends[1], made.height - above[0] + 0.05)
    lettered = set()
    for (group, size, alone), bottom in zip(rows, stack(made.top, [size for _, size, _ in rows]), strict=True):
        for column, (letter, draw_panel) in enumerate(group):
            left = LEFT + column * (two + GAP)
            draw_panel(made.axes(left, bottom, width - LEFT - 0.16 if alone else two, size[1]))
            if letter not in lettered:
                made.letter(left - 0.44, bottom + size[1], letter)
                lettered.add(letter)
    return made.figure


def _draw_target(
    table: pd.DataFrame,
    target: str,
    sources: Sequence[str],
    epsilons: Sequence[float],
    colours: dict,
    experiment: dict,
    ax: Axes,
) -> None:
    _draw_accuracies(ax, table[table["target"] == target], sources, epsilons, colours, experiment)
    style.set_title(ax, name_of(experiment, target))
    ax.set_ylabel("test accuracy (%)")


def _at(table: pd.DataFrame, epsilon: float) -> pd.DataFrame:
    return table[table["epsilon"] == epsilon]


def _shape_handles(targets: Sequence[str], markers: dict, experiment: dict) -> list[Line2D]:
    """Shapes are targets, and in panel (c) levels."""
    plain = {"linestyle": "", "color": "0.35", "markersize": 4.5}
    return [
        *(Line2D([], [], **plain, marker=markers[target], label=name_of(experiment, target)) for target in targets),
        *(
            Line2D([], [], **plain, marker=marker, markerfacecolor=None if filled else "white", label=f"(c) {words}")
            for marker, filled, words in LEVELS.values()
        ),
    ]


def _plain_log(axis) -> None:
    """Decades with plain numbers: labels are no formulas here."""
    axis.set_major_locator(LogLocator(numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _wide(table: pd.DataFrame) -> pd.DataFrame:
    """A line for each target, source, blocks and epsilon, and columns (value, low, high) of each quantity."""
    keys = ["target", "source", "blocks", "epsilon"]
    return table.dropna(subset=["source"]).pivot(index=keys, columns="quantity", values=["value", "low", "high"])


def _bar(ax: Axes, x: float, low: float, high: float, colour, horizontal: bool = False) -> None:
    if np.isfinite([low, high]).all():
        (ax.hlines if horizontal else ax.vlines)(x, low, high, color=colour, linewidth=0.7, alpha=0.7, zorder=2)


def _draw_bound(ax: Axes, table: pd.DataFrame, colours: dict, markers: dict) -> None:
    wide = _wide(table[table["quantity"].isin(["loss_gap", "bound"])])
    # What is not above 0 has no place on these axes: an attack that found nothing.
    wide = wide[(wide["value", "loss_gap"] > 0) & (wide["value", "bound"] > 0)]
    ax.set_xscale("log")
    ax.set_yscale("log")
    for (target, source), line in wide.groupby(["target", "source"], sort=False):
        x, y, colour = line["value", "bound"], line["value", "loss_gap"], colours[source]
        ax.plot(x, y, color=colour, linewidth=0.6, alpha=0.6)
        ax.plot(x, y, linestyle="", marker=markers[target], color=colour, markeredgecolor="white", markeredgewidth=0.3)
    values = wide["value"].to_numpy() if len(wide) else np.array([[0.1, 1.0]])
    lowest, highest = values.min() / 1.6, values.max() * 1.6
    ax.set_xlim(wide["value", "bound"].min() / 1.6 if len(wide) else lowest, highest)
    ax.set_ylim(lowest, highest)
    ax.axline((1, 1), (10, 10), color="0.25", linewidth=0.9)
    middle = math.sqrt(ax.get_xlim()[0] * highest)
    ax.text(
        *(middle, 1.15 * middle, "gap = bound"),
        **{"rotation": 45, "rotation_mode": "anchor", "transform_rotates_text": True},
        **{"ha": "center", "va": "bottom", "fontsize": SMALL},
    )
    for axis in (ax.xaxis, ax.yaxis):
        _plain_log(axis)
    ax.set_xlabel("bound: mean of D\N{MIDDLE DOT}s\N{COMBINING CIRCUMFLEX ACCENT} (nats)")
    ax.set_ylabel("mean loss gap (nats)")
    ax.set_title("loss under attack", pad=4)


def _draw_accuracies(
    ax: Axes, table: pd.DataFrame, sources: list[str], epsilons: list[float], colours: dict, experiment: dict
) -> None:
    wide = _wide(table[table["quantity"].isin(list(LEVELS))])
    group = len(epsilons) + 1
    for (_, source, _, epsilon), line in wide.iterrows():
        x = sources.index(source) * group + epsilons.index(epsilon)
        values = {quantity: 100 * line["value", quantity] for quantity in LEVELS}
        ax.vlines(x, values["accuracy_met"], values["accuracy"], color=colours[source], linewidth=0.7, alpha=0.5)
        for quantity, (marker, filled, _) in LEVELS.items():
            face = colours[source] if filled else "white"
            ax.plot(
                x, values[quantity], marker, color=colours[source], markerfacecolor=face, markersize=3.6, clip_on=False
            )
    middles = [index * group + (len(epsilons) - 1) / 2 for index in range(len(sources))]
    names = [name_of(experiment, source) for source in sources]
    ax.set_xticks(middles, names, rotation=35, ha="right", rotation_mode="anchor", fontsize=SMALL)
    ax.set_xlim(-0.8, group * len(sources) - 1.2)
    ax.set_ylim(0, max(20, math.ceil(100 * wide["value"].to_numpy().max() / 10) * 10))


def _draw_histogram(ax: Axes, table: pd.DataFrame, at: str) -> None:
    for quantity, colour, words in (("stands", "0.72", "prediction stands"), ("flipped", style.PALETTE[3], "flipped")):
        part = table[table["quantity"] == quantity].sort_values("left")
        edges = [*part["left"], part["right"].iloc[-1]]
        if quantity == "stands":
            ax.stairs(100 * part["value"], edges, fill=True, color=colour, label=words)
        else:
            ax.stairs(100 * part["value"], edges, color=colour, linewidth=1.2, label=words)
    ax.axvline(0, color="0.25", linewidth=0.9)
    ax.annotate(
        "criterion\nmet \N{RIGHTWARDS ARROW}",
        (0, 1),
        (3, -17),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        fontsize=SMALL,
    )
    ax.set_ylim(top=1.3 * ax.get_ylim()[1])  # room for what is written above the bars
    ax.legend(fontsize=SMALL, loc="upper left", handlelength=1.2, borderaxespad=0.2)
    ax.set_xlabel("(\N{GREEK SMALL LETTER RHO} \N{MINUS SIGN} s\N{COMBINING CIRCUMFLEX ACCENT}) / mean |f|")
    ax.set_ylabel("attacked images (%)")
    ax.set_title(f"by outcome, {at}", pad=4)


def _draw_sensitivity(ax: Axes, table: pd.DataFrame, colours: dict, markers: dict, at: str) -> None:
    wide = _wide(table[table["quantity"].isin(["relative_sensitivity", "robust_accuracy"])])
    for (target, source, _, _), line in wide.iterrows():
        x, y, colour = (
            100 * line["value", "relative_sensitivity"],
            100 * line["value", "robust_accuracy"],
            colours[source],
        )
        _bar(ax, x, 100 * line["low", "robust_accuracy"], 100 * line["high", "robust_accuracy"], colour)
        ax.plot(x, y, marker=markers[target], color=colour, markeredgecolor="white", markeredgewidth=0.3)
    ax.set_xscale("log")
    _few_ticks(ax, 100 * wide["value", "relative_sensitivity"].to_numpy())
    ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    ax.set_xlabel("relative sensitivity s\N{COMBINING CIRCUMFLEX ACCENT} / |f| (%)")
    ax.set_ylabel("robust accuracy (%)")
    ax.set_title(f"over sources, {at}", pad=4)


def _few_ticks(ax: Axes, values: np.ndarray) -> None:
    """Ticks at 1, 2 and 5 of each decade within the values, with plain numbers."""
    ax.set_xlim(values.min() / 1.3, values.max() * 1.3)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())


def _draw_beyond(ax: Axes, table: pd.DataFrame, colours: dict, markers: dict, at: str) -> None:
    groups = list(table.groupby(["target", "source"], sort=False))
    # Side by side, or their bars would hide each other.
    step = 0.03 * (table["blocks"].max() - table["blocks"].min())
    for index, ((target, source), line) in enumerate(groups):
        line = line.sort_values("blocks")
        x, colour = line["blocks"] + step * (index - (len(groups) - 1) / 2), colours[source]
        for place, row in zip(x, line.itertuples(), strict=True):
            _bar(ax, place, max(0, 100 * row.low), 100 * row.high, colour)
        ax.plot(
            x,
            100 * line["value"],
            color=colour,
            marker=markers[target],
            markeredgecolor="white",
            markeredgewidth=0.3,
            clip_on=False,
            linewidth=1,
        )
    ax.set_xticks(sorted(table["blocks"].unique().astype(int)))
    ax.set_ylim(bottom=0)
    ax.set_xlabel("trained blocks")
    ax.set_ylabel("images beyond bound (%)")
    ax.set_title(f"trained blocks, {at}", pad=4)


def _footer(table: pd.DataFrame, experiment: dict, epsilons: list[float]) -> str:
    """What was attacked and how, what the marks are, and the correlations of panel (b)."""
    settings, attack = experiment["robustness_bound"], experiment["robustness_bound"]["attack"]
    cells = table.dropna(subset=["networks"]).drop_duplicates(["target", "source", "blocks"])
    radii = ", ".join(epsilon_text(epsilon, attack["norm"]) for epsilon in epsilons)
    restarts = f", {attack['restarts']} restarts" if attack["restarts"] > 1 else ""
    norm = {"l2": "L2", "linf": "L\N{INFINITY}"}[attack["norm"]]
    several = int(cells["networks"].max()) > 1
    kind = {"t": "Student's t", "bootstrap": "percentile bootstrap"}[experiment["bands"]]
    others = " and ".join(blocks_in_words(blocks) for blocks in settings["blocks"])
    lines = [
        f"Experiment: {experiment['name']}; protocol: {settings['protocol']}; {int(cells['networks'].sum())} networks (linear probes"
        f"{f', and with {others} trained' if others else ''}), each on up to {settings['test_images']:,} test images. Attacks: PGD-{attack['steps']}"
        f"{restarts}, {norm}, \N{GREEK SMALL LETTER EPSILON} = {radii}, on the loss and on the representation.",
        "s\N{COMBINING CIRCUMFLEX ACCENT}, the largest displacement of the features that the attacks found, is a lower estimate of the sensitivity and certifies "
        "nothing. (c) \N{GREEK SMALL LETTER EPSILON} rises from left to right for each source."
        + (
            f" Marks: means over networks; bars: their 95% intervals ({kind}) over seeds{', (e) cut at 0' if others else ''}."
            if several
            else " Marks: single networks."
        ),
    ]
    if others:
        lines.append(
            "(e) Images whose loss rose further than the probe's representation allows: a bound for 0 blocks only."
        )
    lines.append(_correlations(table, experiment))
    return "\n".join(lines)


def _correlations(table: pd.DataFrame, experiment: dict) -> str:
    """Panel (b) at every epsilon: which one is looked at decides what it shows."""
    keys = ["target", "epsilon"]
    values, p = (
        table[table["quantity"] == quantity].set_index(keys) for quantity in ("rank_correlation", "permutation_p")
    )
    parts = []
    for target, found in values.groupby("target", sort=False):
        words = [
            "none" if math.isnan(row["value"]) else f"{row['value']:.2f} (p = {p.loc[key, 'value']:.2g})"
            for key, row in found.sort_index().iterrows()
        ]
        parts.append(f"{name_of(experiment, target)} {', '.join(words)}, {int(found['points'].iloc[0])} sources")
    rising = (
        "by rising \N{GREEK SMALL LETTER EPSILON}, " if values.index.get_level_values("epsilon").nunique() > 1 else ""
    )
    return f"(b) Spearman's rank correlation {rising}p of all permutations: {'; '.join(parts)}.".replace(
        "-", "\N{MINUS SIGN}"
    )
