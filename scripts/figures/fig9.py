"""Draw figure 9: which parts of the networks each fine-tuning setting trains."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle

from figures import style

TRAINED, FROZEN = "#e8a33d", "#d9d9d9"


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """A row for each setting: the network from the image to the logits, its trained parts coloured."""
    settings = sorted(table["blocks"].unique())
    parts = table[table["blocks"] == settings[0]].reset_index(drop=True)
    width, left, over, high, apart = style.figure_width(), 1.12, 0.2, 0.3, 0.16
    stages = list(parts["stage"])
    # In widths of a box: the gap before each of them, wider where a stage begins.
    gaps = [0.75 if index and stage != stages[index - 1] else 0.25 for index, stage in enumerate(stages)]
    box = (width - left - 0.2) / (len(stages) + sum(gaps))
    places, x = [], left
    for gap in gaps:
        x += gap * box
        places.append(x)
        x += box
    crowded = box < 0.13
    over += 0.1 * crowded
    handles = [
        Patch(facecolor=TRAINED, edgecolor="0.3", label="trained"),
        Patch(facecolor=FROZEN, edgecolor="0.3", label="frozen"),
    ]
    legend = style.Legend(handles)
    made = style.canvas(width, over + len(settings) * (high + apart), legend.height(width), describe(table, experiment))
    ax = made.axes(0, made.bottom, width, made.height - made.bottom)
    ax.set(xlim=(0, width), ylim=(made.bottom, made.height))
    ax.axis("off")
    for stage, group in parts.groupby("stage"):
        middle = (places[group.index[0]] + places[group.index[-1]] + box) / 2
        name = {0: "stem", -1: "head"}.get(stage, f"stage {stage}")
        # Where boxes are narrow, the names of single ones stand above the others.
        raised = 0.1 if stage in (0, -1) and crowded else 0.0
        ax.text(middle, made.top - over + 0.06 + raised, name, ha="center", va="bottom", fontsize=6.5, color="0.3")
    for row, blocks in enumerate(settings):
        mine = table[table["blocks"] == blocks].reset_index(drop=True)
        bottom = made.top - over - (row + 1) * high - row * apart
        middle = bottom + high / 2
        ax.add_patch(
            FancyArrowPatch(
                (left - 0.08, middle), (x + 0.14, middle), arrowstyle="->", mutation_scale=6, color="0.5", lw=0.8
            )
        )
        for place, part in zip(places, mine.itertuples(index=False), strict=True):
            colour = TRAINED if part.trained else FROZEN
            ax.add_patch(Rectangle((place, bottom), box, high, facecolor=colour, edgecolor="0.3", linewidth=0.5))
        label = "head only" if blocks == 0 else f"{blocks} block{'' if blocks == 1 else 's'}"
        ax.text(left - 0.14, middle + 0.02, label, ha="right", va="bottom", fontsize=7, fontweight="bold")
        ax.text(
            left - 0.14, middle - 0.02, amount(mine["trained"].sum()), ha="right", va="top", fontsize=6.5, color="0.3"
        )
    made.legend(0, width, legend)
    return made.figure


def amount(parameters: int) -> str:
    """A number of parameters in words."""
    return f"{parameters / 1e6:.2f}M parameters" if parameters >= 1e6 else f"{parameters:,} parameters"


def describe(table: pd.DataFrame, experiment: dict) -> str:
    """The footer: whose parts these are."""
    one = table[table["blocks"] == table["blocks"].min()]
    blocks = int((one["stage"] > 0).sum())
    target = style.name_of(experiment, experiment["targets"][0])
    return (
        f"Experiment: {experiment['name']}. The network of its sources: {blocks} bottleneck blocks in {one['stage'].max()} stages, "
        f"{amount(one['parameters'].sum())} with a new head for the classes of {target}. Batch-norm and bias parameters of trained "
        f"blocks are trained as well; how frozen ones normalise, the protocol says ({experiment['protocol']})."
    )
