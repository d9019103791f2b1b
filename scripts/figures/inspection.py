"""What the figures that look into single networks share: their footer, their roles' looks, and pictures on a canvas."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from figures.footer import name_of

# The paper's Fig. 8: robust red and solid, natural black and dashed.
ROLE_LOOKS = {"robust": {"color": "#c1272d", "linestyle": "-"}, "natural": {"color": "black", "linestyle": "--"}}


def role_label(experiment: dict[str, Any], role: str) -> str:
    """A role and the source that plays it, such as "robust (L2, ε = 3)"."""
    source = name_of(experiment, experiment["sources"][role])
    return role if source == role else f"{role} ({source})"


def footer(experiment: dict[str, Any], part: str, words: str = "") -> str:
    """Which networks a figure looks into, and further words on it."""
    looked = experiment[part]
    blocks = (
        "the head only" if looked["blocks"] == 0 else f"{looked['blocks']} block{'' if looked['blocks'] == 1 else 's'}"
    )
    head = (
        f"Experiment: {experiment['name']}; protocol: {experiment['protocol']}; one network per source, fine-tuned on "
        f"{looked['images']:,} images of {name_of(experiment, looked['target'])} ({blocks}; seed {looked['seed']})."
    )
    return f"{head}\n{words}" if words else head


def influence_words(experiment: dict[str, Any], targets: bool = True) -> str:
    """How influence was computed."""
    settings = experiment["influence"]
    cut = (
        f"damping {settings['damping']:g}"
        if settings["damping"]
        else f"eigenvalues above {settings['pinv_rcond']:g} of the largest"
    )
    own = f" An image's influence on itself is {settings['self_influence']}." if targets else ""
    return f"Influence on the loss through the last layer ({cut}); positive is helpful.{own}"


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
