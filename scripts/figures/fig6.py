"""Draw figure 6: test images, and the training images that are most influential on them."""

from matplotlib.figure import Figure

from figures import style
from figures.networks import PICTURE_POINTS, footer, influence_words, role_label, show_picture, write_lines

RIGHT, WRONG = "#2a7f3f", "#c1272d"
# Inches: what stands left of the pictures, the least and the largest side of one, and the gap between them.
LEFT, SMALLEST, LARGEST, GAP = 0.74, 0.36, 0.7, 0.07


def draw(table: tuple, experiment: dict) -> Figure:
    """A column for each class, a row for the test images and for each source; frames say whether the class is the same.

    Classes that find no room in the width stand below.
    """
    arrays, facts = table
    images, labels, names = arrays["images"], facts["labels"], facts["class_names"]
    rows, columns = images.shape[:2]
    width, under = style.figure_width(), 0.16  # the class of each picture
    room = width - LEFT - 0.06
    bands = -(-columns // max(1, int((room + GAP) / (SMALLEST + GAP))))
    across = -(-columns // bands)
    side = min(LARGEST, (room + GAP) / across - GAP)
    words = (
        "Columns: a test image of each class. Below it, the training image with the highest influence for each source; its class is "
        f"written under it, green where it is the test image's. {influence_words(experiment, ranked=False)}"
    )
    tall = rows * (side + under) + 0.08
    made = style.canvas(width, bands * tall, 0.03, footer(experiment, "influence", words))
    for row in range(rows):
        name = facts["rows"][row]
        label = name if row == 0 else role_label(experiment, name)
        for column in range(columns):
            band, place = divmod(column, across)
            bottom = made.top - band * tall - (row + 1) * (side + under) + under
            if place == 0:
                write_lines(made, LEFT - 0.08, bottom + side / 2, label, LEFT - 0.12)
            ax = made.axes(LEFT + place * (side + GAP), bottom, side, side)
            show_picture(ax, images[row, column])
            shown = labels[row][column]
            colour = "0.2" if row == 0 else RIGHT if shown == labels[0][column] else WRONG
            words = style.shorten_text(names[shown], side + GAP - 0.02, PICTURE_POINTS)
            ax.set_xlabel(words, fontsize=PICTURE_POINTS, labelpad=1.5, color=colour)
            for spine in ax.spines.values():
                spine.set(edgecolor=colour, linewidth=0.5 if row == 0 else 1.2)
    return made.figure
