"""Draw nonrobustness: what networks of a target keep under attack, by the way to them (Zhang et al. 2021)."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from figures import style
from figures.axes import epsilon_text
from figures.footer import blocks_in_words, name_of
from figures.layout import LEFT, NAME, OVER, UNDER, Legend, canvas, figure_width, most_columns, place_panels, stack

# Inches: the least width of a panel, its height.
NARROWEST, HIGH = 1.25, 1.05
EDGE = {"markeredgecolor": "white", "markeredgewidth": 0.3}
# Markers with points look smaller than they are.
LARGER = {"*": 1.5, "X": 1.2, "P": 1.2}
NORMS = {"l2": "L2", "linf": "L\N{INFINITY}"}


class Arm(NamedTuple):
    """A way to a network: which lines of the table are its own, what the legend calls it, and how it looks."""

    arm: str
    way: str
    source: str
    label: str
    colour: Any
    marker: str

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """Its lines of a table."""
        return table[(table["arm"] == self.arm) & (table["way"] == self.way) & (table["source"] == self.source)]


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """For each target: (a) accuracy with and without attack by arm, (b) decline ratio, (c) accuracy against epsilon, (d) over beta."""
    settings = experiment["nonrobustness"]
    arms = _arms(settings, experiment)
    targets = style.present(table, experiment["targets"])
    shown = settings["shown"]
    at = f"\N{GREEK SMALL LETTER EPSILON} = {epsilon_text(shown, settings['attack']['norm'])}"
    # Each kind of panel: letter, what it draws of a target, names of its axes, words over the first row.
    kinds: list[tuple[str, Callable[[Axes, pd.DataFrame], None], str, str, str]] = [
        ("a", lambda ax, mine: _draw_accuracies(ax, mine, arms, shown), "", "accuracy (%)", f"not attacked, and {at}"),
        ("b", lambda ax, mine: _draw_declines(ax, mine, arms, shown), "", "decline ratio (%)", f"decline at {at}"),
        (
            "c",
            lambda ax, mine: _draw_curves(ax, mine, arms),
            "\N{GREEK SMALL LETTER EPSILON} (1/255)",
            "accuracy (%)",
            "attacked",
        ),
    ]
    if settings["mitigated"]:
        words = f"mitigation, {at}"
        kinds.append(
            (
                "d",
                lambda ax, mine: _draw_trade(ax, mine, arms, shown),
                "accuracy, not attacked (%)",
                "attacked (%)",
                words,
            )
        )
    width = figure_width()
    columns = min(len(targets), most_columns(width, NARROWEST))
    legend = Legend([_handle(arm) for arm in arms])
    cells, together = [(kind, target) for kind in kinds for target in targets], len(targets)
    if len(targets) == 1:  # needs no row for each kind
        columns = together = min(2, most_columns(width, NARROWEST))
    groups = [cells[i : i + together] for i in range(0, len(cells), together)]
    placed = [place_panels(width, len(group), columns) for group in groups]
    rows = [
        (OVER, HIGH, UNDER + (NAME if any(kind[2] for kind, _ in group) else 0.02))
        for group, places in zip(groups, placed, strict=True)
        for _ in range(places[-1].row + 1)
    ]
    made = canvas(width, sum(map(sum, rows)), legend.height(width), _footer(table, experiment, arms))
    made.legend(0, width, legend)
    bottoms, first = stack(made.top, rows), 0
    for group, places in zip(groups, placed, strict=True):
        for ((letter, draw_panel, xlabel, ylabel, words), target), place in zip(group, places, strict=True):
            bottom = bottoms[first + place.row]
            ax = made.axes(place.left, bottom, place.width, HIGH)
            draw_panel(ax, table[table["target"] == target])
            style.set_title(ax, f"{name_of(experiment, target)}: {words}")
            ax.set_xlabel(xlabel)
            if place.first or len(targets) == 1:
                ax.set_ylabel(ylabel)
            if target == targets[0]:
                made.letter(place.left - LEFT + 0.04, bottom + HIGH, letter)
            ax.spines[["top", "right"]].set_visible(False)
        first += places[-1].row + 1
    return made.figure


def _arms(settings: dict, experiment: dict) -> list[Arm]:
    natural = settings["natural"]
    arms = [("standard", settings["recipe"], natural, "from scratch")]
    arms += [
        ("fine_tuned", settings["protocol"], source, name_of(experiment, source)) for source in settings["sources"]
    ]
    arms += [
        (
            "mitigated",
            protocol,
            natural,
            f"{name_of(experiment, natural)}, mitigated, \N{GREEK SMALL LETTER BETA} = {chosen['beta']:g}",
        )
        for protocol, chosen in sorted(settings["mitigated"].items(), key=lambda pair: pair[1]["beta"])
    ]
    looks = [(style.PALETTE[i % len(style.PALETTE)], style.MARKERS[i % len(style.MARKERS)]) for i in range(len(arms))]
    return [Arm(*arm, *look) for arm, look in zip(arms, looks, strict=True)]


def _size(arm: Arm) -> float:
    return 4.2 * LARGER.get(arm.marker, 1)


def _handle(arm: Arm) -> Line2D:
    return Line2D([], [], linestyle="", marker=arm.marker, color=arm.colour, label=arm.label, markersize=_size(arm))


def _lines(table: pd.DataFrame, arm: Arm, quantity: str, epsilon: float | None = None) -> pd.DataFrame:
    lines = arm.of(table[table["quantity"] == quantity])
    lines = lines if epsilon is None else lines[(lines["epsilon"] - epsilon).abs() < 1e-9]
    return lines.dropna(subset=["mean"]).sort_values("epsilon")


def _bar(ax: Axes, place: float, line: Any, colour: Any, horizontal: bool = False) -> None:
    """The interval of a mean, within what a fraction can be."""
    if math.isfinite(line.low) and math.isfinite(line.high):
        draw_bar = ax.hlines if horizontal else ax.vlines
        draw_bar(
            place, 100 * max(0, line.low), 100 * min(1, line.high), color=colour, linewidth=0.7, alpha=0.6, zorder=2
        )


def _draw_accuracies(ax: Axes, table: pd.DataFrame, arms: Sequence[Arm], shown: float) -> None:
    for index, arm in enumerate(arms):
        for quantity, epsilon, shift in (("accuracy", 0.0, -0.14), ("adversarial_accuracy", shown, 0.14)):
            for line in _lines(table, arm, quantity, epsilon).itertuples():
                x, face = index + shift, arm.colour if quantity != "accuracy" else "white"
                _bar(ax, x, line, arm.colour)
                edge = EDGE if quantity != "accuracy" else {"markeredgewidth": 0.8}
                ax.plot(
                    x,
                    100 * line.mean,
                    arm.marker,
                    color=arm.colour,
                    markerfacecolor=face,
                    clip_on=False,
                    zorder=3,
                    markersize=_size(arm),
                    **edge,
                )
    _places(ax, arms)
    ax.set_ylim(0, 100)


def _draw_declines(ax: Axes, table: pd.DataFrame, arms: Sequence[Arm], shown: float) -> None:
    for index, arm in enumerate(arms):
        lines = _lines(table, arm, "decline_ratio", shown)
        if lines.empty:
            ax.annotate("none", (index, 3), ha="center", fontsize=6)
        for line in lines.itertuples():
            ax.bar(index, 100 * line.mean, 0.62, color=arm.colour, alpha=0.35, linewidth=0)
            _bar(ax, index, line, arm.colour)
            ax.plot(index, 100 * line.mean, arm.marker, color=arm.colour, clip_on=False, markersize=_size(arm), **EDGE)
    _places(ax, arms)
    ax.set_ylim(0, 110)  # marks at 100 keep clear of the title


def _places(ax: Axes, arms: Sequence[Arm]) -> None:
    ax.set_xlim(-0.6, len(arms) - 0.4)
    ax.set_xticks([])


def _draw_curves(ax: Axes, table: pd.DataFrame, arms: Sequence[Arm]) -> None:
    places = sorted(table.loc[table["quantity"] == "adversarial_accuracy", "epsilon"].unique())
    for arm in arms:
        lines = _lines(table, arm, "adversarial_accuracy")
        x = [places.index(epsilon) for epsilon in lines["epsilon"]]
        look = {"marker": arm.marker, "color": arm.colour, "markersize": _size(arm), **EDGE}
        ax.plot(x, 100 * lines["mean"], linewidth=0.9, clip_on=False, **look)
    # Radii double: equal steps, and 0 beside them.
    ax.set_xticks(range(len(places)), [f"{255 * epsilon:.3g}" for epsilon in places])
    ax.set_ylim(0, 100)


def _draw_trade(ax: Axes, table: pd.DataFrame, arms: Sequence[Arm], shown: float) -> None:
    mitigated = [arm for arm in arms if arm.arm == "mitigated"]
    plain = [arm for arm in arms if arm.arm == "fine_tuned" and arm.source == mitigated[0].source]
    path = []
    for arm in [*plain, *mitigated]:
        clean, attacked = (_lines(table, arm, *which) for which in (("accuracy", 0.0), ("adversarial_accuracy", shown)))
        for x, y in zip(clean.itertuples(), attacked.itertuples(), strict=True):
            _bar(ax, 100 * x.mean, y, arm.colour)
            _bar(ax, 100 * y.mean, x, arm.colour, horizontal=True)
            ax.plot(100 * x.mean, 100 * y.mean, arm.marker, color=arm.colour, zorder=3, markersize=_size(arm), **EDGE)
            path.append((100 * x.mean, 100 * y.mean))
    ax.plot(*zip(*path, strict=True), color="0.6", linewidth=0.7, zorder=1)
    ax.margins(0.1)
    ax.set_ylim(0, 1.12 * max(ax.dataLim.y1, 1))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True))


def _footer(table: pd.DataFrame, experiment: dict, arms: Sequence[Arm]) -> str:
    """What was attacked and how, what the marks are, and what AutoAttack adds."""
    settings, attack = experiment["nonrobustness"], experiment["nonrobustness"]["attack"]
    clean = table[table["quantity"] == "accuracy"]
    seeds = int(clean["attacked_networks"].max())
    sizes = sorted(clean["images"].unique())
    kind = {"t": "Student's t", "bootstrap": "percentile bootstrap"}[experiment["bands"]]
    marks = (
        f"Marks: means over {seeds} seeds; bars: their 95% intervals ({kind}), cut at 0 and 100"
        if seeds > 1
        else "Marks: single networks"
    )
    restarts = f", {attack['restarts']} restarts" if attack["restarts"] > 1 else ""
    lines = [
        f"Experiment: {experiment['name']}; {int(clean['attacked_networks'].sum())} networks on {', '.join(f'{size:,}' for size in sizes)} training images: "
        f"from scratch by recipe {settings['recipe']}; fine-tuned by protocol {settings['protocol']}, {blocks_in_words(settings['blocks'])}, without and with "
        f"discrepancy mitigation. Attack: PGD-{attack['steps']}{restarts}, {NORMS[attack['norm']]}, on {int(clean['test_images'].max()):,} test images of each, the "
        "worst case over restarts and smaller \N{GREEK SMALL LETTER EPSILON}.",
        f"{marks}. (a) Hollow: not attacked; filled: attacked. (b) (not attacked \N{MINUS SIGN} attacked) / not attacked, of networks at least twice as "
        "accurate as chance. (d) The line goes from no mitigation to the largest \N{GREEK SMALL LETTER BETA}."
        if settings["mitigated"]
        else f"{marks}. (a) Hollow: not attacked; filled: attacked.",
    ]
    declines = table[(table["quantity"] == "decline_ratio") & ((table["epsilon"] - settings["shown"]).abs() < 1e-9)]
    few = int((declines["attacked_networks"] - declines["networks"]).sum())
    if few:
        lines.append(f"(b) is without {few} network{'s' if few > 1 else ''} of less than twice chance.")
    strong = table[table["quantity"] == "autoattack_loss"]
    if len(strong):
        lines.append(
            f"AutoAttack after PGD at the same \N{GREEK SMALL LETTER EPSILON}, {int(strong['test_images'].max()):,} images of each network, takes another "
            f"{100 * strong['mean'].mean():.1f} points on average, {100 * strong['mean'].max():.1f} at most."
        )
    return "\n".join(lines)
