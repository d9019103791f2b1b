"""Draw transferability: whether attacks carry over between a source and the target's own network where knowledge does (Liang et al. 2021)."""

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from figures import style
from figures.axes import epsilon_text
from figures.footer import name_of
from figures.layout import (
    LEFT,
    NAME,
    OVER,
    UNDER,
    Legend,
    canvas,
    figure_width,
    label_size,
    most_columns,
    place_panels,
    stack,
    text_width,
)
from figures.sources import source_colours, source_handles

# Measures as the panels name them, and the factor of their axes.
KINDS = {"alpha1": ("alpha1", 1), "alpha2": ("alpha2", 1), "combined": ("combined", 1)}
KINDS["transfer_rate"] = ("transfer rate (%)", 100)
# Directions as the rows name them: letter, words, and an arrow in (c).
DIRECTIONS = {
    "source_target": ("a", "attacks on source S, shown to reference T", "S \N{RIGHTWARDS ARROW} T"),
    "target_source": ("b", "attacks on reference T, shown to source S", "T \N{RIGHTWARDS ARROW} S"),
}
# Inches: the least width of a panel, its height, a row of (c), the room for a row's words.
NARROWEST, HIGH, ROW, HEADING = 0.9, 1.0, 0.135, 0.17
POOLED = {"marker": "D", "color": "0.1", "markersize": 4.2}


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """Accuracy of linear probes against each measure, of attacks on (a) the source and (b) the reference network; (c) rank correlations."""
    settings = experiment["transferability"]
    # Of all targets together the table names none.
    table = table.assign(target=table["target"].fillna(""))
    points, correlations = (table[table["quantity"] == kind] for kind in ("measure", "rank_correlation"))
    correlations = correlations[correlations["against"] == "accuracy"]
    sources = style.present(points, settings["sources"], "source")
    targets = style.present(points, list(settings["sizes"]))
    # Targets differ far more than sources do on one of them: of several, each has its mean subtracted, as in the correlation over all.
    means = points.groupby("target")["accuracy"].mean()
    accuracy = "probe accuracy (%)"
    if len(targets) > 1:
        accuracy = "probe accuracy, centred"
        columns = ["accuracy", "accuracy_low", "accuracy_high"]
        points = points.assign(**{name: points[name] - points["target"].map(means) for name in columns})
    colours = source_colours(sources)
    markers = {target: marker for target, (_, marker) in style.target_looks(targets).items()}

    width = figure_width()
    columns = min(len(KINDS), most_columns(width, NARROWEST))
    columns = 2 if columns == 3 else columns
    places = place_panels(width, len(KINDS), columns)
    lines = places[-1].row + 1
    rows = [(OVER + HEADING * (line == 0), HIGH, UNDER + 0.04) for _ in DIRECTIONS for line in range(lines)]
    below = 0.1 + ROW * len(KINDS) * len(DIRECTIONS)
    rows.append((OVER, below, UNDER + NAME))
    legends = [
        Legend(source_handles(colours, experiment)),
        Legend([*_target_handles(targets, markers, means, experiment), *_pooled_handle(targets)]),
    ]
    above = [legend.height(width) for legend in legends]
    made = canvas(width, sum(map(sum, rows)), sum(above) - 0.08, _footer(points, correlations, experiment))
    made.legend(0, width, legends[0])
    made.legend(0, width, legends[1], made.height - above[0] + 0.05)
    bottoms, limits = stack(made.top, rows), _limits(points)
    for index, (direction, (letter, words, _)) in enumerate(DIRECTIONS.items()):
        first = bottoms[index * lines] + HIGH
        made.letter(0.04, first + HEADING, letter)
        made.text(LEFT, first + HEADING + 0.055, words, fontsize=label_size("axes.titlesize"))
        for place, (kind, (title, factor)) in zip(places, KINDS.items(), strict=True):
            ax = made.axes(place.left, bottoms[index * lines + place.row], place.width, HIGH)
            mine = points[points["measure"] == f"{kind}_{direction}"]
            _draw_measure(ax, mine, factor, colours, markers)
            ax.set_ylim(limits)
            style.set_title(ax, title)
            if place.first:
                ax.set_ylabel(accuracy)
    names = [
        f"{title.removesuffix(' (%)')}, {arrow}" for _, _, arrow in DIRECTIONS.values() for title, _ in KINDS.values()
    ]
    left = 0.14 + max(text_width(name, label_size("ytick.labelsize")) for name in names)
    texts = _texts(correlations, targets)
    right = 0.1 + max(text_width(text, label_size("ytick.labelsize")) for text in texts)
    ax = made.axes(left, bottoms[-1], width - left - right, below)
    made.letter(0.04, bottoms[-1] + below, "c")
    _draw_correlations(ax, correlations, targets, markers, names, texts)
    return made.figure


def _draw_measure(ax: Axes, mine: pd.DataFrame, factor: float, colours: dict, markers: dict) -> None:
    if factor == 100:
        mine = mine.assign(low=mine["low"].clip(0, 1), high=mine["high"].clip(0, 1))
    for line in mine.itertuples():
        colour, x, y = colours[line.source], factor * line.mean, 100 * line.accuracy
        bar = {"color": colour, "linewidth": 0.6, "alpha": 0.55, "zorder": 2}
        if math.isfinite(line.low) and math.isfinite(line.high):
            ax.hlines(y, factor * line.low, factor * line.high, **bar)
        if math.isfinite(line.accuracy_low) and math.isfinite(line.accuracy_high):
            ax.vlines(x, 100 * line.accuracy_low, 100 * line.accuracy_high, **bar)
        edge = {"markeredgecolor": "white", "markeredgewidth": 0.3, "markersize": 4.2}
        ax.plot(x, y, linestyle="", marker=markers[line.target], color=colour, zorder=3, **edge)
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.margins(0.08)
    ax.spines[["top", "right"]].set_visible(False)


def _limits(points: pd.DataFrame) -> tuple[float, float]:
    """The lower and the upper end of all axes of accuracy, percent or points: with room for every mean and interval."""
    ends = 100 * points[["accuracy", "accuracy_low", "accuracy_high"]].stack()
    low, high = ends.min(), ends.max()
    room = max(0.05 * (high - low), (4 - high + low) / 2)
    return low - room, high + room


def _order() -> list[str]:
    """The measures of (c) from above."""
    return [f"{kind}_{direction}" for direction in DIRECTIONS for kind in KINDS]


def _main(correlations: pd.DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """The correlations over all targets, or over the only one."""
    return correlations[correlations["target"] == ("" if len(targets) > 1 else targets[0])]


def _texts(correlations: pd.DataFrame, targets: Sequence[str]) -> list[str]:
    """What stands at the right of (c): value and p of each measure."""
    lines = _main(correlations, targets).set_index("measure")
    words = []
    for measure in _order():
        line = lines.loc[measure]
        if math.isnan(line["correlation"]):
            words.append("none")
        else:
            words.append(f"{line['correlation']:.2f}, p = {line['p']:.2g}".replace("-", "\N{MINUS SIGN}"))
    return words


def _draw_correlations(
    ax: Axes,
    correlations: pd.DataFrame,
    targets: Sequence[str],
    markers: dict,
    names: Sequence[str],
    texts: Sequence[str],
) -> None:
    main = _main(correlations, targets).set_index("measure")
    for index, measure in enumerate(_order()):
        mine = correlations[correlations["measure"] == measure].set_index("target")
        for target in targets:
            ax.plot(
                mine.loc[target, "correlation"],
                index,
                linestyle="",
                marker=markers[target],
                color="0.55",
                markerfacecolor="white",
                markersize=4.2,
                clip_on=False,
            )
        if len(targets) > 1:
            ax.plot(main.loc[measure, "correlation"], index, linestyle="", clip_on=False, zorder=4, **POOLED)
        ax.annotate(
            texts[index],
            (1, index),
            (4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center_baseline",
            fontsize=label_size("ytick.labelsize"),
            annotation_clip=False,
        )
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(-1.05, 1.05)
    ax.set_xticks([-1, -0.5, 0, 0.5, 1])
    ax.axvline(0, color="0.25", linewidth=0.8)
    ax.axhline(len(KINDS) - 0.5, color="0.8", linewidth=0.6)
    ax.grid(axis="x", color="0.9", linewidth=0.5)
    ax.grid(axis="y", visible=False)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_xlabel("rank correlation with probe accuracy")


def _target_handles(targets: Sequence[str], markers: dict, means: pd.Series, experiment: dict) -> list[Line2D]:
    """Targets with the mean accuracy of their probes."""
    look = {"linestyle": "", "color": "0.35", "markersize": 4.2}
    return [
        Line2D(
            [],
            [],
            marker=markers[target],
            label=f"{name_of(experiment, target)}, mean {100 * means[target]:.0f}%",
            **look,
        )
        for target in targets
    ]


def _pooled_handle(targets: Sequence[str]) -> list[Line2D]:
    return [Line2D([], [], linestyle="", label="(c) all targets, centred", **POOLED)] if len(targets) > 1 else []


def _footer(points: pd.DataFrame, correlations: pd.DataFrame, experiment: dict) -> str:
    """What was compared, how it was attacked, and what the marks are."""
    settings, attack = experiment["transferability"], experiment["transferability"]["attack"]
    cells = points.drop_duplicates(["target", "source"])
    images = int(cells.drop_duplicates("target")["attacked_images"].sum())
    seeds, targets = int(cells["seeds"].max()), list(cells["target"].unique())
    radii = ", ".join(epsilon_text(radius, attack["norm"]) for radius in sorted(cells["epsilon"].unique()))
    norm = {"l2": "L2", "linf": "L\N{INFINITY}"}[attack["norm"]]
    accuracies = ", ".join(
        f"{name_of(experiment, target)} {100 * cells.loc[cells['target'] == target, 'reference_accuracy'].mean():.0f}%"
        for target in targets
    )
    kind = {"t": "Student's t", "bootstrap": "percentile bootstrap"}[experiment["bands"]]
    bars = f"; bars: their 95% intervals ({kind}), which do not cover another draw of the sources" if seeds > 1 else ""
    cut = "; rates cut at 0 and 100" if seeds > 1 else ""
    main = _main(correlations, targets)
    count = int(main["points"].max())
    permuted = ("all permutations" if main["exact"].all() else "drawn permutations") + (
        " within targets" if len(targets) > 1 else ""
    )
    lines = [
        f"Experiment: {experiment['name']}; linear probes by protocol {settings['protocol']}; reference networks (T) trained from scratch: accuracy {accuracies}. "
        f"Attacks: PGD-{attack['steps']}, {norm}, \N{GREEK SMALL LETTER EPSILON} = {radii}, on the output of S or T, for transfer rates on the loss, at the "
        f"{images:,} images (of all seeds) that T has right.",
        f"Marks: means over {seeds} seed{'s' if seeds > 1 else ''}, each with its own probe, reference network and test images{bars}{cut}.",
        f"(c) Spearman over sources; at the right value and p of {permuted}, {count} points.",
    ]
    if len(targets) > 1:
        lines[-1] += (
            " Diamonds: of all targets together. Centred: with the mean of its target subtracted, in percentage points."
        )
    return "\n".join(lines)
