"""Draw figure 6: test images, and the training images that are most influential on them."""

from matplotlib.figure import Figure

from figures import style
from figures.networks import footer, influence_words, role_label, shorten, show_picture

RIGHT, WRONG = "#2a7f3f", "#c1272d"


def draw(table: tuple, experiment: dict) -> Figure:
    """A column for each class, a row for the test images and for each source; frames say whether the class is the same."""
    arrays, facts = table
    images, labels, names = arrays["images"], facts["labels"], facts["class_names"]
    rows, columns = images.shape[:2]
    side, gap, left, over = 0.62, 0.08, 1.05, 0.05
    width = left + columns * (side + gap) + 0.1
    under = 0.17  # the class of each picture
    words = (
        "Columns: a test image of each class. Below it, the training image with the highest influence for each source; its class is "
        f"written under it, green where it is the test image's. {influence_words(experiment, ranked=False)}"
    )
    made = style.canvas(width, rows * (side + gap + under), over, footer(experiment, "influence", words))
    for row in range(rows):
        bottom = made.top - (row + 1) * (side + under) - row * gap + under
        name = facts["rows"][row]
        label = name if row == 0 else role_label(experiment, name).replace(" (", "\n(")
        made.text(left - 0.1, bottom + side / 2, label, ha="right", va="center", fontsize=8)
        for column in range(columns):
            ax = made.axes(left + column * (side + gap), bottom, side, side)
            show_picture(ax, images[row, column])
            label = labels[row][column]
            colour = "0.2" if row == 0 else RIGHT if label == labels[0][column] else WRONG
            ax.set_xlabel(shorten(names[label]), fontsize=6.5, labelpad=1.5, color=colour)
            for spine in ax.spines.values():
                spine.set(edgecolor=colour, linewidth=0.5 if row == 0 else 1.2)
    return made.figure
