"""What the tests of readers share: a file from an array, and the one message of a file that is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from atrcnas.ground.errors import DataError


def save(path: Path, array: np.ndarray, **options: Any) -> Path:
    """Write an image or ``.npy`` file, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path, **options)
    return path


def expect_error(match: str, call: Callable[[], object]) -> str:
    """The message of the DataError that ``call`` must raise."""
    with pytest.raises(DataError, match=match) as caught:
        call()
    return str(caught.value)
