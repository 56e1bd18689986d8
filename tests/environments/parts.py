"""The fast tests in parts, each in a process of its own, so that an interrupted run goes on with the next one."""

from __future__ import annotations

import json
import os
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.environments.environment import ROOT, Environment

TESTS = ROOT / "tests"
BY_FILE = ("e2e",)  # whose files take minutes each


@dataclass(frozen=True)
class Outcome:
    """Of one part in one environment.

    Attributes:
        part: folder or file below tests/.
        pins: digest of the versions.
        commit: of the tree.
        passed, failed, skipped: numbers of tests; those that could not be set up or collected count as failed.
        seconds: that it took.
        failures: names of the tests that failed, each with the first line of its message.
    """

    part: str
    pins: str
    commit: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    failures: tuple[str, ...] = ()


def parts(within: tuple[str, ...] = ()) -> list[str]:
    """Folders and files below tests/ that hold all tests; or those of them in, or above, what is asked for."""
    found = dict.fromkeys(_part(path.relative_to(TESTS)) for path in sorted(TESTS.rglob("test_*.py")))
    wanted = [word.removeprefix("tests/").rstrip("/") for word in within]
    return [part for part in found if not wanted or any(f"{part}/".startswith(f"{word}/") for word in wanted)]


def _part(path: Path) -> str:
    return path.as_posix() if path.parts[0] in BY_FILE else path.parent.as_posix()


def known(environment: Environment) -> dict[str, Outcome]:
    """The latest outcome of each part with these versions."""
    path = _journal(environment)
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return {row["part"]: Outcome(**row) for row in rows if row["pins"] == environment.digest}


def run(environment: Environment, part: str, commit: str) -> Outcome:
    """Run one part, and write its outcome down."""
    report = environment.folder / "report.xml"
    report.unlink(missing_ok=True)
    began = time.monotonic()
    output = environment.folder / "output" / part.replace("/", "-")
    output.parent.mkdir(exist_ok=True)
    with output.open("w") as stream:
        words = ["-m", "pytest", "-m", "not slow", "-p", "no:cacheprovider", f"--junitxml={report}", f"tests/{part}"]
        subprocess.run(
            [environment.python, *words],
            cwd=ROOT,
            env=_surroundings(environment),
            stdout=stream,
            stderr=stream,
            check=False,
        )
    outcome = _outcome(environment, part, commit, report, time.monotonic() - began)
    with _journal(environment).open("a") as stream:
        stream.write(json.dumps(asdict(outcome)) + "\n")
    return outcome


def _outcome(environment: Environment, part: str, commit: str, report: Path, seconds: float) -> Outcome:
    told = (part, environment.digest, commit)
    if not report.is_file():
        return Outcome(*told, 0, 1, 0, round(seconds, 1), (f"{part}: pytest wrote no report",))
    (suite,) = ET.parse(report).getroot().iter("testsuite")
    number = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    failed = number["failures"] + number["errors"]
    passed = number["tests"] - failed - number["skipped"]
    return Outcome(*told, passed, failed, number["skipped"], round(seconds, 1), tuple(_failures(suite)))


def _failures(suite: ET.Element) -> Iterator[str]:
    for case in suite.iter("testcase"):
        for kind in ("failure", "error"):
            for found in case.iter(kind):
                message = (found.get("message") or "").partition("\n")[0]
                yield f"{case.get('classname')}::{case.get('name')}: {message:.160}"


def _journal(environment: Environment) -> Path:
    return environment.folder / "outcomes.jsonl"


def _surroundings(environment: Environment) -> dict[str, str]:
    """This process's, with the environment's programs first and nothing of the environment that runs this."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    path = os.pathsep.join((str(environment.python.parent), os.environ.get("PATH", "")))
    return {**kept, "PATH": path, "OMP_NUM_THREADS": "1"}
