"""From the archive of a published data set to a folder its reader has tried: `atrcnas data prepare`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from atrcnas.data import nyud, pascal
from atrcnas.data.id_lists import SPLITS, Listed
from atrcnas.data.sample import Split
from atrcnas.data.unpack import DamagedArchive, Unpacked, unpack
from atrcnas.ground.errors import ConfigError, DataError
from atrcnas.ground.files import write_json
from atrcnas.ground.opening import read_regular, require_regular

Name = Literal["nyud", "pascal"]


_KNOWN: Mapping[str, tuple[type[Listed], Mapping[str, int]]] = {
    "nyud": (nyud.Nyud, nyud.NUM_SAMPLES),
    "pascal": (pascal.Pascal, pascal.NUM_SAMPLES),
}


@dataclass(frozen=True)
class PrepareReport:
    """What has been prepared.

    Attributes:
        unpacked: what the archive held.
        splits: split -> its samples.
        image_sizes: (height, width) of the images that were tried, each once.
    """

    unpacked: Unpacked
    splits: Mapping[Split, Listed]
    image_sizes: tuple[tuple[int, int], ...]


def prepare(
    name: Name,
    archive: Path,
    root: Path,
    on_member: Callable[[str, float], None] | None = None,
    *,
    expected: Mapping[str, int] | None = None,
) -> PrepareReport:
    """Unpack an archive, count its samples and read the first and the last of each split.

    Interrupted at any moment, calling it again resumes: complete files are known by their size and kept. They are kept for
    the same archive only, and not after it has turned out to be damaged, since a damaged archive can yield
    files of the right size.

    Args:
        name: of the data set.
        archive: NYUD_MT, NYUDv2, PASCAL_MT or PASCALContext as .tgz, .tar or .zip.
        root: folder to unpack into, created if missing.
        on_member: called after each file with its name and the share in [0, 1] of the archive that is done; what it
            raises ends the call.
        expected: split -> number of samples; None for the published numbers.

    Raises:
        ConfigError: no such data set, or no such archive.
        DataError: the archive is damaged, unsafe or not that of the data set, or a sample cannot be read.
    """
    if name not in _KNOWN:
        raise ConfigError(f"no archive of '{name}' is known. Known: {', '.join(_KNOWN)}.")
    try:
        require_regular(archive)
    except OSError as error:
        raise ConfigError(
            f"{archive}: expected an archive, cannot read it ({error.strerror}). Check the path."
        ) from error
    journal = root / f".prepare-{name}.json"
    version = {"archive_bytes": archive.stat().st_size, "archive_time_ns": archive.stat().st_mtime_ns}
    known = _read_journal(journal) == version
    if not known:
        write_json(journal, version)
    try:
        done = unpack(archive, root, on_member, keep=known)
    except DamagedArchive:
        journal.unlink(missing_ok=True)
        raise
    source, published = _KNOWN[name]
    splits: dict[Split, Listed] = {
        split: source(source.Options(root=root), split, source.layout.tasks) for split in SPLITS
    }
    return PrepareReport(done, splits, _try_splits(name, archive, splits, published if expected is None else expected))


def _try_splits(
    name: str, archive: Path, splits: Mapping[Split, Listed], expected: Mapping[str, int]
) -> tuple[tuple[int, int], ...]:
    """Count the samples and read the first and the last of each split; return the sizes of their images, each once."""
    counts: dict[str, int] = {split: len(samples) for split, samples in splits.items()}
    if counts != dict(expected):
        raise DataError(
            f"{archive}: expected {_told(expected)} samples, got {_told(counts)}. Take the published archive of '{name}'."
        )
    tried = [samples[index].image.shape for samples in splits.values() for index in (0, len(samples) - 1)]
    return tuple(dict.fromkeys((height, width) for height, width, _ in tried))


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {split}" for split, count in counts.items())


def _read_journal(path: Path) -> object:
    try:
        return json.loads(read_regular(path, 10_000))
    except (OSError, ValueError, RecursionError):
        return None
