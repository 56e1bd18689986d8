"""The table of tests/RESULTS.md: one row per environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.environments.environment import Environment
from tests.environments.parts import Outcome, parts

TITLE = "Environments"
SHOWN = {
    "torch": "torch",
    "timm": "timm",
    "nni": "nni",
    "optuna": "optuna",
    "numpy": "numpy",
    "pandas": "pandas",
    "scipy": "scipy",
    "pytorch-lightning": "lightning",
    "torchmetrics": "torchmetrics",
    "pydantic": "pydantic",
    "typer": "typer",
    "matplotlib": "matplotlib",
    "pillow": "pillow",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
}


def table(rows: Sequence[tuple[Environment | str, str, Mapping[str, Outcome]]]) -> str:
    """As markdown.

    Args:
        rows: environment, or the word for a Python that is not here; the resolution; the outcomes by part.
    """
    head = ("Python", "versions", *SHOWN.values(), "tests", "passed", "failed", "skipped", "minutes")
    lines = [_line(head), _line(["---"] * (len(SHOWN) + 3) + ["---:"] * 4)]
    lines += [_line(_cells(*row)) for row in rows]
    failures = [
        f"- {environment.version}, {resolution}: `{failure}`"
        for environment, resolution, outcomes in rows
        if isinstance(environment, Environment)
        for outcome in outcomes.values()
        for failure in outcome.failures
    ]
    return "\n".join([_INTRODUCTION, "", *lines, *(["", "What failed:", "", *failures] if failures else [])])


_INTRODUCTION = """Written by `make environments`: the fast tests with the oldest and the newest version of each dependency
that the bounds in setup.cfg allow and that has a wheel for the Python; one process at a time, beside other work. "Oldest"
holds for what setup.cfg names; what those packages need in turn is as new as they allow."""


def _cells(environment: Environment | str, resolution: str, outcomes: Mapping[str, Outcome]) -> list[str]:
    if isinstance(environment, str):
        return [environment, resolution, *[""] * len(SHOWN), "not available here", "", "", "", ""]
    versions = environment.versions()
    counts = [sum(getattr(outcome, name) for outcome in outcomes.values()) for name in ("passed", "failed", "skipped")]
    minutes = sum(outcome.seconds for outcome in outcomes.values()) / 60
    pinned = [versions.get(name, "") for name in SHOWN]
    return [environment.version, resolution, *pinned, _extent(outcomes), *map(str, counts), f"{minutes:.0f}"]


def _extent(outcomes: Mapping[str, Outcome]) -> str:
    """Which of the fast tests ran: all, or how many parts of which folders."""
    every = parts()
    if all(part in outcomes for part in every):
        return "all"
    folders = dict.fromkeys(part.partition("/")[0] for part in every)
    told = []
    for folder in folders:
        of_it = [part for part in every if part.partition("/")[0] == folder]
        ran = sum(part in outcomes for part in of_it)
        if ran:
            told.append(folder if ran == len(of_it) else f"{ran} of {len(of_it)} parts of {folder}")
    return ", ".join(told) or "none"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
