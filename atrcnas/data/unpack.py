"""Unpacking an archive that nobody vouches for: bounded, nothing outside the root, no links; resumable."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Self

from atrcnas.ground.errors import AtrcnasError, DataError
from atrcnas.ground.files import PARTIAL
from atrcnas.ground.opening import open_regular
from atrcnas.ground.paths import below

# By their layouts NYUD_MT has 7 thousand files and PASCAL_MT 60 thousand, a few GB each.
MAX_MEMBERS = 500_000
MAX_BYTES = 200 * 10**9
# Deflate reaches 1000; the published archives stay below 10.
MAX_RATIO = 100
SMALL_BYTES = 10**9
_MAX_HEADER = _MAX_TAIL = 1 << 20
_BUFFER = 1 << 16
# Types of headers whose content names the file of the next one, or says more about it; a path has at most 4096 bytes.
_NAMES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_MAX_NAMES = 1 << 14
# Damage shows as any of these, depending on which byte was hit.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    ValueError,
    RecursionError,
)


class DamagedArchive(DataError):
    """The archive's bytes are not what they claim to be, so that what came out of it is not to be trusted."""


@dataclass
class Unpacked:
    """What an archive held.

    Attributes:
        num_files: files in the archive.
        num_kept: of these, found on the disk already, with the right size.
        num_bytes: size of all files together.
    """

    num_files: int = 0
    num_kept: int = 0
    num_bytes: int = 0


@dataclass(frozen=True)
class _Member:
    """A file or folder in an archive; ``share`` in [0, 1] of the archive has been read before it."""

    name: str
    size: int
    is_folder: bool
    open: Callable[[], IO[bytes] | None]
    share: float


def unpack(
    archive: Path, root: Path, on_member: Callable[[str, float], None] | None = None, *, keep: bool = True
) -> Unpacked:
    """Unpack all files of an archive, in its order and without loading any of them whole.

    Every file appears under its name when it is complete, and not before. What ``on_member`` raises ends the
    unpacking; the next call goes on from there.

    Args:
        archive: .tgz, .tar or .zip, detected from its content.
        root: folder to unpack into, created if missing.
        on_member: called after each file with its name and the share in [0, 1] of the archive that is done.
        keep: leave files alone that are there already with the right size.

    Raises:
        DamagedArchive: truncated or corrupt, or no archive.
        DataError: it holds links, devices, paths out of ``root``, a path twice, or too much; or the disk refuses.
    """
    done = Unpacked()
    for name, share in _place_all(archive, root, keep, done):
        if on_member is not None:
            on_member(name, share)
    if not done.num_files:
        raise _refused(archive, "no files")
    return done


def _place_all(archive: Path, root: Path, keep: bool, done: Unpacked) -> Iterator[tuple[str, float]]:
    """Name and share of each file, when it is on the disk."""
    with _explained(archive, root), open_regular(archive) as raw:
        root.mkdir(parents=True, exist_ok=True)
        home, seen = root.resolve(), set[Path]()
        for member in _members(archive, raw):
            target = _target(archive, home, member.name)
            if member.is_folder:
                continue
            if target in seen or target == home:
                raise _refused(archive, f"the path {member.name!r:.80} twice, or no name")
            seen.add(target)
            done.num_files += 1
            done.num_bytes += member.size
            if keep and target.is_file() and target.stat().st_size == member.size:
                done.num_kept += 1
            else:
                _place(archive, member, target)
            yield str(target.relative_to(home)), member.share


def _target(archive: Path, home: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    # Whole files have names that begin otherwise: one of these would be taken for a part of another.
    if parts and (parts[0].endswith(":") or parts[-1].startswith(PARTIAL)):
        raise _refused(archive, f"the path {name!r:.80}, which leads out of the folder or is reserved")
    try:
        return below(home, *parts)
    except AtrcnasError as error:
        raise _refused(archive, f"the path {name!r:.80}, which leads out of the folder ({error})") from error


def _place(archive: Path, member: _Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Always the same name, so that the next attempt clears what a killed one has left.
    partial_file = target.with_name(f"{PARTIAL}{target.name}")
    partial_file.unlink(missing_ok=True)
    try:
        with partial_file.open("xb") as sink:
            source = member.open()
            if source is None:
                raise _refused(archive, f"{member.name!r:.80} without content")
            with source:
                shutil.copyfileobj(source, sink, _BUFFER)
            if sink.tell() != member.size:
                raise ValueError(f"{member.name!r:.80} has {sink.tell()} of {member.size} bytes")
        partial_file.replace(target)
    finally:
        partial_file.unlink(missing_ok=True)


def _members(archive: Path, raw: IO[bytes]) -> Iterator[_Member]:
    """What an archive holds, checked for type, number and size but not yet for paths."""
    magic, total, num_bytes = raw.read(2), max(os.fstat(raw.fileno()).st_size, 1), 0
    raw.seek(0)
    found = _zip_members(archive, raw) if magic == b"PK" else _tar_members(archive, raw, magic, total)
    for number, member in enumerate(found, start=1):
        num_bytes += member.size
        if num_bytes > max(SMALL_BYTES, MAX_RATIO * total):
            raise _refused(archive, f"a file of {total} bytes that unpacks to more than {num_bytes / 1e9:.3g} GB")
        if number > MAX_MEMBERS or num_bytes > MAX_BYTES:
            raise _refused(archive, f"more than {MAX_MEMBERS} members or {MAX_BYTES / 1e9:g} GB")
        yield member


def _zip_members(archive: Path, raw: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(raw) as content:
        infos = content.infolist()
        for number, info in enumerate(infos, start=1):
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, f"{info.filename!r:.80}, which is a link or a device")
            if info.flag_bits & 1:
                raise _refused(archive, f"{info.filename!r:.80}, which is encrypted")
            opened = partial(content.open, info)
            yield _Member(info.filename, info.file_size, info.filename.endswith("/"), opened, number / len(infos))


def _tar_members(archive: Path, raw: IO[bytes], magic: bytes, total: int) -> Iterator[_Member]:
    source = _Bounded(gzip.GzipFile(fileobj=raw) if magic == b"\x1f\x8b" else raw)
    with tarfile.open(fileobj=source, mode="r|", bufsize=_BUFFER, tarinfo=_TarInfo) as content:
        for info in content:
            if not (info.isdir() or info.isfile()) or info.issparse():
                raise _refused(archive, f"{info.name!r:.80}, which is a link or a device")
            # tarfile loads the next member's headers whole, whatever size they claim.
            source.left = info.size + _BUFFER + _MAX_HEADER
            opened = partial(content.extractfile, info)
            yield _Member(info.name, info.size, info.isdir(), opened, raw.tell() / total)
    source.left = _MAX_TAIL
    while chunk := source.read(_BUFFER):  # to the end of a compressed stream, where its checksum is
        if any(chunk):
            raise ValueError("it goes on after its end")


class _TarInfo(tarfile.TarInfo):
    """A header; tarfile would take a damaged one, and none at all, for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """A header; in one that holds names, tarfile searches in time that grows with the square of its size."""
        info = super().frombuf(buf, encoding, errors)
        if info.type in _NAMES and info.size > _MAX_NAMES:
            raise ValueError(f"a header or an end of more than {_MAX_NAMES} bytes")
        return info

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        """The next header."""
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise ValueError(f"it ends, or is damaged, after {tarfile_.offset} unpacked bytes") from error


class _Bounded(io.RawIOBase):
    """A stream that gives no more than ``left`` bytes."""

    def __init__(self, source: IO[bytes] | gzip.GzipFile) -> None:
        super().__init__()
        self._source, self.left = source, _BUFFER + _MAX_HEADER

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes."""
        chunk = self._source.read(size)
        self.left -= len(chunk)
        if self.left < 0:
            raise ValueError(f"a header or an end of more than {_MAX_HEADER} bytes")
        return chunk


@contextmanager
def _explained(archive: Path, root: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise DamagedArchive(
            f"{archive}: expected an intact .tgz, .tar or .zip, got a damaged one ({reason}). Download it again."
        ) from error
    except OSError as error:
        raise DataError(
            f"{error.filename or root}: cannot read the archive or write its files ({error.strerror or error}). "
            "Free space or correct the paths, and run it again; it goes on where it ended."
        ) from error


def _refused(archive: Path, got: str) -> DataError:
    return DataError(f"{archive}: expected plain files below one folder, got {got}. Take the published archive.")
