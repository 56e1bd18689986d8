"""A page counted in inches from its top left corner, for figures that are tables of boxes and words."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from numpy.typing import NDArray

from atrcnas.plots.canvas import INK, LABEL_SIZE, add_panel, new_figure


class Page:
    """One figure with one invisible pair of axes whose unit is the inch, y down.

    Args:
        width_in: width in inches.
        height_in: height in inches.
    """

    def __init__(self, width_in: float, height_in: float) -> None:
        self.figure: Figure = new_figure(width_in, height_in)
        self._axes: Axes = add_panel(self.figure, 0, 0, width_in, height_in)
        self._axes.set_axis_off()
        self._axes.set_xlim(0, width_in)
        self._axes.set_ylim(height_in, 0)

    def text(
        self, left: float, top: float, text: str, size: float = LABEL_SIZE, name: str = "", **options: Any
    ) -> None:
        """Text; ``ha`` and ``va`` default to left and center, ``name`` becomes the artist's gid."""
        artist = self._axes.text(left, top, text, **{"fontsize": size, "color": INK, "va": "center", **options})
        artist.set_gid(name or None)

    def box(self, left: float, top: float, side: float, fill: str, edge: str) -> None:
        """A square with round corners and a border."""
        rounding = f"round,pad=0,rounding_size={0.09 * side:.4f}"
        self._axes.add_patch(
            FancyBboxPatch(
                (left, top), side, side, rounding, facecolor=fill, edgecolor=edge, linewidth=1.6 if side > 0.5 else 1.0
            )
        )

    def picture(self, left: float, top: float, width: float, height: float, rgb: NDArray[np.uint8]) -> None:
        """An RGB picture with a hairline around it, stretched to the box."""
        panel = add_panel(self.figure, left, top, width, height)
        panel.imshow(rgb, aspect="auto", interpolation="antialiased")
        panel.grid(visible=False)
        panel.set_xticks([])
        panel.set_yticks([])
        panel.spines[:].set(visible=True, linewidth=0.4)
