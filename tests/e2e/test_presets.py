"""Every bundled preset trains through the readers of the published data sets, on rooms in their layouts."""

from __future__ import annotations

import runpy
from functools import partial
from pathlib import Path

import pytest

from atrcnas.engine import evaluate
from atrcnas.ground.errors import AtrcnasError
from atrcnas.spec.bundled import names

STUDY = runpy.run_path(str(Path(__file__).parents[2] / "analysis/presets_table.py"))
STANDS = {stand.title: stand for stand in STUDY["STANDS"]}
TRIALS = [(title, preset, tasks) for title, stand in STANDS.items() for preset, tasks in STUDY["trials"](stand)]


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Data set -> folder with its files."""
    found = {title: tmp_path_factory.mktemp("stand") for title in STANDS}
    for title, root in found.items():
        STUDY["write_stand"](STANDS[title], root)
    return found


@pytest.fixture(autouse=True)
def one_timed_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latency is not what is tried here."""
    monkeypatch.setattr(evaluate, "measure_costs", partial(evaluate.measure_costs, repeats=1))


def test_every_preset_is_tried() -> None:
    assert {preset for _, preset, _ in TRIALS} == set(names("search_spaces/presets"))


@pytest.mark.parametrize(("title", "preset", "tasks"), TRIALS)
def test_a_preset_trains_and_exports(
    roots: dict[str, Path], tmp_path: Path, title: str, preset: str, tasks: tuple[str, ...]
) -> None:
    spec = STUDY["experiment"](STANDS[title], roots[title], tasks)
    STUDY["train"](spec, preset, tmp_path / "run")
    STUDY["export"](spec, preset, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize(("title", "preset", "tasks"), TRIALS)
def test_a_preset_deploys(
    roots: dict[str, Path], tmp_path: Path, title: str, preset: str, tasks: tuple[str, ...]
) -> None:
    spec = STUDY["experiment"](STANDS[title], roots[title], tasks)
    STUDY["train"](spec, preset, tmp_path / "run")
    STUDY["deploy"](spec, preset, tmp_path / "run")


def test_the_readme_has_a_row_for_every_preset_and_no_failure() -> None:
    table = STUDY["README"].read_text(encoding="utf-8").partition(STUDY["BEGIN"])[2].partition(STUDY["END"])[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.strip().splitlines()[2:]]
    assert [row[0].strip("`") for row in rows] == names("search_spaces/presets")
    assert {cell for row in rows for cell in row[1:]} == {"yes", "-"}


def test_the_table_goes_between_the_markers_only() -> None:
    begin, end = STUDY["BEGIN"], STUDY["END"]
    assert STUDY["put"](f"a\n{begin}\nold\n{end}\nb", "new") == f"a\n{begin}\nnew\n{end}\nb"
    for text in ("no markers", f"{end}{begin}", f"{begin}{begin}{end}", f"{begin}{end}{end}"):
        with pytest.raises(AtrcnasError, match="once each"):
            STUDY["put"](text, "new")
