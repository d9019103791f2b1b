"""The axes of figures: ticks, labels and limits of images, epochs, accuracies, differences and epsilons. No torch here."""

import math
from collections.abc import Iterable, Sequence

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator


def format_x(ax: Axes, values: Iterable[int], label: str) -> None:
    """A log2 axis with a tick at every value and plain labels: rotated where they are many, thinned where they touch."""
    values = sorted(set(values))
    margin = _margin(values)
    ax.set_xscale("log", base=2)
    ax.set_xlim(values[0] / 2**margin, values[-1] * 2**margin)
    inches = ax.get_position().width * ax.get_figure().get_figwidth()
    level = labels_fit(values, inches)
    # A line of text turned by 60 degrees takes its height / sin(60) along the axis.
    pitch = 1.2 * points(matplotlib.rcParams["xtick.labelsize"]) / math.sin(math.radians(60))
    shown, end = set(), -math.inf
    for value in values:
        place = math.log2(value) * _points_per_doubling(values, inches)
        if level or place - end >= pitch:
            shown.add(value)
            end = place
    ax.xaxis.set_major_locator(FixedLocator(values))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(value):,}" if round(value) in shown else ""))
    if not level:
        plt.setp(ax.get_xticklabels(), rotation=60, ha="right", rotation_mode="anchor")
    ax.set_xlabel(label)


def labels_fit(values: Iterable[int], inches: float) -> bool:
    """Whether the labels of a log2 axis of this width stand side by side without being turned."""
    values = sorted(set(values))
    size = points(matplotlib.rcParams["xtick.labelsize"])
    widths = [0.62 * size * len(f"{value:,}") for value in values]
    gaps = np.diff(np.log2(values)) * _points_per_doubling(values, inches)
    return all(gap > (left + right) / 2 + 3 for gap, left, right in zip(gaps, widths, widths[1:], strict=False))


def room_below(level: bool) -> float:
    """Inches below an axis for its labels, level or turned, and its name."""
    return 0.45 if level else 0.62


def _margin(values: Sequence[int]) -> float:
    """Doublings left free at either end of a log2 axis."""
    return 0.04 * math.log2(values[-1] / values[0]) or 0.5


def _points_per_doubling(values: Sequence[int], inches: float) -> float:
    return 72 * inches / (math.log2(values[-1] / values[0]) + 2 * _margin(values))


def points(size: float | str) -> float:
    """A font size in points, such as 8 or "small"."""
    from matplotlib.font_manager import FontProperties

    return FontProperties(size=size).get_size_in_points()


def format_accuracy(ax: Axes, lows: Iterable[float], highs: Iterable[float]) -> None:
    """A percent axis: limits rounded outward to labelled ticks, within 0 and 100, and at least 20 points apart.

    So a panel uses its height, and a gap of a point never fills it.
    """
    lowest, highest = 100 * min(lows) + 1e-7, 100 * max(highs) - 1e-7
    for step in (5, 10, 20):
        low = max(0, step * math.floor(lowest / step))
        high = min(100, step * math.ceil(highest / step))
        if high - low < 20:
            low, high = (high - 20, high) if high >= 20 else (0, 20)
        if (high - low) / step <= 6:
            break
    pad = 0.03 * (high - low)  # half of a marker at the edge
    ax.set_ylim((low - pad) / 100, (high + pad) / 100)
    ax.yaxis.set_major_locator(FixedLocator([percent / 100 for percent in range(low, high + 1, step)]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}"))
    ax.spines[["top", "right"]].set_visible(False)


def format_delta(ax: Axes) -> None:
    """An axis in percentage points with a line at zero."""
    ax.axhline(0, color="0.25", linewidth=0.9, zorder=1)
    ax.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{100 * value:+.4g}".replace("-", "\N{MINUS SIGN}") if round(value, 9) else "0")
    )
    ax.spines[["top", "right"]].set_visible(False)


def share_y(axes: Sequence[Axes]) -> None:
    """Give all axes the widest limits that one of them has."""
    limits = [ax.get_ylim() for ax in axes]
    for ax in axes:
        ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def epsilon_text(epsilon: float, norm: str) -> str:
    """An epsilon as axes show it: Linf in 255ths, the grey levels of an image."""
    if norm == "linf" and epsilon > 0:
        return f"{255 * epsilon:.4g}/255"
    return f"{epsilon:.4g}"
