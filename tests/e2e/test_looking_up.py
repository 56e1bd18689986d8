"""What can be looked up from the command line: keys, and the files that ship with the package."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from atrcnas.spec.bundled import SHELVES, names
from tests.e2e.test_command_line import atrcnas, refused

BUNDLED = [name for shelf in SHELVES for name in names(shelf)]


def test_one_name_means_one_file() -> None:
    assert Counter(BUNDLED).most_common(1)[0][1] == 1


@pytest.mark.parametrize("name", ["quickstart", "wide", "mti-net"])
def test_a_bundled_file_is_shown_and_copied_as_it_is(tmp_path: Path, name: str) -> None:
    shown = atrcnas(tmp_path, "show", name).stdout
    assert yaml.safe_load(shown)["schema"] == 1 and shown.startswith("#")
    assert atrcnas(tmp_path, "show", name, "--out", "mine.yaml").stdout == "mine.yaml\n"
    assert (tmp_path / "mine.yaml").read_text() == shown


def test_showing_overwrites_nothing_and_knows_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mine")
    assert "Choose another name" in refused(tmp_path, "show", "wide", "--out", "mine.yaml")
    assert (tmp_path / "mine.yaml").read_text() == "mine"
    assert "Did you mean 'quickstart'?" in refused(tmp_path, "show", "quickstrat")


@pytest.mark.parametrize("name", ["baseline", "single-task", "atrc-nyud-hrnet18"])
def test_a_preset_is_drawn_by_its_name(tmp_path: Path, name: str) -> None:
    done = atrcnas(tmp_path, "plot", name)
    assert (done.returncode, done.stdout) == (0, f"{name}.png\n"), done.stderr
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    assert "expected a run folder" in refused(tmp_path, "plot", name, "--importance")


def test_keys_are_shown_by_section_and_by_path(tmp_path: Path) -> None:
    whole, search, one = (atrcnas(tmp_path, "keys", *words).stdout for words in ([], ["search"], ["search.steps"]))
    assert search in whole and one.splitlines()[1] in search
    assert one.splitlines() == [
        "search",
        "  search.steps: integer, at least 1, at most 100,000,000 [40000]",
        "      training steps; the default is the published recipe's",
    ]
    assert "Did you mean 'search'?" in refused(tmp_path, "keys", "serach")
