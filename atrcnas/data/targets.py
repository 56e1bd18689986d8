"""How the target files of one task are stored, and reading them accordingly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from atrcnas.data.colours import ColourTable, decode_colours
from atrcnas.data.rasters import MAX_PIXELS, read_array
from atrcnas.data.reading import decode_classes, decode_scalar, decode_vector
from atrcnas.ground.errors import ConfigError
from atrcnas.spec.schema import Float, Int, Spec
from atrcnas.spec.tasks import Task


class ValueRule(Spec):
    """From the numbers in a task's files to values."""

    scale: Float = Field(default=1.0, gt=0, le=1e9, description="number * scale = value; 0.001 for millimetres")
    offset: Float = Field(default=0.0, ge=-1e9, le=1e9, description="added after scaling; not for classes")
    missing: Float | None = Field(
        default=None, ge=-1e9, le=1e9, description="number that marks missing truth; null: the task's own"
    )
    shift: Int = Field(
        default=0, ge=-65535, le=65535, description="added to class numbers after missing ones are taken out"
    )
    colours: dict[str, Any] | Path | None = Field(
        default=None,
        description="class maps in colour: NAME: [RED, GREEN, BLUE] in class order, missing: for no class; or a file of it",
    )


# Masks of 0 and 255, in which 255 means 1.
BLACK_AND_WHITE = ValueRule(scale=1 / 255, missing=-1.0)


@dataclass(frozen=True)
class TargetReader:
    """Reads the target files of one task.

    Attributes:
        task: with its class count known.
        rule: how values are stored.
        max_pixels: larger files are refused.
        colours: which colour means which class, for class maps in colour.
    """

    task: Task
    rule: ValueRule
    max_pixels: int = MAX_PIXELS
    colours: ColourTable | None = None

    def __post_init__(self) -> None:
        unused = {
            "classes": {"offset": "Use shift instead."},
            "scalar": {"shift": "Use offset instead.", "colours": "Only classes have colours. Remove it."},
            "vector": dict.fromkeys(
                ("scale", "offset", "shift", "colours"), "Vectors are scaled to unit length. Remove it."
            ),
        }[self.task.target]
        if self.rule.colours is not None and self.task.target == "classes":
            unused = dict.fromkeys(("scale", "offset", "shift", "missing"), "Colours say it all. Remove it.")
        for name, way_out in unused.items():
            if getattr(self.rule, name) != ValueRule.model_fields[name].default:
                raise ConfigError(f"data.options.values.{self.task.name}.{name}: has no effect on this task. {way_out}")

    @property
    def missing(self) -> float:
        """Stored number of a pixel without ground truth."""
        return self.task.missing if self.rule.missing is None else self.rule.missing

    def read(self, path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Values and valid mask of one file.

        Returns:
            [H, W] int64 classes, [H, W] float32 or [H, W, 3] float32 unit vectors; [H, W] bool.

        Raises:
            DataError: the file cannot be read, has the wrong layout, or holds a class out of range.
        """
        return self.decode(self.read_raw(path), path)

    def nothing(self, shape: tuple[int, int]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """What :meth:`read` would give for a file of ``shape`` = (height, width) in which everything is missing."""
        full = (*shape, 3) if self.task.target == "vector" else shape
        dtype = np.int64 if self.task.target == "classes" else np.float32
        return np.zeros(full, dtype), np.zeros(shape, np.bool_)

    def read_raw(self, path: Path) -> npt.NDArray[Any]:
        """The numbers as stored, see :func:`atrcnas.data.rasters.read_array`."""
        classes = self.task.target == "classes"
        return read_array(path, self.max_pixels, indexed=classes and self.colours is None, exact=classes)

    def decode(self, raw: npt.NDArray[Any], where: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """:meth:`read` for numbers already in memory; ``where`` names them in messages."""
        rule, name = self.rule, self.task.name
        if self.task.target == "vector":
            return decode_vector(raw, where, missing=self.missing)
        if self.task.target == "scalar":
            # What shrinks as the camera comes nearer is a distance, and no distance is zero or negative.
            positive = self.task.zoom == "divide"
            return decode_scalar(
                raw, where, missing=self.missing, scale=rule.scale, offset=rule.offset, positive=positive
            )
        if self.colours is not None:
            return decode_colours(raw, where, self.colours)
        keys = f"data.options.classes.{name} or data.options.values.{name}"
        return decode_classes(
            raw,
            where,
            num_classes=self.task.num_labels,
            missing=self.missing,
            scale=rule.scale,
            shift=rule.shift,
            way_out=f"Set {keys} (missing, shift, scale), or correct the file.",
        )
