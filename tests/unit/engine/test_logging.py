"""Loggers of a run: one run there for all stages here, and no training ends because one of them fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from atrcnas.engine.logging import log_figures, open_clients, tell
from atrcnas.ground.errors import ConfigError, RunError
from atrcnas.loggers.client import Place
from atrcnas.runs.folder import RunFolder
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.loggers import LOGGERS, Logger

TINY = {"schema": 1, "name": "mine", "tasks": ["semseg"], "space": {"schema": 1, "pairs": {"default": ["local"]}}}


class Fake:
    """Keeps what it is sent; counts its ids up."""

    opened: list[Place] = []

    def __init__(self, place: Place, options: Any) -> None:
        self.opened.append(place)
        self.id = place.id or f"id{len(self.opened)}"
        self.told: list[tuple[Any, ...]] = []

    def scalars(self, values: Any, step: int) -> None:
        self.told.append((values, step))

    def figure(self, name: str, path: Path, step: int) -> None:
        self.told.append((name, path, step))

    def close(self) -> None:
        self.told.append(("closed",))


class Broken(Fake):
    def scalars(self, values: Any, step: int) -> None:
        raise ConnectionError("the server is gone\nwith details")


def refuse(place: Place, options: Any) -> None:
    raise ValueError("not logged in")


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An experiment with some of the loggers that are registered for the test."""
    monkeypatch.setattr(LOGGERS, "_records", dict(LOGGERS._records))
    for name, client, needs in (
        ("fake", Fake, None),
        ("broken", Broken, None),
        ("refusing", refuse, None),
        ("absent", Fake, "no_such_package"),
    ):
        LOGGERS.register(Logger(name, "of a test", client, needs=needs))
    Fake.opened.clear()
    return lambda *names: Experiment.load({**TINY, "loggers": {name: {} for name in names}})


def test_a_later_stage_continues_the_same_run(experiment: Any, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    open_clients(experiment("fake"), folder, "search")
    open_clients(experiment("fake"), folder, "retrain", 7)
    assert [(place.part, place.step, place.id) for place in Fake.opened] == [("search", 0, None), ("retrain", 7, "id1")]
    assert all((place.run, place.name) == (tmp_path, "mine") for place in Fake.opened)


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"fake": 1}', b"\xff", b"[" * 90_000, b'{"a": "' + b"x" * 200_000 + b'"}']
)
def test_ids_that_are_something_else_are_refused(experiment: Any, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "loggers.json").write_bytes(content)
    with pytest.raises(RunError, match=r"loggers\.json: expected an id for each logger, got something else"):
        open_clients(experiment("fake"), RunFolder(tmp_path), "search")


def test_figures_of_a_finished_run_are_passed_on(experiment: Any, tmp_path: Path, monkeypatch: Any) -> None:
    told: list[tuple[Any, ...]] = []
    monkeypatch.setattr(Fake, "figure", lambda self, *arguments: told.append(arguments))
    paths = [tmp_path / "losses.png", tmp_path / "scores.png"]
    log_figures(experiment("fake"), RunFolder(tmp_path), paths)
    assert told == [("plots/losses", paths[0], 0), ("plots/scores", paths[1], 0)]


def test_a_logger_that_fails_is_dropped_and_the_others_continue(
    experiment: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clients = open_clients(experiment("broken", "fake"), RunFolder(tmp_path), "search")
    fake = clients["fake"]
    for step in (1, 2):
        tell(clients, lambda client, step=step: client.scalars({"loss": 1.0}, step))
    assert fake.told == [({"loss": 1.0}, 1), ({"loss": 1.0}, 2)]
    assert capsys.readouterr().err == (
        "loggers.broken: dropped (the server is gone). The run continues; its CSV files hold everything.\n"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "loggers.absent: needs 'no_such_package', which is not installed"),
        ("refusing", r"loggers.refusing: cannot be opened \(not logged in\)"),
    ],
)
def test_a_logger_that_cannot_be_opened_is_named_before_anything_is_trained(
    experiment: Any, tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(RunError, match=message):
        open_clients(experiment(name), RunFolder(tmp_path), "search")


@pytest.mark.parametrize(
    ("loggers", "message"),
    [
        ({"tensorbord": {}}, "loggers.tensorbord: unknown logger 'tensorbord'. Did you mean 'tensorboard'?"),
        ({"wandb": {"mode": "of"}}, "loggers.wandb.mode: expected 'online' or 'offline', got 'of'"),
        ({"mlflow": {"uri": "x"}}, "loggers.mlflow.uri: unknown key"),
        ({"tensorboard": None}, "loggers.tensorboard: expected 'key: value' lines"),
    ],
)
def test_faults_in_the_loggers_section_are_named(loggers: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Experiment.load({**TINY, "loggers": loggers})
    assert message in str(caught.value)
