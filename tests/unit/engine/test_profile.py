"""The profile of a search: every part has its own time, forward and backward, and the search is none the wiser."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from atrcnas import Experiment, search
from atrcnas.engine.loop import DATA
from atrcnas.ground.errors import ConfigError
from atrcnas.launch.profiling import summary
from tests.conftest import TINY

STEPS = ["search.steps=8", "search.validate_every=5"]
LINE = re.compile(r"^(\S.*?) +([\d.]+)% +([\d.]+) ms(?: +([\d.]+) ms)?$")


def parts(text: str) -> dict[str, tuple[float, float, float]]:
    """Part -> share in percent, forward and backward in ms."""
    found = filter(None, map(LINE.match, text.splitlines()))
    return {m[1]: (float(m[2]), float(m[3]), float(m[4] or 0)) for m in found}


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a profile."""
    run = tmp_path_factory.mktemp("profiled") / "run"
    search(Experiment.load(TINY, STEPS), run, profile=True)
    return run


def test_parts_add_up_to_the_step_and_learning_ones_have_a_backward(profiled: Path) -> None:
    found = parts((profiled / "search/profile/summary.txt").read_text())
    whole = found.pop("step, with the profiler on")
    assert sum(share for share, _, _ in found.values()) == pytest.approx(100, abs=1)
    assert sum(forward + backward for _, forward, backward in found.values()) == pytest.approx(whole[1], abs=1)
    learning = {"backbone", "task features", "label branches", "fuse, refine", "prediction heads", "loss"}
    learning |= {f"kind {kind}" for kind in ("global", "local", "tlabel", "slabel", "mti")}
    assert all(min(found[part][1:]) > 0 for part in learning), found
    assert found[DATA][1] > 0 and found[DATA][2] == 0
    assert found["optimiser"][1] > 0


def test_the_trace_opens_and_names_the_parts(profiled: Path) -> None:
    with gzip.open(profiled / "search/profile/trace.json.gz") as stream:
        events = json.load(stream)["traceEvents"]
    assert sum(event.get("name") == "part: backbone" for event in events) == 5


def test_a_profiled_search_finds_what_it_finds_otherwise(profiled: Path, tmp_path: Path) -> None:
    search(Experiment.load(TINY, STEPS), tmp_path / "run")
    for name in ("search/metrics.csv", "search/logits.csv", "contexts.yaml"):
        assert (tmp_path / "run" / name).read_bytes() == (profiled / name).read_bytes()
    assert not (tmp_path / "run/search/profile").exists()


def test_too_few_steps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"got 3 to do\. Set search\.steps to 8 more"):
        search(Experiment.load(TINY, ["search.steps=3"]), tmp_path / "run", profile=True)


@pytest.mark.parametrize(("waiting_ms", "advises"), [(30, True), (5, False)])
def test_a_starving_step_is_pointed_out(waiting_ms: int, advises: bool) -> None:
    totals = {"backbone": {"forward": 70_000.0, "backward": 30_000.0}, DATA: {"forward": waiting_ms * 1000.0}}
    said = summary(totals, 1, Path("t"))
    assert ("Raise data.workers" in said) is advises
    assert parts(said)["backbone"][1:] == (70, 30)
