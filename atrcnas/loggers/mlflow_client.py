"""MLflow: one run there for all stages here, in a server or in files of the run folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from time import time

from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
from PIL import Image

from atrcnas.loggers.client import Place
from atrcnas.spec.loggers import MlflowOptions


class Mlflow:
    """A :class:`~atrcnas.loggers.client.Client`."""

    def __init__(self, place: Place, options: MlflowOptions) -> None:
        if options.tracking_uri is None:
            # MLflow advises a database for servers; for one run, files need no further package.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self._client = MlflowClient(options.tracking_uri or (place.run.resolve() / "mlflow").as_uri())
        self.id: str = place.id or self._begin(place.name, options.experiment)

    def _begin(self, name: str, experiment: str) -> str:
        known = self._client.get_experiment_by_name(experiment)
        number = self._client.create_experiment(experiment) if known is None else known.experiment_id
        run_id: str = self._client.create_run(number, run_name=name).info.run_id
        return run_id

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log figures by name."""
        now = int(1000 * time())
        self._client.log_batch(self.id, [Metric(name, value, now, step) for name, value in values.items()])

    def figure(self, name: str, path: Path, step: int) -> None:
        """Log a picture."""
        with Image.open(path) as image:
            self._client.log_image(self.id, image, key=name, step=step)

    def close(self) -> None:
        """Mark the run as finished; a later stage continues it."""
        self._client.set_terminated(self.id)
