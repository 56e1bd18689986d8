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


def table(outcomes: Mapping[Environment, Mapping[str, Outcome]], missing: Sequence[tuple[str, str]]) -> str:
    """As markdown.

    Args:
        outcomes: of the parts that ran in each environment.
        missing: Pythons that are not here, with the versions that were asked for.
    """
    head = ("Python", "versions", *SHOWN.values(), "tests", "passed", "failed", "skipped", "minutes")
    rows = [_line(_cells(environment, found)) for environment, found in outcomes.items()]
    rows += [_line([*words, *[""] * len(SHOWN), "not available here", "", "", "", ""]) for words in missing]
    failures = [
        f"- {environment.version}, {environment.resolution}: `{failure}`"
        for environment, found in outcomes.items()
        for outcome in found.values()
        for failure in outcome.failures
    ]
    lines = [_INTRODUCTION, "", _line(head), _line(["---"] * (len(SHOWN) + 3) + ["---:"] * 4), *rows]
    return "\n".join([*lines, *(["", "What failed:", "", *failures] if failures else [])])


_INTRODUCTION = """Written by `make environments`: the fast tests with the oldest and the newest version of each dependency
that the bounds in setup.cfg allow and that has a wheel for the Python; one process at a time, beside other work. "Oldest"
holds for what setup.cfg names; what those packages need in turn is as new as they allow."""


def _cells(environment: Environment, outcomes: Mapping[str, Outcome]) -> list[str]:
    versions = environment.versions()
    counts = [sum(getattr(outcome, name) for outcome in outcomes.values()) for name in ("passed", "failed", "skipped")]
    minutes = sum(outcome.seconds for outcome in outcomes.values()) / 60
    pinned = [versions.get(name, "") for name in SHOWN]
    return [
        environment.version,
        environment.resolution,
        *pinned,
        _extent(outcomes),
        *map(str, counts),
        f"{minutes:.0f}",
    ]


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
