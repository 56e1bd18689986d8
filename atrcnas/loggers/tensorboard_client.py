"""TensorBoard: event files in the run folder, one folder per stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from atrcnas.loggers.client import Place
from atrcnas.spec.schema import Spec


class Tensorboard:
    """A :class:`~atrcnas.loggers.client.Client`."""

    id = None

    def __init__(self, place: Place, options: Spec) -> None:
        self._writer = SummaryWriter(
            place.run / "tensorboard" / place.part, purge_step=place.step + 1 if place.step else None
        )

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log figures by name."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def figure(self, name: str, path: Path, step: int) -> None:
        """Log a picture."""
        with Image.open(path) as image:
            self._writer.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        """Write what is buffered."""
        self._writer.close()
