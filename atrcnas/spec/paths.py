"""The values of an experiment that are paths, and from where relative ones count.

In a file they count from the file's own folder, so that an experiment and its data can be moved together and used from
anywhere; on the command line from the current folder, as everywhere there; in a run folder they are absolute.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.rank import first_process
from atrcnas.spec.bundled import names

_NO_FILES = ("none", "hub")  # as the weights of a backbone


def path_values(value: Mapping[str, Any], data_options: BaseModel) -> dict[str, str]:
    """The paths in an experiment by key.

    Args:
        value: the experiment as plain values.
        data_options: of its data set.
    """
    found = {
        f"data.options.{name}": str(option)
        for name in type(data_options).model_fields
        if isinstance(option := getattr(data_options, name), Path)
    }
    weights, space, supernet = value["backbone"]["weights"], value["space"], value["search"]["trials"]["supernet"]
    if weights not in _NO_FILES:
        found["backbone.weights"] = weights
    if isinstance(space, str) and space not in names("search_spaces"):
        found["space"] = space
    if supernet is not None:
        found["search.trials.supernet"] = supernet
    if value["search"]["costs"] is not None:
        found["search.costs"] = value["search"]["costs"]
    return found


def beside(paths: Mapping[str, str], file: Path, overrides: Sequence[str]) -> dict[str, str]:
    """Those paths of a file that are to be read from its folder, with that folder before them.

    A path that is not there but in the current folder is left, as earlier versions read it, with a word on stderr.

    Args:
        paths: key -> path, as in the file.
        file: of the experiment.
        overrides: ``key.path=value``; paths that they give count from the current folder.
    """
    given = [text.partition("=")[0] for text in overrides]
    found: dict[str, str] = {}
    for key, path in paths.items():
        there = file.parent / path
        if Path(path).is_absolute() or any(f"{key}.".startswith(f"{one}.") for one in given):
            continue
        if _exists(there) or not _exists(Path(path)):
            found[key] = str(there)
        elif first_process():
            print(f"{file}: {key}: {there} is not there; taking {Path(path).absolute()}.", file=sys.stderr)
    return {key: path for key, path in found.items() if path != paths[key]}


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the name is longer than a name can be, or a folder of it cannot be searched
        return False


def require_places(overrides: Sequence[str], paths: Mapping[str, str], free: Sequence[str]) -> None:
    """Refuse what would change a finished or running experiment, not only where it finds its files.

    Args:
        overrides: ``key.path=value``.
        paths: the experiment's, by key.
        free: sections and keys that may change at any time.

    Raises:
        ConfigError: naming the key, and those that may be given.
    """
    for text in overrides:
        key = text.partition("=")[0]
        folder_of_a_split = key.startswith("data.options.") and key.endswith("_split")
        if not (key in paths or folder_of_a_split or any(f"{key}.".startswith(f"{one}.") for one in free)):
            known = ", ".join([*paths, "data.options.*_split", *free])
            raise ConfigError(
                f"'{text:.80}': expected a key that says where a run finds its files or computes ({known}). "
                "To change anything else, start another run."
            )
