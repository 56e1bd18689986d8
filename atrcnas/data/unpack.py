"""Unpacking an archive that nobody vouches for: bounded, nothing outside the root, no links; resumable."""

from __future__ import annotations

import gzip
import io
import lzma
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
from typing import IO

from atrcnas.ground.errors import DataError

# By their layouts NYUD_MT has 7 thousand files and PASCAL_MT 60 thousand, a few GB each.
MAX_MEMBERS = 500_000
MAX_BYTES = 200 * 10**9
# Deflate reaches 1000; the published archives stay below 10.
MAX_RATIO = 100
SMALL_BYTES = 10**9
_MAX_HEADER = 1 << 20
_BLOCK = 512
_BUFFER = 1 << 16
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
    """A file in an archive; ``share`` in [0, 1] of the archive has been read before it."""

    name: str
    size: int
    open: Callable[[], IO[bytes] | None]
    share: float


def unpack(
    archive: Path, root: Path, on_member: Callable[[str, float], None] | None = None, *, keep: bool = True
) -> Unpacked:
    """Unpack all files of an archive, in its order and without loading any of them whole.

    Every file appears under its name when it is complete, and not before. What ``on_member`` raises ends the
    unpacking; the next call goes on from there.

    Args:
        archive: .tgz, .tar or .zip, told by content.
        root: folder to unpack into, created if missing.
        on_member: called after each file with its name and the share in [0, 1] of the archive that is done.
        keep: leave files alone that are there already with the right size.

    Raises:
        DamagedArchive: truncated or corrupt, or no archive.
        DataError: it holds links, devices, paths out of ``root``, a path twice, or too much; or the disk refuses.
    """
    done = Unpacked()
    seen: set[PurePosixPath] = set()
    try:
        root.mkdir(parents=True, exist_ok=True)
        home = root.resolve()
        with archive.open("rb") as raw:
            for member in _members(archive, raw, home):
                path = _safe_path(archive, member.name)
                if path in seen or not path.parts:
                    raise _refused(archive, f"the path {path} twice, or no name")
                seen.add(path)
                done.num_files += 1
                done.num_bytes += member.size
                done.num_kept += not _place(archive, member, home, path, keep)
                if on_member is not None:
                    on_member(str(path), member.share)
    except OSError as error:
        raise DataError(
            f"{error.filename or root}: cannot read the archive or write its files ({error.strerror or error}). "
            "Free space or correct the paths, and run it again; it goes on where it ended."
        ) from error
    if not seen:
        raise _refused(archive, "no files")
    return done


def _place(archive: Path, member: _Member, home: Path, path: PurePosixPath, keep: bool) -> bool:
    """Write one file; False if it was there already."""
    target = home / path
    # A folder of the user's that is a link to elsewhere is as little ours to write into as one of the archive's.
    if not target.parent.resolve().is_relative_to(home):
        raise _refused(archive, f"the path {path}, which a link on the disk leads out of {home}")
    if keep and target.is_file() and not target.is_symlink() and target.stat().st_size == member.size:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    # Always the same name, so that the next attempt clears what a killed one has left.
    partial_file = target.with_name(f".{target.name}.part")
    partial_file.unlink(missing_ok=True)
    try:
        with _damage_told(archive), partial_file.open("xb") as sink:
            source = member.open()
            if source is None:
                raise _refused(archive, f"{path} without content")
            with source:
                shutil.copyfileobj(source, sink, _BUFFER)
            if sink.tell() != member.size:
                raise _damaged(archive, f"{path} has {sink.tell()} of {member.size} bytes")
        partial_file.replace(target)
    finally:
        partial_file.unlink(missing_ok=True)
    return True


def _members(archive: Path, raw: IO[bytes], home: Path) -> Iterator[_Member]:
    """The files of an archive, checked for type and number but not yet for their paths."""
    start = raw.read(4)
    raw.seek(0)
    total = max(archive.stat().st_size, 1)
    is_zip = start[:2] == b"PK"
    found = _zip_members(archive, raw) if is_zip else _tar_members(archive, raw, start, home, total)
    num_bytes = 0
    for number, member in enumerate(found, start=1):
        num_bytes += member.size
        if num_bytes > max(SMALL_BYTES, MAX_RATIO * total):
            raise _refused(archive, f"a file of {total} bytes that unpacks to more than {num_bytes / 1e9:.3g} GB")
        if number > MAX_MEMBERS or num_bytes > MAX_BYTES:
            raise _refused(archive, f"more than {MAX_MEMBERS} members or {MAX_BYTES / 1e9:g} GB")
        if not member.name.endswith("/"):
            yield member


def _zip_members(archive: Path, raw: IO[bytes]) -> Iterator[_Member]:
    with _damage_told(archive), zipfile.ZipFile(raw) as content:
        infos = content.infolist()
        for number, info in enumerate(infos, start=1):
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, f"{info.filename!r:.80}, which is a link or a device")
            if info.flag_bits & 1:
                raise _refused(archive, f"{info.filename!r:.80}, which is encrypted")
            yield _Member(info.filename, info.file_size, partial(content.open, info), number / len(infos))


def _tar_members(archive: Path, raw: IO[bytes], start: bytes, home: Path, total: int) -> Iterator[_Member]:
    with _damage_told(archive):
        watched = _Watched(gzip.GzipFile(fileobj=raw) if start[:2] == b"\x1f\x8b" else raw)
        end = 0
        with tarfile.open(fileobj=watched, mode="r|", bufsize=_BUFFER) as content:
            for info in content:
                if not (info.isdir() or info.isfile()) or info.issparse():
                    raise _refused(archive, f"{info.name!r:.80}, which is a link or a device")
                _safe_path(archive, info.name)
                try:
                    tarfile.data_filter(info, str(home))
                except tarfile.FilterError as error:
                    raise _refused(archive, str(error)) from error
                end = info.offset_data + -(-info.size // _BLOCK) * _BLOCK
                # tarfile loads the next member's headers whole, whatever size they claim.
                watched.limit = end + _MAX_HEADER
                name = f"{info.name}/" if info.isdir() else info.name
                yield _Member(name, info.size, partial(content.extractfile, info), raw.tell() / total)
        watched.limit = None
        # tarfile takes a cut between two files, or a damaged header, for the end.
        if not watched.is_blank_after(end):
            raise _damaged(archive, f"it ends, or is damaged, after {end} unpacked bytes")


class _Watched(io.RawIOBase):
    """A stream that remembers the last bytes it gave, to look at them again, and gives none beyond ``limit``."""

    def __init__(self, source: IO[bytes] | gzip.GzipFile) -> None:
        super().__init__()
        self._source = source
        self._position = 0
        self._last = b""
        self.limit: int | None = _MAX_HEADER

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes."""
        chunk = self._source.read(size)
        self._position += len(chunk)
        if self.limit is not None and self._position > self.limit + _BUFFER:
            raise ValueError(f"a header of more than {_MAX_HEADER} bytes")
        self._last = (self._last + chunk)[-2 * _BUFFER :]
        return chunk

    def is_blank_after(self, end: int) -> bool:
        """Read to the end (which checks a compressed stream's sum); True if zeros follow ``end``, a block or more."""
        ahead = self._position - end
        blank, length = (not any(self._last[-ahead:]), ahead) if ahead > 0 else (True, 0)
        while chunk := self.read(_BUFFER):
            blank, length = blank and not any(chunk), length + len(chunk)
        return blank and length >= _BLOCK


def _safe_path(archive: Path, name: str) -> PurePosixPath:
    """The path of a member below the root."""
    path = PurePosixPath(name)
    outside = path.is_absolute() or ".." in path.parts
    if outside or "\\" in name or "\0" in name or (path.parts and path.parts[0].endswith(":")):
        raise _refused(archive, f"the path {name!r:.80}, which leads out of the folder")
    return path


@contextmanager
def _damage_told(archive: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise _damaged(archive, (str(error) or type(error).__name__).splitlines()[0].rstrip(".")) from error


def _damaged(archive: Path, reason: str) -> DamagedArchive:
    return DamagedArchive(
        f"{archive}: expected an intact .tgz, .tar or .zip, got a damaged one ({reason}). Download it again."
    )


def _refused(archive: Path, got: str) -> DataError:
    return DataError(f"{archive}: expected plain files below one folder, got {got}. Take the published archive.")
