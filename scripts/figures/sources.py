"""How figures tell many sources apart: colours, and their entries in a legend. No torch here."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.lines import Line2D

from figures import style
from figures.footer import name_of


def source_colours(sources: Sequence[str]) -> dict[str, Any]:
    """A colour for each source; beyond the palette an even scale."""
    if len(sources) <= len(style.PALETTE):
        return dict(zip(sources, style.PALETTE, strict=False))
    return dict(zip(sources, matplotlib.colormaps["viridis"](np.linspace(0, 0.95, len(sources))), strict=True))


def source_handles(colours: Mapping[str, Any], experiment: dict[str, Any]) -> list[Line2D]:
    """Legend entries for sources: squares of their colours."""
    return [
        Line2D([], [], linestyle="", marker="s", color=colour, label=name_of(experiment, source))
        for source, colour in colours.items()
    ]
