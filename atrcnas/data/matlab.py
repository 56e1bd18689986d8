"""Opening MATLAB files without trusting them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat

from atrcnas.ground.errors import DataError

_MAX_BYTES = 64_000_000


def read_variable(path: Path, name: str) -> npt.NDArray[Any]:
    """Read one variable of a MATLAB file.

    Args:
        path: .mat of MATLAB 4 to 7 (not 7.3, which is HDF5), at most 64 MB.
        name: of the variable.

    Returns:
        Its array, at least 2-D; a struct array has named fields.

    Raises:
        DataError: missing, damaged, too large, or without that variable.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path}: expected a file of at most 64 MB, got {path.stat().st_size} bytes.")
        content = loadmat(path, variable_names=(name,), appendmat=False)
    except DataError:
        raise
    # SciPy's parser raises errors of almost any class when the bytes are not what they claim to be.
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) else None
        told = (reason or str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise DataError(
            f"{path}: expected a readable MATLAB file, got an error ({told}). Replace the file by an intact copy."
        ) from error
    if not isinstance(content.get(name), np.ndarray):
        raise DataError(f"{path}: expected a variable '{name}', got none. Replace the file by the published one.")
    variable: npt.NDArray[Any] = content[name]
    return variable
