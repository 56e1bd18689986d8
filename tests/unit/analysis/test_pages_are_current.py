"""What the pages show is what the stored rows say: what `make report` would write is there already."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3]))

from analysis import pages, report
from analysis.planted import page as planted
from analysis.search_quality import report as search_quality

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("module", [report, search_quality, planted], ids=["proof", "search-quality", "planted"])
def test_a_page_shows_what_the_rows_say(module: object, monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[tuple[Path, str], str] = {}

    def note(page: Path, name: str, made: str) -> None:
        written[page, name] = made

    monkeypatch.setattr(pages, "write", note)
    for other in (search_quality, planted):
        monkeypatch.setattr(other, "write", note)
        monkeypatch.setattr(other, "draw", lambda *_: None)
    monkeypatch.setattr(report, "figures", dict)
    monkeypatch.setattr(search_quality.canvas, "save", lambda *_: None)
    module.main()  # type: ignore[attr-defined]
    assert written
    assert {name for (page, name), made in written.items() if pages.made(page, name) != made.strip("\n")} == set()
