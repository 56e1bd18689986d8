"""Refusing ``.pt2`` archives that would run more than tensor operations when they are loaded.

``torch.export.load`` unpickles tensors and objects, loads compiled libraries, evaluates shape expressions and resolves
the names of functions, all from the archive. What ``atrcnas deploy`` writes needs none of that, except plain names and
expressions; a file from elsewhere is held to the same.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from atrcnas.ground.errors import ExportError
from atrcnas.ground.opening import open_regular

_ENTRY = re.compile(
    r"(\.data/\w+|\.format_version|\.storage_alignment|archive_format|archive_version|byteorder|version|extra/\w+"
    r"|models/model\.json|data/sample_inputs/model\.pt"
    r"|data/weights/(model_weights_config\.json|weight_\d+)|data/constants/(model_constants_config\.json|tensor_\d+))",
    re.ASCII,
)
_ROOT, _PROGRAM, _INPUTS = "model", "models/model.json", "data/sample_inputs/model.pt"
_FUNCTION = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|torch\.sym_\w+|_operator\.(add|sub|mul|floordiv|mod|eq|ne|ge|gt|le|lt|getitem|neg)"
)
# At most 1000 characters; of powers only those of a symbol, since that of two numbers can have any number of digits; and
# nothing can be matched in two ways, which would take time that doubles with each character.
_EXPRESSION = re.compile(
    r"(?!.{1001})(Symbol\('[su]\d+'|(positive|integer|nonnegative)=True|Pow\((?=Symbol\([^()]*\), Integer\(-?\d\)\))"
    r"|(Integer|Add|Mul|Max|Min|Mod|FloorDiv|PythonMod)\(|-?\d|[(), ])+"
)


def checked_copy(path: Path) -> io.BytesIO:
    """A new archive, in memory, of the checked content of a ``.pt2`` file, for ``torch.export.load``.

    Torch reads archives with another reader than this one. The two can be made to see different entries in one file, so
    torch is not given the file: each entry is read once, checked, and written again.

    Raises:
        ExportError: it holds something that could run, or is not such an archive.
    """
    try:
        with open_regular(path) as stream, zipfile.ZipFile(stream) as archive:
            return _packed(_checked(path, _read(path, archive, os.fstat(stream.fileno()).st_size)))
    except ExportError:
        raise
    except Exception as error:  # on damaged bytes these readers raise anything
        raise ExportError(
            f"{path}: expected a .pt2 archive written by `atrcnas deploy`, got something else or a damaged one "
            f"({_reason(error)}). Export it again."
        ) from error


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def _read(path: Path, archive: zipfile.ZipFile, num_bytes: int) -> dict[str, bytes]:
    """The entries, by their names below the archive's root."""
    infos = archive.infolist()
    root = infos[0].filename.partition("/")[0]
    found: dict[str, bytes] = {}
    names: set[str] = set()
    for info in infos:
        above, _, name = info.filename.partition("/")
        # Torch looks names up in any case.
        if above != root or not _ENTRY.fullmatch(name) or name.lower() in names:
            raise _refusal(path, f"an unexpected entry {info.filename!r:.80}")
        names.add(name.lower())
        num_bytes -= info.file_size
        if info.compress_type != zipfile.ZIP_STORED or num_bytes < 0:
            raise _refusal(path, f"the compressed entry {info.filename!r:.80}")
        found[name] = archive.read(info)
    return found


def _packed(entries: Mapping[str, bytes]) -> io.BytesIO:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as fresh:
        for name, content in entries.items():
            fresh.writestr(f"{_ROOT}/{name}", content)
    stream.seek(0)
    return stream


def _checked(path: Path, entries: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same entries; those that are parsed to be checked are written again from what was parsed."""
    checked = dict(entries)
    for config in (f"data/{kind}/model_{kind}_config.json" for kind in ("weights", "constants")):
        value = json.loads(entries[config])
        _check_tensors(path, value)
        checked[config] = json.dumps(value).encode()
    program = json.loads(entries[_PROGRAM])
    _check_program(path, program)
    checked[_PROGRAM] = json.dumps(program).encode()
    checked[_INPUTS] = b""  # pickled, and of no use to those who only run the network
    return checked


def _check_tensors(path: Path, config: dict[str, Any]) -> None:
    for key, value in _items(config):
        if key == "use_pickle" and value is not False:
            raise _refusal(path, "a pickled tensor")


def _check_program(path: Path, program: dict[str, Any]) -> None:
    for key, value in _items(program):
        if key == "guards_code" and value:
            raise _refusal(path, "Python code of guards")
        if key == "range_constraints" and not all(re.fullmatch(r"[su]\d+", name) for name in value):
            raise _refusal(path, f"the names {list(value)!s:.80} of sizes")
        if key == "expr_str" and not _EXPRESSION.fullmatch(str(value)):
            raise _refusal(path, f"the expression '{value!s:.80}'")
        if key == "target" and isinstance(value, str) and not _FUNCTION.fullmatch(value):
            raise _refusal(path, f"a call of '{value:.80}'")


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
