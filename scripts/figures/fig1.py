"""Draw figure 1: images that drive a penultimate unit up, for the natural and the robust network."""

import numpy as np
from matplotlib.figure import Figure

from figures import style
from figures.networks import footer, role_label, show_picture


def draw(table: tuple, experiment: dict) -> Figure:
    """Columns: units and starting images; rows: the starting image, natural, robust."""
    arrays, facts = table
    looked, starts = experiment["visualisation"], arrays["starts"]
    units, columns = looked["units"], len(starts)
    side, gap, between, left, over, under = 1.2, 0.1, 0.3, 1.05, 0.3, 0.18
    across = len(units) * columns * (side + gap) + (len(units) - 1) * between
    width = left + across + 0.1
    words = (
        f"{looked['steps']:,} steps of gradient ascent on the unit's activation after pooling, each of L2 length "
        f"{looked['step_size']:g} at 224x224 pixels and proportionally less here ({starts.shape[-1]}x{starts.shape[-1]}), clamped to "
        "[0, 1]; the last ReLU passes all gradients. Under each image: the unit's activation before and after. Photographs: scikit-learn's "
        "sample images."
    )
    made = style.canvas(width, over + 3 * (side + under), 0.05, footer(experiment, "visualisation", words))
    for index, unit in enumerate(units):
        first = left + index * (columns * (side + gap) + between)
        middle = first + (columns * (side + gap) - gap) / 2
        made.text(middle, made.top - 0.2, f"unit {unit}", ha="center", fontsize=9)
        for row, role in enumerate(("start", "natural", "robust")):
            bottom = made.top - over - (row + 1) * side - row * under
            for column in range(columns):
                ax = made.axes(first + column * (side + gap), bottom, side, side)
                image = starts[column] if row == 0 else arrays[f"{role}_images"][index, column]
                show_picture(ax, np.clip(image, 0, 1))
                if row:
                    before, after = arrays[f"{role}_activations"][index, column]
                    ax.set_xlabel(f"{before:.2f} → {after:.2f}", fontsize=6.5, labelpad=1.5, color="0.3")
                else:
                    ax.set_xlabel(facts["starts"][column], fontsize=6.5, labelpad=1.5, color="0.3")
            if index == 0:
                label = "starting image" if row == 0 else role_label(experiment, role).replace(" (", "\n(")
                made.text(left - 0.1, bottom + side / 2, label, ha="right", va="center", fontsize=8)
    return made.figure
