"""The published directions that the surface normals of a data set are grouped by, from the YAML file of the same name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from atrcnas.ground.files import read_yaml


def published_centroids(dataset: str) -> npt.NDArray[np.float32]:
    """Read them.

    Args:
        dataset: ``nyud`` or ``pascal``.

    Returns:
        [40, 3] float32 unit vectors.

    Source: Bruggemann et al. 2021, training code.
    """
    tables = read_yaml(Path(__file__).with_suffix(".yaml"), "centroids")
    return np.array(tables[dataset], np.float32)
