"""Draw figure 1: images that drive a penultimate unit up, for the natural and the robust network."""

import numpy as np
from matplotlib.figure import Figure

from figures import style
from figures.networks import PICTURE_POINTS, footer, role_label, show_picture, write_lines

# Inches: what stands left of the pictures, and the least and the largest side of one.
LEFT, SMALLEST, LARGEST = 0.85, 0.68, 1.4


def draw(table: tuple, experiment: dict) -> Figure:
    """Columns: units and starting images; rows: the starting image, natural, robust. Units that find no room stand below."""
    arrays, facts = table
    looked, starts = experiment["visualisation"], arrays["starts"]
    units, columns, width = looked["units"], len(starts), style.figure_width()
    gap, between, over, under = 0.06, 0.2, 0.18, 0.17
    room = width - LEFT - 0.1
    most = max(1, int((room + between) / (columns * (SMALLEST + gap) - gap + between)))
    many = min(len(units), most)
    side = min(LARGEST, (room - (many - 1) * between - many * (columns - 1) * gap) / (many * columns))
    words = (
        f"{looked['steps']:,} steps of gradient ascent on the unit's activation after pooling, each of L2 length "
        f"{looked['step_size']:g} at 224x224 pixels and proportionally less here ({starts.shape[-1]}x{starts.shape[-1]}), clamped to "
        "[0, 1]; the last ReLU passes all gradients. Under each image: the unit's activation before and after. Photographs: scikit-learn's "
        "sample images."
    )
    bands = -(-len(units) // many)
    tall = over + 3 * (side + under)
    made = style.canvas(width, bands * tall, 0.05, footer(experiment, "visualisation", words))
    for index, unit in enumerate(units):
        band, place = divmod(index, many)
        first = LEFT + place * (columns * (side + gap) - gap + between)
        top = made.top - band * tall
        made.text(
            first + (columns * (side + gap) - gap) / 2, top - 0.03, f"unit {unit}", ha="center", va="top", fontsize=7.5
        )
        for row, role in enumerate(("start", "natural", "robust")):
            bottom = top - over - (row + 1) * side - row * under
            for column in range(columns):
                ax = made.axes(first + column * (side + gap), bottom, side, side)
                image = starts[column] if row == 0 else arrays[f"{role}_images"][index, column]
                show_picture(ax, np.clip(image, 0, 1))
                if row:
                    before, after = arrays[f"{role}_activations"][index, column]
                    label = f"{before:.2f} → {after:.2f}"
                else:
                    label = facts["starts"][column]
                label = style.shorten_text(label, side, PICTURE_POINTS)
                ax.set_xlabel(label, fontsize=PICTURE_POINTS, labelpad=1.5, color="0.3")
            if place == 0:
                label = "starting image" if row == 0 else role_label(experiment, role)
                write_lines(made, LEFT - 0.08, bottom + side / 2, label, LEFT - 0.12)
    return made.figure
