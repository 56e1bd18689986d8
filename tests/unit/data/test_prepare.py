"""Preparing a data set from its archive: hostile, damaged, interrupted and intact ones."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.dataset_files import write_nyud, write_pascal
from atrcnas.data import unpack as unpacking
from atrcnas.data.prepare import prepare
from atrcnas.data.rooms import Rooms
from atrcnas.data.unpack import DamagedArchive, unpack
from atrcnas.ground.errors import ConfigError, DataError

TASKS = {"nyud": ("semseg", "depth", "normals", "edge"), "pascal": ("semseg", "human_parts", "sal", "normals", "edge")}
COUNTS = {"train": 3, "val": 2}
SUFFIXES = (".tgz", ".tar", ".zip")


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Data set -> folder with its tree."""
    found = {}
    options = Rooms.Options(image_size=(32, 40), train_size=COUNTS["train"], val_size=COUNTS["val"])
    for name, write in (("nyud", write_nyud), ("pascal", write_pascal)):
        found[name] = tmp_path_factory.mktemp(name)
        for split in ("train", "val"):
            write(Rooms(options, split, TASKS[name]), found[name], split)  # type: ignore[arg-type]
    return found


def pack(tree: Path, archive: Path) -> Path:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
            for path in sorted(tree.rglob("*")):
                content.write(path, path.relative_to(tree))
    else:
        with tarfile.open(archive, "w:gz" if archive.suffix == ".tgz" else "w") as content:
            for path in sorted(tree.iterdir()):
                content.add(path, path.name)
    return archive


def files(root: Path) -> dict[str, bytes]:
    """Content by relative path, without the journal."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith(".prepare-")
    }


def stamps(root: Path) -> dict[str, tuple[int, int]]:
    """What changes when a file is written again."""
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", TASKS)
def test_an_archive_becomes_a_data_set(trees: dict[str, Path], tmp_path: Path, name: Any, suffix: str) -> None:
    archive, root = pack(trees[name], tmp_path / f"a{suffix}"), tmp_path / "root"
    calls: list[tuple[str, float]] = []
    report = prepare(name, archive, root, lambda *call: calls.append(call), expected=COUNTS)
    expected = files(trees[name])
    assert files(root) == expected
    assert (
        report.unpacked.num_files,
        report.unpacked.num_kept,
        {split: len(found) for split, found in report.splits.items()},
    ) == (len(expected), 0, COUNTS)
    assert report.unpacked.num_bytes == sum(map(len, expected.values()))
    assert sorted(path for path, _ in calls) == sorted(expected)
    shares = [share for _, share in calls]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)


class Killed(Exception):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_interrupted_unpacking_goes_on_without_rewriting(
    trees: dict[str, Path], tmp_path: Path, suffix: str
) -> None:
    archive, root = pack(trees["nyud"], tmp_path / f"a{suffix}"), tmp_path / "root"
    total = len(files(trees["nyud"]))
    for stop in (1, 7, total - 1):
        seen: list[str] = []

        def count(path: str, share: float, seen: list[str] = seen, stop: int = stop) -> None:
            seen.append(path)
            if len(seen) == stop:
                raise Killed

        before = stamps(root) if root.exists() else {}
        with pytest.raises(Killed):
            prepare("nyud", archive, root, count, expected=COUNTS)
        assert len(files(root)) == stop
        assert before.items() <= stamps(root).items()
    before = stamps(root)
    report = prepare("nyud", archive, root, expected=COUNTS)
    assert files(root) == files(trees["nyud"])
    assert report.unpacked.num_kept == total - 1
    assert before.items() <= stamps(root).items()
    assert prepare("nyud", archive, root, expected=COUNTS).unpacked.num_kept == total


def test_what_a_killed_write_leaves_is_cleared_and_short_files_are_completed(
    trees: dict[str, Path], tmp_path: Path
) -> None:
    archive, root = pack(trees["nyud"], tmp_path / "a.tgz"), tmp_path / "root"
    prepare("nyud", archive, root, expected=COUNTS)
    depth = root / "NYUD_MT/depth"
    short, gone = sorted(depth.iterdir())[:2]
    short.write_bytes(short.read_bytes()[:-9])
    (depth / f".partial-{gone.name}").write_bytes(b"half")
    gone.unlink()
    assert prepare("nyud", archive, root, expected=COUNTS).unpacked.num_kept == len(files(trees["nyud"])) - 2
    assert files(root) == files(trees["nyud"])


def test_files_of_another_archive_are_not_taken_for_this_ones(trees: dict[str, Path], tmp_path: Path) -> None:
    archive, root = pack(trees["nyud"], tmp_path / "a.tgz"), tmp_path / "root"
    prepare("nyud", archive, root, expected=COUNTS)
    victim = next((root / "NYUD_MT/depth").iterdir())
    victim.write_bytes(bytes(victim.stat().st_size))
    os.utime(archive, ns=(0, 0))
    assert prepare("nyud", archive, root, expected=COUNTS).unpacked.num_kept == 0
    assert files(root) == files(trees["nyud"])


def test_after_a_damaged_archive_nothing_it_wrote_is_kept(trees: dict[str, Path], tmp_path: Path) -> None:
    archive, root = pack(trees["nyud"], tmp_path / "a.tgz"), tmp_path / "root"
    content, stamp = bytearray(archive.read_bytes()), archive.stat().st_mtime_ns
    # The sum at the end of the stream: every file comes out, of the right size, and none is to be trusted.
    content[-8] ^= 1
    archive.write_bytes(content)
    os.utime(archive, ns=(stamp, stamp))
    with pytest.raises(DamagedArchive, match="CRC"):
        prepare("nyud", archive, root, expected=COUNTS)
    content[-8] ^= 1
    archive.write_bytes(content)
    os.utime(archive, ns=(stamp, stamp))
    assert prepare("nyud", archive, root, expected=COUNTS).unpacked.num_kept == 0


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.999])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_truncated_archive_is_refused_with_a_way_out(
    trees: dict[str, Path], tmp_path: Path, suffix: str, share: float
) -> None:
    archive = pack(trees["nyud"], tmp_path / f"a{suffix}")
    content = archive.read_bytes()
    # Of a .tar only what lies before the zeros at its end counts.
    length = len(content.rstrip(b"\0")) if suffix == ".tar" else len(content)
    archive.write_bytes(content[: int(length * share)])
    with pytest.raises(DamagedArchive, match=r"got a damaged one .*Download it again\."):
        prepare("nyud", archive, tmp_path / "root", expected=COUNTS)
    assert not [path for path in (tmp_path / "root").rglob("*.part")]


def test_a_journal_nested_without_end_is_that_of_another_archive(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/.prepare-nyud.json").write_bytes(b"[" * 9_000)
    (tmp_path / "a.tgz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="expected an intact"):
        prepare("nyud", tmp_path / "a.tgz", tmp_path / "root")


def test_a_tar_cut_between_two_files_is_refused(trees: dict[str, Path], tmp_path: Path) -> None:
    archive = pack(trees["nyud"], tmp_path / "a.tar")
    with tarfile.open(archive) as content:
        cut = content.getmembers()[-3].offset
    archive.write_bytes(archive.read_bytes()[:cut])
    with pytest.raises(DamagedArchive, match="it ends, or is damaged, after"):
        prepare("nyud", archive, tmp_path / "root", expected=COUNTS)


def test_a_tar_with_a_damaged_header_is_refused(trees: dict[str, Path], tmp_path: Path) -> None:
    archive = pack(trees["nyud"], tmp_path / "a.tar")
    with tarfile.open(archive) as content:
        place = content.getmembers()[-3].offset
    damaged = bytearray(archive.read_bytes())
    damaged[place + 150] ^= 255
    archive.write_bytes(damaged)
    with pytest.raises(DamagedArchive):
        prepare("nyud", archive, tmp_path / "root", expected=COUNTS)


def test_flipped_bytes_never_end_in_anything_but_a_message(trees: dict[str, Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for suffix in SUFFIXES:
        archive = pack(trees["pascal"], tmp_path / f"a{suffix}")
        intact = np.frombuffer(archive.read_bytes(), np.uint8)
        for number in range(12):
            damaged = intact.copy()
            damaged[rng.integers(0, len(damaged), 3)] ^= rng.integers(1, 256, 3).astype(np.uint8)
            archive.write_bytes(damaged.tobytes())
            try:
                unpack(archive, tmp_path / f"{suffix}{number}")
            except DataError as error:
                assert str(error)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not really", b"\x1f\x8b no"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    archive = tmp_path / "a.tgz"
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"expected an intact \.tgz, \.tar or \.zip"):
        unpack(archive, tmp_path / "root")


def tar_member(kind: bytes = tarfile.REGTYPE, link: str = "", **fields: Any) -> Callable[[Path], None]:
    """Writes an archive with a good file, one odd member, and another good file."""

    def write(archive: Path) -> None:
        with tarfile.open(archive, "w:gz") as content:
            for name in ("NYUD_MT/first", None, "NYUD_MT/last"):
                info = tarfile.TarInfo(name or fields.get("name", "NYUD_MT/odd"))
                if name is None:
                    info.type, info.linkname = kind, link
                if info.type == tarfile.REGTYPE:
                    info.size = 4
                content.addfile(info, io.BytesIO(b"evil"))

    return write


def zip_member(name: str = "NYUD_MT/odd", mode: int = 0, flag: int = 0) -> Callable[[Path], None]:
    def write(archive: Path) -> None:
        with zipfile.ZipFile(archive, "w") as content:
            content.writestr("NYUD_MT/first", b"good")
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode | 0o644) << 16
            content.writestr(info, b"/etc/passwd")
            info.flag_bits |= flag

    return write


HOSTILE = {
    "tar parent": (tar_member(name="NYUD_MT/../../escape"), "leads out"),
    "tar only parent": (tar_member(name="../escape"), "leads out"),
    "tar absolute": (tar_member(name="{outside}/escape"), "leads out"),
    "tar parent folder": (tar_member(tarfile.DIRTYPE, name="../escape"), "leads out"),
    "tar backslash": (tar_member(name="..\\escape"), "leads out"),
    "tar symlink": (tar_member(tarfile.SYMTYPE, "../../escape"), "link or a device"),
    "tar symlink inside": (tar_member(tarfile.SYMTYPE, "first"), "link or a device"),
    "tar hardlink": (tar_member(tarfile.LNKTYPE, "/etc/passwd"), "link or a device"),
    "tar hardlink inside": (tar_member(tarfile.LNKTYPE, "NYUD_MT/first"), "link or a device"),
    "tar character device": (tar_member(tarfile.CHRTYPE), "link or a device"),
    "tar block device": (tar_member(tarfile.BLKTYPE), "link or a device"),
    "tar pipe": (tar_member(tarfile.FIFOTYPE), "link or a device"),
    "tar twice": (tar_member(name="NYUD_MT/./first"), "twice"),
    "tar no name": (tar_member(name="."), "no name"),
    "zip parent": (zip_member("NYUD_MT/../../escape"), "leads out"),
    "zip absolute": (zip_member("{outside}/escape"), "leads out"),
    "zip drive": (zip_member("C:/escape"), "leads out"),
    "zip symlink": (zip_member(mode=stat.S_IFLNK), "link or a device"),
    "zip device": (zip_member(mode=stat.S_IFCHR), "link or a device"),
    "zip encrypted": (zip_member(flag=1), "encrypted"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_members_are_refused_and_nothing_lands_outside_the_root(tmp_path: Path, case: str) -> None:
    write, match = HOSTILE[case]
    archive, root = tmp_path / "in/a", tmp_path / "out/root"
    archive.parent.mkdir()
    root.mkdir(parents=True)
    write(archive)
    if "absolute" in case:
        rewrite_name(write, archive, tmp_path / "out")
    with pytest.raises(DataError, match=match) as caught:
        unpack(archive, root)
    assert str(archive) in str(caught.value)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if not path.is_dir()} <= {
        "in/a",
        "out/root/NYUD_MT/first",
    }


def rewrite_name(write: Callable[[Path], None], archive: Path, outside: Path) -> None:
    """Write the archive again with an absolute path that this test may look at afterwards."""
    name = f"{outside}/escape"
    (zip_member(name) if zipfile.is_zipfile(archive) else tar_member(name=name))(archive)


def test_a_link_on_the_disk_is_not_followed_out_of_the_root(tmp_path: Path) -> None:
    archive, root, outside = tmp_path / "a.tgz", tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    root.mkdir()
    (root / "NYUD_MT").symlink_to(outside)
    tar_member()(archive)
    with pytest.raises(DataError, match=r"out of|outside"):
        unpack(archive, root)
    assert not list(outside.iterdir())


def test_a_link_in_place_of_a_file_is_not_written_through(tmp_path: Path) -> None:
    archive, root, outside = tmp_path / "a.tgz", tmp_path / "root", tmp_path / "outside"
    outside.write_bytes(b"mine")
    (root / "NYUD_MT").mkdir(parents=True)
    (root / "NYUD_MT/odd").symlink_to(outside)
    tar_member()(archive)
    with pytest.raises(DataError, match="leads out of the folder"):
        unpack(archive, root)
    assert outside.read_bytes() == b"mine"


@pytest.mark.parametrize(("limit", "value"), [("MAX_MEMBERS", 2), ("MAX_BYTES", 11)])
def test_archives_without_bound_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(unpacking, limit, value)
    tar_member()(tmp_path / "a.tgz")
    with pytest.raises(DataError, match="got more than"):
        unpack(tmp_path / "a.tgz", tmp_path / "root")


def test_what_looks_like_a_file_in_writing_does_not_hide_another(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as content:
        for name in ("NYUD_MT/.x.part", "NYUD_MT/x", "NYUD_MT/.y.part", "NYUD_MT/y"):
            info = tarfile.TarInfo(name)
            info.size = len(name)
            content.addfile(info, io.BytesIO(name.encode()))
    unpack(tmp_path / "a.tar", tmp_path / "root")
    expected = {name: name.encode() for name in ("NYUD_MT/.x.part", "NYUD_MT/.y.part", "NYUD_MT/x", "NYUD_MT/y")}
    assert files(tmp_path / "root") == expected


def test_a_name_of_files_in_writing_is_refused(tmp_path: Path) -> None:
    tar_member(name="NYUD_MT/.partial-x")(tmp_path / "a.tgz")
    with pytest.raises(DataError, match="reserved"):
        unpack(tmp_path / "a.tgz", tmp_path / "root")


def test_zeros_behind_the_end_are_not_read_without_bound(tmp_path: Path) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as content:
        info = tarfile.TarInfo("NYUD_MT/x")
        info.size = 4
        content.addfile(info, io.BytesIO(b"good"))
    with gzip.open(tmp_path / "a.tgz", "wb", compresslevel=1) as packed:
        packed.write(plain.getvalue())
        for _ in range(300):
            packed.write(bytes(10**6))
    begun = time.process_time()
    with pytest.raises(DamagedArchive, match="an end of more than"):
        unpack(tmp_path / "a.tgz", tmp_path / "root")
    assert time.process_time() - begun < 0.5


def test_wrong_counts_are_told(trees: dict[str, Path], tmp_path: Path) -> None:
    archive = pack(trees["pascal"], tmp_path / "a.tgz")
    with pytest.raises(DataError, match="expected 4998 train, 5105 val samples, got 3 train, 2 val"):
        prepare("pascal", archive, tmp_path / "root")
    with pytest.raises(DataError, match="expected 795 train, 654 val samples, got 3 train, 2 val"):
        prepare("nyud", pack(trees["nyud"], tmp_path / "b.tgz"), tmp_path / "other")


def test_the_wrong_data_sets_archive_is_told(trees: dict[str, Path], tmp_path: Path) -> None:
    archive = pack(trees["pascal"], tmp_path / "a.tgz")
    with pytest.raises(DataError, match="expected the folder of 'nyud'"):
        prepare("nyud", archive, tmp_path / "root", expected=COUNTS)


@pytest.mark.parametrize("place", [0, -1])
def test_the_first_and_the_last_sample_are_read(trees: dict[str, Path], tmp_path: Path, place: int) -> None:
    tree = tmp_path / "tree"
    pack(trees["nyud"], tmp_path / "a.tar")
    unpack(tmp_path / "a.tar", tree)
    victim = sorted((tree / "NYUD_MT/segmentation").glob("train_*"))[place]
    victim.write_bytes(b"no image")
    with pytest.raises(DataError, match=f"{victim.name}: expected a readable image"):
        prepare("nyud", pack(tree, tmp_path / "b.tgz"), tmp_path / "root", expected=COUNTS)


def test_missing_archives_and_unknown_names_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected an archive, cannot read it .No such file"):
        prepare("nyud", tmp_path / "none.tgz", tmp_path / "root")
    with pytest.raises(ConfigError, match=r"expected an archive, cannot read it .Is a directory"):
        prepare("nyud", tmp_path, tmp_path / "root")
    unknown: Any = "cityscapes"
    with pytest.raises(ConfigError, match=r"no archive of 'cityscapes' is known\. Known: nyud, pascal"):
        prepare(unknown, tmp_path / "none.tgz", tmp_path / "root")


def test_a_disk_that_refuses_is_told_and_leaves_no_part(
    trees: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, root = pack(trees["nyud"], tmp_path / "a.tgz"), tmp_path / "root"

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(unpacking.shutil, "copyfileobj", full)
    with pytest.raises(DataError, match="No space left on device"):
        prepare("nyud", archive, root, expected=COUNTS)
    assert files(root) == {}
