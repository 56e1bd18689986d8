"""Whether a reader can read a figure: no text cut off at the paper's edge, none on top of another."""

from __future__ import annotations

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

_TOLERANCE_PX = 1.0


def texts(figure: Figure) -> list[Text]:
    """Every text that is drawn."""
    found = [artist for artist in figure.findobj(Text) if isinstance(artist, Text)]
    return [text for text in found if text.get_visible() and text.get_text().strip() and _drawn(text)]


def _drawn(text: Text) -> bool:
    """Ticks outside of the axis limits keep a label that is never drawn."""
    axes = text.axes
    if axes is None or text not in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        return True
    x, y = text.get_position()
    low, high = axes.get_xlim() if text in axes.get_xticklabels() else axes.get_ylim()
    return low - 1e-9 <= (x if text in axes.get_xticklabels() else y) <= high + 1e-9


def faults(figure: Figure) -> list[str]:
    """What is clipped and what overlaps, in words."""
    assert isinstance(figure.canvas, FigureCanvasAgg)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    boxes: list[tuple[str, Bbox]] = [(text.get_text(), text.get_window_extent(renderer)) for text in texts(figure)]
    page = figure.bbox
    clipped = [
        f"'{name}' is clipped"
        for name, box in boxes
        if box.x0 < 0 or box.y0 < 0 or box.x1 > page.width or box.y1 > page.height
    ]
    return clipped + [f"'{a}' overlaps '{b}'" for (a, one), (b, two) in combinations(boxes, 2) if _overlap(one, two)]


def _overlap(one: Bbox, two: Bbox) -> bool:
    width = min(one.x1, two.x1) - max(one.x0, two.x0)
    height = min(one.y1, two.y1) - max(one.y0, two.y0)
    return bool(width > _TOLERANCE_PX and height > _TOLERANCE_PX)
