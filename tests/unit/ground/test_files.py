"""YAML is read without executing or expanding anything; files are replaced whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

import pytest

from atrcnas.ground.errors import AtrcnasError, ConfigError
from atrcnas.ground.files import (
    MAX_YAML_BYTES,
    dump_yaml,
    parse_yaml,
    read_yaml,
    write_atomically,
    write_json,
    write_text,
    write_yaml,
)


def test_plain_yaml_is_read() -> None:
    assert parse_yaml("a: 1\nb: [x, 2.5, null, true]\nc: {d: é}\n", "f") == {
        "a": 1,
        "b": ["x", 2.5, None, True],
        "c": {"d": "é"},
    }
    assert parse_yaml("", "f") is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2\n", 2),
        ("a: {b: 1, b: 1}\n", 1),
        ("a:\n  - {x: 1}\n  - x: 1\n    y: 2\n    x: 3\n", 5),
        ("1: a\n1: b\n", 2),
    ],
)
def test_duplicate_key_at_any_depth_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match=rf"f\.yaml: line {line}, column \d+: duplicate key"):
        parse_yaml(text, "f.yaml")


@pytest.mark.parametrize(
    "text",
    ["a: &x [1]\nb: *x\n", "a: &x {k: 1}\nb: {<<: *x}\n", "a: &a [1]\nb: &b [*a, *a]\nc: [*b, *b]\n", "a: &x [*x]\n"],
)
def test_alias_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="anchors and aliases are not supported"):
        parse_yaml(text, "f")


def test_many_doublings_cost_nothing() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 100))
    with pytest.raises(ConfigError, match="aliases"):
        parse_yaml(text, "f")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused_without_a_crash(opening: str) -> None:
    with pytest.raises(ConfigError, match="f: "):
        parse_yaml(opening * 50_000, "f")


def test_closed_deep_nesting_is_refused_without_a_crash() -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        parse_yaml("[" * 5_000 + "]" * 5_000, "f")


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.mkdir [{target}]",
        "!!python/object/new:os.mkdir [{target}]",
        "!!python/name:os.mkdir",
        "!!python/module:os",
        "!!python/object:pathlib.Path {{}}",
        "!!python/tuple [1]",
        "!mine x",
    ],
)
def test_tag_is_refused_and_not_executed(tag: str, tmp_path: Path) -> None:
    target = tmp_path / "executed"
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        parse_yaml("a: " + tag.format(target=target), "f")
    assert not target.exists()


@pytest.mark.parametrize(
    "text",
    ["a: [1", "a: b: c", "\t- a", "a: 'x", "? [1]\n: 2\n", "{[1]: 2}", "a: 2024-99-99", "\x00", "--- 1\n--- 2\n"],
)
def test_text_that_is_not_yaml_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^f: "):
        parse_yaml(text, "f")


def test_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes("a: é".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"f\.yaml: expected UTF-8 text"):
        read_yaml(path)


def test_missing_file_folder_and_giant_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot read the experiment \(No such file"):
        read_yaml(tmp_path / "none.yaml", "experiment")
    with pytest.raises(ConfigError, match=r"cannot read the file \(Is a directory"):
        read_yaml(tmp_path)
    (tmp_path / "big.yaml").write_bytes(b"#" * (MAX_YAML_BYTES + 1))
    with pytest.raises(ConfigError, match="at most 128000 bytes"):
        read_yaml(tmp_path / "big.yaml")


def test_written_yaml_reads_back_in_order(tmp_path: Path) -> None:
    value = {"z": 1, "a": ["none", "é"], "m": {"depth<-edge": 0.5}, "n": None, "t": "true", "e": "1e3"}
    write_yaml(tmp_path / "f.yaml", value)
    back = read_yaml(tmp_path / "f.yaml")
    assert back == value
    assert list(back) == list(value)
    assert dump_yaml({"a": [1, 2]}) == "a: [1, 2]\n"


def test_written_json_reads_back(tmp_path: Path) -> None:
    write_json(tmp_path / "f.json", {"b": [1, 2], "a": None})
    assert json.loads((tmp_path / "f.json").read_text()) == {"b": [1, 2], "a": None}


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "f.txt"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    assert only(path.parent) == ["f.txt"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_decides_who_may_read_a_file(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "f.txt", "mine")
    finally:
        os.umask(before)
    assert (tmp_path / "f.txt").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_disk_without_inodes_is_reported_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(temporary: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    full = os.statvfs_result((4096, 4096, 1000, 900, 900, 500, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda folder: full)
    with pytest.raises(AtrcnasError, match="no inodes are left there"):
        write_atomically(tmp_path / "f.txt", fail)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_that_no_other_program_could_read_is_not_written(value: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "f.json", {"a": value})
    assert only(tmp_path) == []


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(AtrcnasError, match=r"f\.txt: cannot write \(No space left"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert only(tmp_path) == ["f.txt"]


@pytest.mark.parametrize("call", ["fsync", "open", "replace"])
def test_fault_at_any_moment_keeps_the_old_file(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.txt"
    write_text(path, "old")

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        place = {"fsync": os, "open": os, "replace": Path}[call]
        patch.setattr(place, call, fail)
        with pytest.raises(AtrcnasError, match="Input/output error"):
            write_text(path, "new")
    assert path.read_text() == "old"
    assert only(tmp_path) == ["f.txt"]


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt()])
def test_error_that_is_not_a_disk_fault_passes_through_and_keeps_the_old_file(
    error: BaseException, tmp_path: Path
) -> None:
    path = tmp_path / "f.txt"
    write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert only(tmp_path) == ["f.txt"]


def test_temporary_file_keeps_the_suffix_that_writers_look_at(tmp_path: Path) -> None:
    seen: list[str] = []
    write_atomically(tmp_path / "f.png", lambda temporary: seen.append(temporary.suffix))
    assert seen == [".png"]


def test_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(AtrcnasError, match="cannot write"):
        write_text(tmp_path / "f" / "g.txt", "y")


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 1e-3), ("-2E5", -2e5), ("1.5e3", 1500.0), ("e3", "e3"), ("1e", "1e")]
)
def test_numbers_with_an_exponent_need_no_dot(text: str, value: object) -> None:
    assert parse_yaml(f"a: {text}", "x") == {"a": value}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a: !!int ''", "a tag .* does not fit its value"),
        ("a: !!bool x", "a tag .* does not fit its value"),
        ("a: !!timestamp x", "a tag .* does not fit its value"),
        ("a: !!map [b]", "a tag .* does not fit its value"),
        ("a: !!binary /w==", "line 1, column 4: could not determine a constructor"),
        ("a: 1" + ":01" * 40_000, "line 1, column 4: expected an integer of at most 100 digits"),
        ("a: 0x" + "f" * 10_000, "at most 100 digits"),
        ("[" * 100_000, "nested too deeply"),
        ("- a\n" * 40_000, "at most 128000 characters"),
    ],
)
def test_what_pyyaml_trips_over_or_hangs_on_is_refused_at_once(text: str, match: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(ConfigError, match=f"^f: .*{match}"):
        parse_yaml(text, "f")
    assert time.perf_counter() - begun < 1
