"""What a person sees while a stage runs, on a terminal of a given width and in a log."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from atrcnas import Experiment
from atrcnas.engine.briefing import training_multiply_adds
from atrcnas.engine.costs import multiply_adds
from atrcnas.engine.networks import fixed_network, supernet
from atrcnas.engine.progress import Progress, pace_text
from atrcnas.engine.training import Report
from atrcnas.spec.context_config import ContextConfig
from tests.conftest import TINY

FACTS = [("run", "runs/mine"), ("network", "a very long name of a network with many parameters " * 2)]


def on_screen(raw: str, columns: int) -> list[str]:
    """The lines that a terminal shows after ``raw``: carriage returns, cursor up and erased lines are obeyed."""
    rows: list[list[str]] = [[]]
    row = column = 0
    for code, letter, character in re.findall(r"\x1b\[([\d;?]*)([A-Za-z])|([^\x1b])", raw):
        if character == "\r":
            column = 0
        elif letter == "A":
            row = max(row - int(code or 1), 0)
        elif letter == "K":
            rows[row] = [] if code == "2" else rows[row][:column]
        elif character == "\n" or (character and column == columns):
            row, column = row + 1, 0  # with a carriage return, as a terminal adds it
            rows += [[] for _ in range(row + 1 - len(rows))]
        if character and character not in "\r\n":
            rows[row] += " " * (column + 1 - len(rows[row]))
            rows[row][column] = character
            column += 1
    return ["".join(cells).rstrip() for cells in rows]


def trained(columns: int | None) -> str:
    """What is written while a stage of three steps runs; ``columns`` None: to a file."""
    stream = io.StringIO()
    progress = Progress(FACTS)
    progress.console = Console(
        file=stream, width=columns, force_terminal=columns is not None, highlight=False, legacy_windows=False
    )
    training: Any = SimpleNamespace(
        stage="search",
        step=0,
        recipe=SimpleNamespace(steps=3),
        fabric=SimpleNamespace(is_global_zero=True),
        scores={"semseg": {"miou": 0.5}},
    )
    progress.begin(training)
    for step in (1, 2, 3):
        training.step = step
        tasks = {name: float(step) for name in ("semseg", "depth", "normals", "edge", "sal", "human_parts")}
        progress.logged(training, Report(step, {"loss": 6.0 * step, "committed_share": 0.5}, tasks))
        progress.stepped(training)
        if progress.bar is not None:
            progress.bar.refresh()
    progress.validated(training)
    progress.end(training)
    return stream.getvalue()


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_terminal_shows_each_line_once_and_none_too_long(columns: int) -> None:
    lines = [line for line in on_screen(trained(columns), columns) if line]
    text = "\n".join(lines)
    assert lines[0] == "search" and "runs/mine" in lines[1]
    assert max(map(len, lines)) <= columns
    (bar,) = (line for line in lines if "━" in line)
    assert "3/3" in bar and re.search(r"0:00:0\d < ", bar)
    assert columns < 80 or "it/s" in bar
    assert text.count("loss ") == 1 and "loss 18.000 (semseg 3.000, depth 3.000" in lines[-1]
    assert text.count("search step 3: semseg miou 0.5000") == 1


def test_a_log_has_the_facts_and_whole_lines_without_codes() -> None:
    said = trained(None)
    assert "\x1b" not in said and "\r" not in said
    first, run, network, last = said.splitlines()
    assert (first, run) == ("search", "  run      runs/mine")
    assert network.strip().endswith("parameters")
    assert re.fullmatch(
        r"search 3/3, \d+ s, 0 s left, [\d.]+ it/s, loss 18.000 \(semseg 3.000, .*\), committed 50%, semseg miou 0.5000",
        last,
    )


def test_a_slow_pace_is_told_by_the_step() -> None:
    assert [pace_text(pace) for pace in (3.456, 1.0, 0.05)] == ["3.46 it/s", "1.00 it/s", "20.0 s/it"]


def test_the_multiply_adds_said_at_the_start_are_those_of_the_results() -> None:
    experiment = Experiment.load(TINY)
    fixed = fixed_network(experiment, ContextConfig.load("uniform-global"))
    assert training_multiply_adds(fixed, (64, 96)) == multiply_adds(fixed, (64, 96))
    assert training_multiply_adds(supernet(experiment), (64, 96)) > training_multiply_adds(fixed, (64, 96))
