"""Whatever a name says, what is made of it lies below the folder; what lies there already is not followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrcnas.ground.errors import AtrcnasError
from atrcnas.ground.paths import below, require_plain_tree
from atrcnas.runs.folder import RunFolder


@given(
    st.lists(st.text(max_size=20) | st.sampled_from(["..", ".", "", "a/../..", "/etc", "..\\x", "a\0b"]), max_size=3)
)
def test_no_name_leads_out_of_the_folder(names: list[str]) -> None:
    folder = Path("/base/folder")
    try:
        path = below(folder, *names)
    except AtrcnasError:
        return
    # The oracle is the text's own normal form, by another module than the one that made the path.
    assert os.path.normpath(path) == "/".join(["/base/folder", *names])
    assert len(path.parts) == len(folder.parts) + len(names)


@pytest.mark.parametrize("name", ["..", "x/../../esc", "/etc/passwd", "", "a\0b", "é" * 200])
def test_a_name_that_is_not_plain_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(AtrcnasError, match="expected a plain name"):
        below(tmp_path, name)


def test_a_link_on_the_way_is_refused_and_the_folder_itself_may_be_one(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    assert below(tmp_path / "out", "f") == tmp_path / "out/f"
    (tmp_path / "elsewhere/samples").symlink_to(tmp_path)
    with pytest.raises(AtrcnasError, match="expected no link"):
        below(tmp_path / "out", "samples", "f")


@pytest.mark.parametrize("name", ["samples", "search", "retrain", "results.json"])
def test_a_run_that_holds_a_link_is_not_written_to(name: str, tmp_path: Path) -> None:
    run, outside = tmp_path / "run", tmp_path / "outside"
    run.mkdir()
    outside.mkdir()
    (run / name).symlink_to(outside)
    with pytest.raises(AtrcnasError, match=f"{name}: expected no link"), RunFolder(run).locked():
        pytest.fail("it was opened for writing")


def test_a_pipe_in_a_run_is_refused_and_a_plain_tree_is_not(tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    (tmp_path / "search/metrics.csv").write_text("step\n")
    require_plain_tree(tmp_path)
    os.mkfifo(tmp_path / "search/budget.csv")
    with pytest.raises(AtrcnasError, match=r"budget\.csv: expected a file or a folder"):
        require_plain_tree(tmp_path)
