"""One process at a time; what stands in place of the lock file is neither followed nor changed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from atrcnas.ground.errors import AtrcnasError, RunError
from atrcnas.ground.locking import LockHeldError, locked
from atrcnas.runs.folder import RunFolder

HOLDER = """
import sys
from pathlib import Path
from atrcnas.ground.locking import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_kept_out_until_the_first_ends_however_it_ends(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(LockHeldError, match="another process"), locked(path):
            pass
        holder.kill()
    with locked(path):
        pass


def test_a_lock_that_a_child_has_inherited_ends_with_the_block(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with locked(path):
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    try:
        with locked(path):
            pass
    finally:
        os.close(writer)
        os.waitpid(child, 0)


def test_a_run_whose_lock_is_a_link_leaves_the_target_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("do not empty")
    target.chmod(0o600)
    run = tmp_path / "run"
    run.mkdir()
    (run / ".lock").symlink_to(target)
    with pytest.raises(AtrcnasError, match=r"\.lock"), RunFolder(run).locked():
        pass
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("do not empty", 0o600)
    with pytest.raises(OSError, match="symbolic links"), locked(run / ".lock"):
        pass


def test_the_lock_file_keeps_its_content_and_a_pipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("kept")
    with locked(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_text() == "kept"
    os.mkfifo(tmp_path / "b")
    with pytest.raises(OSError, match="not a regular file"), locked(tmp_path / "b"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_warned_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    def flock(handle: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    entered = 0
    for _ in range(2):
        with RunFolder(tmp_path).locked():
            entered += 1
    assert entered == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{tmp_path}: this file system has no locks" in said


def test_a_run_held_by_another_process_is_named(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path).locked(),
        pytest.raises(RunError, match=f"{tmp_path}: another process is writing this run"),
        RunFolder(tmp_path).locked(),
    ):
        pass
