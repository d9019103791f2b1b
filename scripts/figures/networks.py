"""What the figures that look into single networks share: their footer, their roles' looks, and pictures on a canvas."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style
from figures.footer import name_of
from figures.layout import LEFT, NAME, OVER, RIGHT, UNDER, Canvas, wrap_text

# The paper's Fig. 8: robust red and solid, natural black and dashed.
ROLE_LOOKS = {"robust": {"color": "#c1272d", "linestyle": "-"}, "natural": {"color": "black", "linestyle": "--"}}

# Of the words under a picture.
PICTURE_POINTS = 6.0

THROUGH = {"head": {"alpha": 0.4, "linewidth": 1.0}, "all weights": {"linewidth": 1.5}}
PANELS = {"train": "training images as queries", "test": "test images as queries"}


def role_label(experiment: dict[str, Any], role: str) -> str:
    """A role and the source that plays it, such as "robust (L2, ε = 3)"."""
    source = name_of(experiment, experiment["sources"][role])
    return role if source == role else f"{role} ({source})"


def footer(experiment: dict[str, Any], part: str, words: str = "", seeds: bool = False) -> str:
    """Which networks a figure looks into, of the part's first seed or of all its `seeds`, and further words on it."""
    looked = experiment[part]
    several = looked.get("seeds", [looked["seed"]]) if seeds or part == "influence_cut" else [looked["seed"]]
    networks = "one network" if len(several) == 1 else f"{len(several)} networks"
    named = f"seed {several[0]}" if len(several) == 1 else f"seeds {several[0]} to {several[-1]}"
    blocks = (
        "the head only" if looked["blocks"] == 0 else f"{looked['blocks']} block{'' if looked['blocks'] == 1 else 's'}"
    )
    head = (
        f"Experiment: {experiment['name']}; protocol: {experiment['protocol']}; {networks} per source, fine-tuned on "
        f"{looked['images']:,} images of {name_of(experiment, looked['target'])} ({blocks}; {named})."
    )
    return f"{head}\n{words}" if words else head


def influence_words(experiment: dict[str, Any], ranked: bool = True) -> str:
    """How influence was computed; with `ranked`, whether an image's influence on itself counts."""
    settings = experiment["influence"]
    own = f" An image's influence on itself is {settings['self_influence']}." if ranked else ""
    return f"Influence on the loss through the last layer, {describe_inverse(settings)}; positive is helpful.{own}"


def describe_inverse(settings: dict[str, Any]) -> str:
    """The head and the inverse of its Hessian that influence is computed with."""
    damping = f"damping {settings['damping']:g}" if settings["damping"] else ""
    if settings["head"] == "refitted":
        more = f", as {damping}" if damping else ""
        return f"refitted to its optimum with ridge {settings['ridge']:g} (which its Hessian has{more})"
    cut = f"eigenvalues above {settings['pinv_rcond']:g} of the largest"
    return f"as fine-tuned ({damping or cut})"


def describe_bands(experiment: dict[str, Any], networks: int) -> str:
    """What lines and bands over seeds are, and what bands do not cover."""
    if networks == 1:
        return "Lines: single networks."
    kind = {"t": "Student's t", "bootstrap": "percentile bootstrap"}[experiment["bands"]]
    return (
        f"Lines: means over seeds; bands: their 95% intervals ({kind}), point by point, over seeds; they do not cover another draw of the source "
        "networks."
    )


def draw_shares(table: pd.DataFrame, experiment: dict[str, Any]) -> Figure:
    """(a) training images, (b) test images as queries: share of same-class images at each influence rank.

    Where the table tells what influence goes through (column `through`), the head's lines are pale and thin. Bands where there are several seeds.
    """
    width, gap = style.figure_width(), 0.3
    wide = (width - LEFT - RIGHT - gap) / 2
    high = min(2.2, 0.8 * wide)
    size = style.label_size("axes.titlesize")
    titles = {name: wrap_text(title, wide - 0.3, size) for name, title in PANELS.items()}
    over = OVER + 0.12 * (max(map(len, titles.values())) - 1)
    ways = style.present(table, THROUGH, "through") if "through" in table else [""]
    lines = [(role, way) for way in ways for role in style.present(table, ROLE_LOOKS, "role")]
    handles = [
        Line2D([], [], label=f"{role_label(experiment, role)}{', through ' * bool(way)}{way}", **_look(role, way))
        for role, way in lines
    ]
    handles.append(Line2D([], [], color="0.6", linestyle=":", label="any training image"))
    legend = style.Legend(handles)
    counts = {name: table.loc[table["queries"] == name, "query_images"].max() for name in PANELS}
    words = (
        f"Shares over {counts['train']:,} training and {counts['test']:,} test images. {influence_words(experiment)}"
    )
    several = int(table["networks"].max())
    if several > 1:
        words += f" {describe_bands(experiment, several)}"
    if ways != [""]:
        words += " All weights: convolutions and head of the trained blocks, by EK-FAC (kronfluence)."
    made = style.canvas(
        width, over + high + UNDER + NAME, legend.height(width), footer(experiment, "influence", words, several > 1)
    )
    for column, (queries, title) in enumerate(titles.items()):
        x = LEFT + column * (wide + gap)
        ax = made.axes(x, made.top - over - high, wide, high)
        part = table[table["queries"] == queries]
        for role, way in lines:
            mine = part[(part["role"] == role) & ((part["through"] == way) if way else True)]
            ax.plot(mine["rank"], 100 * mine["same_class_share"], **_look(role, way))
            if several > 1:
                ends = (100 * mine[end].clip(0, 1) for end in ("low", "high"))
                ax.fill_between(mine["rank"], *ends, color=ROLE_LOOKS[role]["color"], alpha=0.15, linewidth=0)
        ax.axhline(100 * part["chance"].iloc[0], color="0.6", linestyle=":", linewidth=1.0, zorder=2)
        ax.set(xlim=(0, part["rank"].max() + 1), ylim=(0, 100), xlabel="influence rank")
        style.set_title(ax, *title)
        ax.set_xticks([1, *range(20, part["rank"].max() + 1, 20)])
        made.letter(0.04 if column == 0 else x - 0.2, made.top - over, "ab"[column])
        if column == 0:
            ax.set_ylabel("same class (%)")
        else:
            ax.tick_params(labelleft=False)
    made.legend(0, width, legend)
    return made.figure


def _look(role: str, way: str) -> dict[str, Any]:
    return {**ROLE_LOOKS[role], **THROUGH.get(way, {})}


def show_picture(ax: Axes, image: np.ndarray) -> None:
    """An image [c, h, w], uint8 or in [0, 1], as pixels; grey where it has one channel."""
    image = image.astype(float) / (255 if image.dtype == np.uint8 else 1)
    if len(image) == 1:
        ax.imshow(image[0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    else:
        ax.imshow(image.transpose(1, 2, 0), interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_linewidth(0.5)


def write_lines(made: Canvas, right: float, middle: float, text: str, inches: float) -> None:
    """Up to four lines of text that end at `right`, around a height, wrapped into a width in inches."""
    size = style.label_size("axes.labelsize")
    # What stands in brackets begins a line.
    lines = [line for part in text.replace(" (", "\n(").split("\n") for line in wrap_text(part, inches, size)]
    made.text(right, middle, "\n".join(lines[:4]), ha="right", va="center", fontsize=size, linespacing=1.1)


def shorten(name: str, longest: int = 11) -> str:
    """A class name that fits under a picture or beside a matrix."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
