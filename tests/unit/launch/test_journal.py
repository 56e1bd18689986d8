"""What a kill leaves of a journal, and what is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from atrcnas.ground.errors import RunError
from atrcnas.launch.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    journal = Journal(tmp_path / "new" / "trials.jsonl", {"at_once": 3})
    for number in range(3):
        journal.append({"number": number, "name": "Tür"})
    return journal.path


def test_entries_come_back_and_the_header_is_the_files(path: Path) -> None:
    journal = Journal(path, {"at_once": 8})
    assert journal.header == {"at_once": 3}
    assert [entry["number"] for entry in journal.entries] == [0, 1, 2]


@pytest.mark.parametrize("kept", range(1, 30))
def test_a_line_torn_anywhere_is_dropped_and_the_next_one_is_whole(path: Path, kept: int) -> None:
    content = path.read_bytes()
    before = content[: content[:-1].rfind(b"\n") + 1]
    assert len(content) - len(before) >= 30
    path.write_bytes(content[: len(before) + kept])
    journal = Journal(path, {})
    assert [entry["number"] for entry in journal.entries] == [0, 1]
    journal.append({"number": 7})
    assert [entry["number"] for entry in Journal(path, {}).entries] == [0, 1, 7]
    assert path.read_bytes() == before + b'{"number": 7}\n'


@pytest.mark.parametrize("kept", [0, 1, 5])
def test_a_torn_header_is_written_again(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    assert Journal(path, {"at_once": 2}).header == {"at_once": 2}
    assert Journal(path, {}).header == {"at_once": 2}


@pytest.mark.parametrize("line", [b"\0\0\0\n", b"{\n", b"[]\n"])
def test_damage_before_the_last_line_is_refused(path: Path, line: bytes) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], line, *lines[3:]]))
    with pytest.raises(RunError, match=r"trials\.jsonl: line 3 is damaged"):
        Journal(path, {})


def test_a_journal_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot write"):
        Journal(tmp_path / "file" / "trials.jsonl", {})
