"""The axes of figures: ticks, labels and limits of images, epochs, accuracies, differences and epsilons. No torch here."""

import math
from collections.abc import Iterable, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from figures.layout import points, text_width


def format_x(ax: Axes, values: Iterable[int], label: str) -> None:
    """A log2 axis with a tick at every value and plain labels, at as many of them as stand side by side; the first and the last always."""
    values = sorted(set(values))
    margin = _margin(values)
    ax.set_xscale("log", base=2)
    ax.set_xlim(values[0] / 2**margin, values[-1] * 2**margin)
    inches = ax.get_position().width * ax.get_figure().get_figwidth()
    shown = labelled(values, inches)
    ax.xaxis.set_major_locator(FixedLocator(values))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(value):,}" if round(value) in shown else ""))
    ax.set_xlabel(label)


def labelled(values: Iterable[int], inches: float) -> set[int]:
    """Which values of a log2 axis of this width have labels: all that fit, or evenly every so many; the first and the last always."""
    values = sorted(set(values))
    best: tuple[int, int, set[int]] = (0, 0, set())
    for step in range(1, len(values) + 1):
        regular = values[::step]
        shown = [value for value in regular if value == values[0] or labels_fit([value, values[-1]], inches, values)]
        shown += [values[-1]] * (values[-1] not in shown)
        if labels_fit(shown, inches, values):
            # Of equally many, those at even distances.
            best = max(best, (len(shown), regular == shown, set(shown)), key=lambda choice: choice[:2])
    return best[2] or {values[0]}


def labels_fit(values: Iterable[int], inches: float, among: Iterable[int] | None = None) -> bool:
    """Whether the labels of a log2 axis of this width stand side by side. among: all values that the axis has, these by default."""
    values = sorted(set(values))
    size = points(matplotlib.rcParams["xtick.labelsize"])
    widths = [72 * text_width(f"{value:,}", size) for value in values]
    per_doubling = _points_per_doubling(sorted(set(among or values)), inches)
    gaps = np.diff(np.log2(values)) * per_doubling
    return all(gap > (left + right) / 2 + 4 for gap, left, right in zip(gaps, widths, widths[1:], strict=False))


def _margin(values: Sequence[int]) -> float:
    """Doublings left free at either end of a log2 axis."""
    return 0.04 * math.log2(values[-1] / values[0]) or 0.5


def _points_per_doubling(values: Sequence[int], inches: float) -> float:
    return 72 * inches / (math.log2(values[-1] / values[0]) + 2 * _margin(values))


def format_accuracy(ax: Axes, lows: Iterable[float], highs: Iterable[float], least: int = 20) -> None:
    """A percent axis: limits rounded outward to labelled ticks, within 0 and 100, and at least `least` points apart.

    So a panel uses its height, and a gap of a point never fills it. At most five intervals: panels are small.
    """
    lowest, highest = 100 * min(lows) + 1e-7, 100 * max(highs) - 1e-7
    for step in (5, 10, 20):
        low = max(0, step * math.floor(lowest / step))
        high = min(100, step * math.ceil(highest / step))
        if high - low < least:
            low, high = (high - least, high) if high >= least else (0, least)
        if (high - low) / step <= 5:
            break
    pad = 0.03 * (high - low)  # half of a marker at the edge
    ax.set_ylim((low - pad) / 100, (high + pad) / 100)
    ax.yaxis.set_major_locator(FixedLocator([percent / 100 for percent in range(low, high + 1, step)]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}"))
    ax.spines[["top", "right"]].set_visible(False)


def format_delta(ax: Axes) -> None:
    """An axis in percentage points with a line at zero."""
    ax.axhline(0, color="0.25", linewidth=0.9, zorder=1)
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
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
