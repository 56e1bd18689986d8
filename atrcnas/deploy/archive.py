"""Refusing ``.pt2`` archives that would run more than tensor operations when they are loaded.

``torch.export.load`` unpickles tensors and objects, loads compiled libraries, evaluates shape expressions and resolves
the names of functions, all from the archive. What ``atrcnas deploy`` writes needs none of that, except plain names and
expressions; a file from elsewhere is held to the same.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from atrcnas.ground.errors import ExportError

_ENTRY = re.compile(
    r"[^/]+/(\.data/\w+|\.format_version|\.storage_alignment|archive_format|archive_version|byteorder|version|extra/\w+"
    r"|models/model\.json|data/sample_inputs/model\.pt"
    r"|data/weights/(model_weights_config\.json|weight_\d+)|data/constants/(model_constants_config\.json|tensor_\d+))"
)
_FUNCTION = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|torch\.sym_\w+|_operator\.(add|sub|mul|floordiv|mod|eq|ne|ge|gt|le|lt|getitem|neg)"
)
_EXPRESSION = re.compile(
    r"(Symbol\('[su]\d+'|(positive|integer|nonnegative)=True"
    r"|(Integer|Add|Mul|Pow|Max|Min|Mod|FloorDiv|PythonMod)\(|-?\d+|[(), ])+"
)


def refuse_code(path: Path) -> None:
    """Check an archive before it is given to ``torch.export.load``.

    Raises:
        ExportError: it holds something that could run, or is no such archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_archive(path, archive)
    except (OSError, zipfile.BadZipFile, LookupError, ValueError, RuntimeError, RecursionError) as error:
        raise ExportError(
            f"{path}: expected a .pt2 archive written by `atrcnas deploy`, got something else or a damaged one "
            f"({type(error).__name__}). Export it again."
        ) from error


def _check_archive(path: Path, archive: zipfile.ZipFile) -> None:
    names = archive.namelist()
    root = names[0].split("/")[0]
    for name in names:
        # Of two entries with one name, this reader and torch's could each see another.
        if not _ENTRY.fullmatch(name) or not name.startswith(f"{root}/") or names.count(name) > 1:
            raise _refusal(path, f"an unexpected entry '{name}'")
    for config in ("weights", "constants"):
        _check_tensors(path, json.loads(archive.read(f"{root}/data/{config}/model_{config}_config.json")))
    _check_program(path, json.loads(archive.read(f"{root}/models/model.json")))
    try:
        torch.load(io.BytesIO(archive.read(f"{root}/data/sample_inputs/model.pt")), weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, "a pickled object among its sample inputs") from error


def _check_tensors(path: Path, config: dict[str, Any]) -> None:
    for key, value in _items(config):
        if key == "use_pickle" and value is not False:
            raise _refusal(path, "a pickled tensor")


def _check_program(path: Path, program: dict[str, Any]) -> None:
    for key, value in _items(program):
        if key == "guards_code" and value:
            raise _refusal(path, "Python code of guards")
        if key == "range_constraints" and not all(re.fullmatch(r"[su]\d+", name) for name in value):
            raise _refusal(path, f"the names {list(value)} of sizes")
        if key == "expr_str" and not _EXPRESSION.fullmatch(str(value)):
            raise _refusal(path, f"the expression '{value}'")
        if key == "target" and isinstance(value, str) and not _FUNCTION.fullmatch(value):
            raise _refusal(path, f"a call of '{value}'")


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            yield from part.items()
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)


def _refusal(path: Path, what: str) -> ExportError:
    return ExportError(
        f"{path}: refused, it holds {what}, which loading could execute. Use a file written by `atrcnas deploy`."
    )
