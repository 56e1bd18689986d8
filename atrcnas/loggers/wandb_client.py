"""Weights & Biases: one run there for all stages here, each with steps of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import wandb

from atrcnas.loggers.client import Place
from atrcnas.spec.loggers import WandbOptions


class Wandb:
    """A :class:`~atrcnas.loggers.client.Client`."""

    def __init__(self, place: Place, options: WandbOptions) -> None:
        self._part = place.part
        place.run.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=options.project,
            entity=options.entity,
            mode=options.mode,
            name=place.name,
            id=place.id,
            resume="allow",
            dir=str(place.run),
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )
        self.id: str | None = self._run.id
        # Stages count steps of their own, and a resumed one repeats some; W&B's own count never falls.
        self._run.define_metric(f"{self._part}/step", hidden=True)
        self._run.define_metric(f"{self._part}/*", step_metric=f"{self._part}/step")

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log figures by name."""
        self._run.log({**values, f"{self._part}/step": step})

    def figure(self, name: str, path: Path, step: int) -> None:
        """Log a picture."""
        self._run.log({name: wandb.Image(str(path)), f"{self._part}/step": step})

    def close(self) -> None:
        """Hand over everything; waits for uploads."""
        self._run.finish()
