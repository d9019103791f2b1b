"""What holds of every figure on its page: nothing overlaps or is cut off, and its text can be read."""

from matplotlib.figure import Figure
from matplotlib.text import Text

DPI = 300
INCHES = 0.015  # boxes of text are a little larger than its ink


def nothing_overlaps(figure: Figure) -> None:
    """No two axes (labels and titles included) touch, nothing leaves the page, legends and footer lie outside of the panels."""
    # At the resolution of a screen, text is hinted to other widths than it is printed with.
    figure.set_dpi(DPI)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    boxes = [ax.get_tightbbox(renderer) for ax in figure.axes]
    boxes += [legend.get_window_extent() for legend in figure.legends]
    boxes += [text.get_window_extent() for text in figure.texts if not text.get_text().startswith("(")]
    page, free = figure.bbox, INCHES * DPI
    for index, box in enumerate(boxes):
        assert box.x0 >= page.x0, box
        assert box.x1 <= page.x1, box
        assert box.y0 >= page.y0, box
        assert box.y1 <= page.y1, box
        for other in boxes[:index]:
            width = min(box.x1, other.x1) - max(box.x0, other.x0)
            height = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert min(width, height) <= free, (box, other)


def text_points(figure: Figure) -> dict[str, float]:
    """{text: its size in points} of all text that is drawn."""
    figure.canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    return {text.get_text(): text.get_fontsize() for text in texts}


def blank_below_legends(figure: Figure) -> float:
    """Inches of the page between the lowest legend above the panels and what stands next below it."""
    figure.set_dpi(DPI)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    low = min(legend.get_window_extent().y0 for legend in figure.legends)
    boxes = [ax.get_tightbbox(renderer) for ax in figure.axes]
    return (low - max(box.y1 for box in boxes if box.y0 < low)) / DPI
