"""What an exported file says about itself, as JSON under the key ``atrcnas``."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from atrcnas._version import __version__
from atrcnas.ground.errors import ExportError
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.tasks import TASKS, Task

KEY = "atrcnas"
INPUT = "image"


@dataclass(frozen=True)
class Metadata:
    """What one needs to use the file.

    Attributes:
        tasks: task records by name, with class counts; ``decode`` says how a raw output becomes a prediction.
        size: (height, width) of the image, pixels.
        version: of the atrcnas that wrote it.
    """

    tasks: dict[str, Task]
    size: tuple[int, int]
    version: str = __version__

    def to_json(self) -> str:
        """The stored form."""
        records = {name: dataclasses.asdict(task) for name, task in self.tasks.items()}
        image = {"name": INPUT, "layout": "[batch, 3, height, width]", "values": "float32 RGB in [0, 1]"}
        height, width = self.size
        return json.dumps({"version": self.version, "height": height, "width": width, "input": image, "tasks": records})

    @classmethod
    def from_json(cls, text: str, where: Path) -> Metadata:
        """Read the stored form.

        Raises:
            ExportError: something else.
        """
        try:
            value = json.loads(text)
            tasks = {name: _task(record) for name, record in value["tasks"].items()}
            return cls(tasks, (int(value["height"]), int(value["width"])), str(value["version"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ExportError(
                f"{where}: expected a network exported by atrcnas, its description is missing or damaged "
                f"({type(error).__name__}). Export it again with `atrcnas deploy`."
            ) from error


def task_records(net: MultiTaskNet) -> dict[str, Task]:
    """Records of the tasks a network predicts, with its own channel counts.

    Raises:
        ConfigError: the network was built with a task that is not registered.
    """
    return {name: dataclasses.replace(TASKS[name], channels=_channels(net.heads[name])) for name in net.tasks}


def _channels(head: nn.Module) -> int:
    convs = [module for module in head.modules() if isinstance(module, nn.Conv2d)]
    return convs[-1].out_channels


def _task(record: dict[str, Any]) -> Task:
    span = record["display_range"]
    return Task(**{**record, "display_range": None if span is None else (float(span[0]), float(span[1]))})
