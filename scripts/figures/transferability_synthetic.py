"""Draw the synthetic experiment of adversarial and knowledge transferability (Liang et al. 2021)."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style
from figures.layout import NAME, OVER, UNDER, place_panels, stack

# Each panel: its title, and the quantities in it with their line styles.
PANELS = (
    ("knowledge: loss", {"transfer_loss": "-"}),
    ("alpha1", {"alpha1_source_target": "-", "alpha1_target_source": "--"}),
    ("alpha2", {"alpha2_source_target": "-", "alpha2_target_source": "--"}),
    ("alpha1 and alpha2 combined", {"combined_source_target": "-", "combined_target_source": "--"}),
    ("tau1 (solid), tau2 (dotted)", {"tau1": "-", "tau2": ":"}),
    ("distance of gradients", {"gradient_distance": "-"}),
)
# What does not hang on the attack is drawn once.
OF_NETWORKS = ("transfer_loss", "gradient_distance")
COLOURS = {"first singular vector": "#0072d6", "second singular vector": "#8c8c8c"}
FOOTER = (
    "Source networks: the target network, all weights perturbed. Loss: root mean squared error with the last layer solved anew. "
    "Solid: attacks of the source shown to the target; dashed: the reverse. {seeds} seeds, each with its own data, networks and "
    "deviation; lines: means{bands}."
)


def draw(table: pd.DataFrame, experiment: dict) -> Figure:
    """A panel for each measure against the perturbation: the attack in colour, the negative control grey."""
    width = style.figure_width()
    places = place_panels(width, len(PANELS), 3)
    rows = [(OVER, 1.15, UNDER + NAME * (row == 1)) for row in range(2)]
    legend = style.Legend(
        [Line2D([], [], color=colour, label=f"{attack} of the Jacobian") for attack, colour in COLOURS.items()]
    )
    seeds = int(table["seeds"].max())
    bands = "; bands: their 95% intervals over seeds, point by point" if seeds > 1 else ""
    words = FOOTER.format(seeds=seeds, bands=bands)
    made = style.canvas(width, sum(map(sum, rows)), legend.height(width), words)
    bottoms = stack(made.top, rows)
    for place, (title, quantities) in zip(places, PANELS, strict=True):
        ax = made.axes(place.left, bottoms[place.row], place.width, 1.15)
        for attack, colour in reversed(COLOURS.items()):
            for quantity, linestyle in quantities.items():
                part = table[(table["quantity"] == quantity) & (table["attack"] == attack)].sort_values("perturbation")
                if quantity in OF_NETWORKS:
                    if attack != next(iter(COLOURS)):
                        continue
                    colour = "#2b2b2b"
                ax.fill_between(part["perturbation"], part["low"], part["high"], color=colour, alpha=0.17, linewidth=0)
                ax.plot(part["perturbation"], part["mean"], color=colour, linestyle=linestyle, marker="o", markersize=2)
        ax.set_ylim(bottom=0)
        if not set(quantities) & set(OF_NETWORKS):
            ax.set_ylim(top=1.05)
        ax.spines[["top", "right"]].set_visible(False)
        style.set_title(ax, title)
        if place.row == 1:
            ax.set_xlabel("perturbation of the source")
    made.legend(0, width, legend)
    return made.figure
