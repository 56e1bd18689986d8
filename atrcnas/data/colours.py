"""Class maps stored as colours: which colour means which class."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from atrcnas.ground.errors import ConfigError, DataError
from atrcnas.ground.files import read_yaml
from atrcnas.ground.opening import read_regular
from atrcnas.spec.schema import Spec, validate
from atrcnas.spec.task_entry import Colour

# The name under which a table lists the colours of pixels without ground truth.
MISSING = ("missing", "void")
_MAX_BYTES = 10**6
_MAX_SHOWN = 3
_BYTE = re.compile(r"\d{1,3}")  # Python reads no number of more than 4300 digits


class Colours(Spec):
    """Class name -> its colour, or several, in class order."""

    colours: dict[str, Colour | Annotated[tuple[Colour, ...], Field(min_length=1)]] = Field(
        description="[red, green, blue], or a list of those"
    )


@dataclass(frozen=True)
class ColourTable:
    """The colours of one task's files.

    Attributes:
        names: of the classes, in class order.
        shown: the first colour of each class, for pictures.
        codes: [N] int64 ascending, red * 65536 + green * 256 + blue.
        classes: [N] int64, the class of each code; -1 where ground truth is missing.
    """

    names: tuple[str, ...]
    shown: tuple[tuple[int, int, int], ...]
    codes: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]


def colour_table(given: Mapping[str, Any] | Path, root: Path, key: str) -> ColourTable:
    """The table that an experiment gives itself, or names the file of.

    Args:
        given: class name -> colour or colours, with those of missing ground truth under ``missing`` or ``void``; or a
            file of it, relative to ``root``: YAML, or lines ``RED GREEN BLUE NAME``.
        root: of the data set.
        key: where it stands in the experiment, for messages.

    Raises:
        ConfigError: not readable, not such a table, fewer than two classes, or a colour that stands for two.
    """
    where = "" if isinstance(given, Mapping) else str(root / given)
    listed = given if isinstance(given, Mapping) else _read(root / given, key)
    checked = validate(Colours, {"colours": listed}, where, key=key if not where else "")
    by_name = {name: _several(colours) for name, colours in checked.colours.items()}
    names = tuple(name for name in by_name if name.lower() not in MISSING)
    if len(names) < 2:
        raise ConfigError(f"{where or key}: expected the colours of at least 2 classes, got {len(names)}. Add them.")
    numbers = {name: number for number, name in enumerate(names)}
    classes: dict[int, int] = {}
    for name, colours in by_name.items():
        number = numbers.get(name, -1)
        for red, green, blue in colours:
            if classes.setdefault(red << 16 | green << 8 | blue, number) != number:
                raise ConfigError(
                    f"{where or key}: expected each colour once, got {[red, green, blue]} for '{name}' and another class. "
                    "Correct one of them."
                )
    codes = np.array(sorted(classes), np.int64)
    shown = tuple(by_name[name][0] for name in names)
    return ColourTable(names, shown, codes, np.array([classes[int(code)] for code in codes], np.int64))


def decode_colours(
    raw: npt.NDArray[Any], where: Path, table: ColourTable
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Turn colours into classes.

    Args:
        raw: [H, W, 3] or, with transparency, [H, W, 4] uint8.
        where: file, for messages.
        table: which colour means which class.

    Returns:
        [H, W] int64 classes, 0 where missing; [H, W] bool, True where ground truth exists.

    Raises:
        DataError: not colours, or one that is not in the table.
    """
    if raw.ndim != 3 or raw.shape[2] not in (3, 4) or raw.dtype != np.uint8:
        raise DataError(
            f"{where}: expected colours of 8 bits, as data.options.values says, got {list(raw.shape)} {raw.dtype}. "
            "Remove colours there, or save the map in colour."
        )
    codes = (raw[..., 0].astype(np.int64) << 16) | (raw[..., 1].astype(np.int64) << 8) | raw[..., 2]
    place = np.searchsorted(table.codes, codes).clip(max=len(table.codes) - 1)
    unknown = table.codes[place] != codes
    if unknown.any():
        found, counts = np.unique(codes[unknown], return_counts=True)
        most = found[np.argsort(-counts)]
        listed = ", ".join(str([int(code) >> shift & 255 for shift in (16, 8, 0)]) for code in most[:_MAX_SHOWN])
        raise DataError(
            f"{where}: expected one of the {len(table.codes)} colours of its table, got {listed}"
            f"{', ...' if len(most) > _MAX_SHOWN else ''} ({int(unknown.sum())} pixels). Add them to colours, under "
            "missing if they mean no class; many colours close to those of the table come from JPEG or smooth resizing."
        )
    classes = table.classes[place]
    valid = classes >= 0
    return np.where(valid, classes, 0), valid


def _several(colours: Any) -> Sequence[tuple[int, int, int]]:
    return (colours,) if isinstance(colours[0], int) else colours


def _read(path: Path, key: str) -> Any:
    if path.suffix.lower() in (".yaml", ".yml"):
        return read_yaml(path, "table of colours")
    try:
        lines = read_regular(path, _MAX_BYTES).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise ConfigError(
            f"{key}: expected a table of colours at {path}, got an error ({reason}). Correct the path; it is relative to "
            "data.options.root."
        ) from error
    listed: dict[str, list[tuple[int, int, int]]] = {}
    for number, line in enumerate(lines, start=1):
        words = line.replace(",", " ").split(maxsplit=3)
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 4 or not all(_BYTE.fullmatch(word) and int(word) < 256 for word in words[:3]):
            raise ConfigError(
                f"{path}: line {number}: expected RED GREEN BLUE NAME, got {line!r:.80}. Correct the line."
            )
        listed.setdefault(words[3].strip(), []).append((int(words[0]), int(words[1]), int(words[2])))
    return listed
