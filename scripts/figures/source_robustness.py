"""Draw how robust the sources are: accuracy on their own test images against the epsilon of the attack."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from advtransfer.errors import InputError
from figures import style
from figures.axes import epsilon_text, format_accuracy
from figures.layout import NAME, OVER, UNDER, most_columns, place_panels, stack, text_width

NORMS = {"l2": "L2", "linf": "L∞"}


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """A panel for each norm of the attack, a line for each source; natural dashed, clean accuracy at epsilon 0."""
    sources = [*(rung["source"] for rung in experiment["epsilon"]["sources"]), *experiment["sources"].values()]
    sources = style.present(table, dict.fromkeys(sources), "source")
    if not sources:
        raise InputError(
            "figures/source_robustness.pdf: nothing was measured. Name the sources' test images in 'robustness: test_data'."
        )
    naturals = {rung["source"] for rung in experiment["epsilon"]["sources"] if rung["norm"] is None}
    looks = {
        source: {
            "color": style.PALETTE[index % len(style.PALETTE)],
            "marker": style.MARKERS[index % len(style.MARKERS)],
            "linestyle": "--" if source in naturals else "-",
        }
        for index, source in enumerate(sources)
    }
    norms = style.present(table, NORMS, "norm")
    width = style.figure_width()
    places = place_panels(width, len(norms), min(len(norms), most_columns(width, 1.5)))
    rows, high = places[-1].row + 1, min(2.0, 0.8 * places[0].width)
    legend = style.Legend(
        [Line2D([], [], label=style.name_of(experiment, source), **look) for source, look in looks.items()]
    )
    made = style.canvas(width, rows * (OVER + high + UNDER + NAME), legend.height(width), describe(table))
    bottoms = stack(made.top, [(OVER, high, UNDER + NAME)] * rows)
    for norm, place in zip(norms, places, strict=True):
        mine = table[table["norm"] == norm]
        ax = made.axes(place.left, bottoms[place.row], place.width, high)
        for source, look in looks.items():
            part = mine[mine["source"] == source].sort_values("epsilon")
            ax.plot(part["epsilon"], part["accuracy"], markeredgecolor="white", markeredgewidth=0.4, zorder=3, **look)
        epsilons = sorted(mine["epsilon"].unique())
        smallest = epsilons[1] if len(epsilons) > 1 else 1.0
        # Linear up to the smallest attack, doublings above: the clean accuracy stays on the axis.
        ax.set_xscale("symlog", base=2, linthresh=smallest)
        ax.set_xlim(-0.15 * smallest, epsilons[-1] * 1.15)
        ax.xaxis.set_major_locator(FixedLocator(epsilons))
        texts = [epsilon_text(epsilon, norm) for epsilon in epsilons]
        ax.xaxis.set_major_formatter(FixedFormatter(thinned(ax, epsilons, texts, place.width)))
        ax.xaxis.set_minor_locator(NullLocator())
        format_accuracy(ax, [0.0], [table["accuracy"].max()])
        ax.set_xlabel(f"{NORMS[norm]} epsilon of the attack")
        style.set_title(ax, f"attacked in {NORMS[norm]}")
        if place.first:
            ax.set_ylabel("accuracy (%)")
    made.legend(0, width, legend)
    return made.figure


def thinned(ax: Axes, epsilons: list[float], texts: list[str], inches: float) -> list[str]:
    """The labels of an axis of a width, empty where one would touch the label left of it; the last one always stands."""
    size = style.label_size("xtick.labelsize")
    place = [inches * (ax.transData + ax.transAxes.inverted()).transform((epsilon, 0))[0] for epsilon in epsilons]
    half = [text_width(text, size) / 2 + 0.03 for text in texts]
    shown, free = [""] * len(texts), -inches
    for index, text in enumerate(texts):
        last = index == len(texts) - 1
        if last or (place[index] - half[index] >= free and place[index] + half[index] <= place[-1] - half[-1]):
            shown[index], free = text, place[index] + half[index]
    return shown


def describe(table: pd.DataFrame) -> str:
    """The footer: attack, number of images, and where the numbers come from."""
    clean, attacked = table[table["epsilon"] == 0], table[table["epsilon"] > 0]
    parts = []
    for origin, group in attacked.groupby("origin", sort=False):
        images = " to ".join(f"{n:,}" for n in sorted({group["images"].min(), group["images"].max()}))
        all_images = " to ".join(f"{n:,}" for n in sorted(clean.loc[clean["origin"] == origin, "images"].unique()))
        where = "measured here" if origin == "measured" else "out of the sources' training records"
        parts.append(
            f"Accuracy on the sources' own test images, {where}: clean (epsilon 0) on {all_images} test images, attacked on {images} "
            f"({', '.join(sorted(group['attack'].unique()))})."
        )
    return " ".join(parts)
