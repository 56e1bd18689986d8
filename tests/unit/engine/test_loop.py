"""The main loop with stand-ins for its parts: the order of events, what is saved when, and how each error ends it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from atrcnas.engine import loop
from atrcnas.engine.listener import Listener
from atrcnas.ground.errors import DataError, RunError, Stopped

STEPS = 3


class Told(Listener):
    """Writes down what it hears; its state is part of what is saved."""

    name = "told"

    def __init__(self, events: list[Any]) -> None:
        self.events = events

    def begin(self, training: Any) -> None:
        self.events.append("begin")

    def before_batch(self, training: Any, validating: bool) -> None:
        self.events.append(("before", validating))

    def stepped(self, training: Any) -> None:
        self.events.append("stepped")

    def logged(self, training: Any, report: Any) -> None:
        self.events.append(("logged", report))

    def validated(self, training: Any) -> None:
        self.events.append("validated")

    def end(self, training: Any) -> None:
        self.events.append("end")

    def state(self) -> dict[str, Any]:
        return {"heard": True}


class Stage(SimpleNamespace):
    """Three steps: validated after the second and the last, logged after the first."""

    step, validated = 0, -1
    recipe = SimpleNamespace(steps=STEPS)
    fabric = SimpleNamespace(world_size=1)
    weights = SimpleNamespace(evaluated="weights")

    @property
    def validation_due(self) -> bool:
        return self.step in (2, STEPS) and self.validated < self.step

    @property
    def log_due(self) -> bool:
        return self.step == 1

    def report(self, losses: str) -> str:
        return f"report of {losses}"

    def settle(self) -> None:
        self.events.append("settle")

    def state(self) -> dict[str, int]:
        return {"step": self.step}


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []

    def take_step(training: Any, batch: str) -> str:
        training.step += 1
        found.append(f"step on {batch}")
        return f"losses {training.step}"

    def validate(training: Any, batches: Any, everyone: Any) -> bool:
        training.validated = training.step
        found.append(f"validate on {batches}")
        return training.step == 2  # the best so far

    monkeypatch.setattr(loop, "take_step", take_step)
    monkeypatch.setattr(loop, "validate", validate)
    return found


def run(events: list[Any], batches: Any = ("a", "b", "c"), step: int = 0) -> None:
    keeper: Any = SimpleNamespace(save=lambda state, weights=None: events.append(("save", state, weights)))
    loop.train(Stage(step=step, events=events), batches, "held out", keeper, [Told(events)])  # type: ignore[arg-type]


def saved(step: int, weights: str | None = None) -> Any:
    return ("save", {"step": step, "told": {"heard": True}}, weights)


def failing(error: BaseException, *first: str) -> Iterator[str]:
    yield from first
    raise error


def test_steps_reports_validations_and_checkpoints_come_in_order(events: list[Any]) -> None:
    run(events)
    assert events == [
        "begin",
        *(("before", False), "step on a", ("logged", "report of losses 1"), "stepped"),
        *(("before", False), "step on b", "stepped"),
        *("validate on held out", "validated", saved(2, "weights")),
        *(("before", False), "step on c", "stepped"),
        *("validate on held out", "validated", saved(3)),
        "end",
    ]


def test_a_stage_that_is_done_takes_no_step(events: list[Any]) -> None:
    run(events, (), STEPS)
    assert events == ["begin", "validate on held out", "validated", saved(3), "end"]


def test_a_request_to_stop_is_granted_between_steps_and_saves(events: list[Any]) -> None:
    def batches() -> Iterator[str]:
        yield "a"
        os.kill(os.getpid(), signal.SIGTERM)
        yield "b"

    with pytest.raises(Stopped, match="SIGTERM after step 2, the state is saved") as stopped:
        run(events, batches(), 0)
    assert stopped.value.step == 2
    assert events[-3:] == ["settle", saved(2), "end"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("error", [RuntimeError("DataLoader worker is killed"), DataError("no batch for 31 s")])
def test_an_error_after_a_request_to_stop_is_that_request(events: list[Any], error: Exception) -> None:
    def batches() -> Iterator[str]:
        yield "a"
        os.kill(os.getpid(), signal.SIGTERM)
        raise error

    with pytest.raises(Stopped, match="after step 1, the last checkpoint is older"):
        run(events, batches())
    assert events[-1] == "end" and "settle" not in events


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (
            torch.OutOfMemoryError("\n\nCUDA out of memory. 3 GiB\nmore"),
            RunError,
            r"step 2: .*\(CUDA out of memory. 3 GiB\)",
        ),
        (RuntimeError("DataLoader worker (pid 7) is killed"), DataError, r"a loader process died \(DataLoader worker"),
        (RuntimeError("anything else"), RuntimeError, "^anything else$"),
        (DataError("a.png: damaged"), DataError, "^a.png: damaged$"),
        (ZeroDivisionError("not ours"), ZeroDivisionError, "not ours"),
    ],
    ids=["memory", "loader", "unknown", "data", "other"],
)
def test_an_error_is_told_in_words_where_they_are_known(
    events: list[Any], error: Exception, kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told) as found:
        run(events, failing(error, "a"))
    assert found.value is error or found.value.__cause__ is error
    assert events[-1] == "end"
    assert not any(event[0] == "save" for event in events if isinstance(event, tuple))
