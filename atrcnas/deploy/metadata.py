"""What an exported file says about itself, as JSON under the key ``atrcnas``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from matplotlib import colormaps
from pydantic import Field, model_validator

from atrcnas._version import __version__
from atrcnas.data.rasters import MAX_PIXELS
from atrcnas.ground.errors import ConfigError, ExportError
from atrcnas.nn.net import MultiTaskNet
from atrcnas.plots.palette import class_palette
from atrcnas.spec.decoders import DECODERS
from atrcnas.spec.schema import Int, Spec, show, validate
from atrcnas.spec.task_entry import Colour
from atrcnas.spec.tasks import Task

KEY = "atrcnas"
INPUT = "image"
MAX_BYTES = 1_000_000
MAX_SIDE = 32_768
MAX_TASKS = 100
MAX_CHANNELS = 4096
RESIZE = {
    "image": "to height x width, bilinear with antialiasing when shrinking (Pillow's Resampling.BILINEAR on uint8 RGB)",
    "outputs": "raw, before decoding, back to the image's size, bilinear, pixel centres at half-integers, no antialiasing",
}
_HINT = "Export it again with `atrcnas deploy`."


_Name = Annotated[str, Field(pattern=r"^\w[\w .+-]{0,99}$", description="the name of a task")]
_Words = Annotated[str, Field(max_length=1000)]
_Side = Annotated[Int, Field(ge=1, le=MAX_SIDE)]


class Metadata(Spec):
    """What one needs to use the file; that of a file from outside is checked before any of it is used.

    Attributes:
        tasks: task records by name, with class counts; ``decode`` says how a raw output becomes a prediction.
        height: of the image, pixels.
        width: of the image, pixels.
        version: of the atrcnas that wrote it.
        input: description of the image, for other programs.
        resize: what happens to an image of another size, and to the outputs, in words.
        decoding: task -> how its raw output becomes a prediction, in words; ``decode`` of its record is the short name.
        colours: class task -> red, green and blue of each class in 0..255, for pictures.
    """

    version: str = Field(default=__version__, max_length=100)
    height: _Side
    width: _Side
    input: dict[str, str] = {"name": INPUT, "layout": "[batch, 3, height, width]", "values": "float32 RGB in [0, 1]"}
    resize: dict[str, _Words] = RESIZE
    tasks: dict[_Name, Task] = Field(min_length=1, max_length=MAX_TASKS)
    decoding: dict[_Name, _Words] = Field(default={}, max_length=MAX_TASKS)
    colours: dict[_Name, tuple[Colour, ...]] = Field(default={}, max_length=MAX_TASKS)

    @classmethod
    def of(cls, tasks: Mapping[str, Task], size: tuple[int, int]) -> Metadata:
        """The description of a network that predicts ``tasks`` on images of ``size`` (height, width)."""
        rules = {name: DECODERS[task.decode].rule for name, task in tasks.items()}
        colours = {
            name: tuple(map(tuple, class_palette(task)[: task.num_channels].tolist()))
            for name, task in tasks.items()
            if task.display == "palette"
        }
        return cls(height=size[0], width=size[1], tasks=dict(tasks), decoding=rules, colours=colours)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image, pixels."""
        return self.height, self.width

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.height * self.width > MAX_PIXELS:
            raise ValueError(f"expected at most {MAX_PIXELS} pixels, got {self.height} x {self.width}.")
        for name, task in self.tasks.items():
            if task.name != name:
                raise ValueError(f"tasks.{name}.name: expected '{name}', got {show(task.name)}.")
            if not 1 <= (task.channels or 0) <= MAX_CHANNELS:
                raise ValueError(f"tasks.{name}.channels: expected 1 to {MAX_CHANNELS}, got {task.channels}.")
            if len(task.class_names) > MAX_CHANNELS or any(len(known) > 200 for known in task.class_names):
                raise ValueError(f"tasks.{name}.class_names: expected at most {MAX_CHANNELS} of 200 letters.")
            if any(not 0 <= byte <= 255 for colour in task.class_colours for byte in colour):
                raise ValueError(f"tasks.{name}.class_colours: expected numbers from 0 to 255.")
            if task.decode not in DECODERS:
                raise ValueError(f"tasks.{name}.decode: {DECODERS.miss(task.decode):.300}")
            if task.display not in ("palette", "vector", *colormaps):
                raise ValueError(f"tasks.{name}.display: expected a colour map, got {show(task.display)}.")
            if task.display_range is not None and not all(map(math.isfinite, task.display_range)):
                raise ValueError(f"tasks.{name}.display_range: expected finite numbers, got {task.display_range}.")
        return self

    def to_json(self) -> str:
        """The stored form."""
        return json.dumps(self.model_dump(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str, where: Path) -> Metadata:
        """Read the stored form.

        Raises:
            ExportError: something else.
        """
        try:
            return validate(cls, json.loads(text[:MAX_BYTES]), str(where))
        except ConfigError as error:
            raise ExportError(f"{error} {_HINT}") from error
        except (ValueError, RecursionError) as error:
            raise ExportError(
                f"{where}: expected a network exported by atrcnas, its description is missing or damaged. {_HINT}"
            ) from error


def task_records(net: MultiTaskNet) -> dict[str, Task]:
    """Records of the tasks a network predicts, as it was built with them."""
    return dict(net.records)
