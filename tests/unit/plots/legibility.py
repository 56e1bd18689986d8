"""Whether a reader can read a figure: no text cut off at the paper's edge, none on top of another."""

from __future__ import annotations

from itertools import combinations
from unittest import mock

from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

_TOLERANCE_PX = 1.0


def texts(figure: Figure) -> list[Text]:
    """Every text that drawing the figure draws; a tick outside of the limits has a label that never is."""
    drawn: list[Text] = []
    draw = Text.draw

    def record(text: Text, renderer: RendererBase) -> None:
        if text.get_visible() and text.get_text().strip():
            drawn.append(text)
        draw(text, renderer)

    with mock.patch.object(Text, "draw", record):
        figure.draw_without_rendering()
    return drawn


def faults(figure: Figure) -> list[str]:
    """What is clipped and what overlaps, in words."""
    boxes: list[tuple[str, Bbox]] = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
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
