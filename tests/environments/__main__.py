"""`make environments`: run the fast tests with several Pythons, and the oldest and newest versions of what they need.

Versions and outcomes are kept, so that a run that was interrupted goes on; parts in which a test failed are tried
again. Remove a folder of build/environments to begin anew with the versions of the day.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path

from atrcnas.runs.environment import commit
from tests.environments.environment import RESOLUTIONS, ROOT, CannotMakeError, Environment, find, made
from tests.environments.parts import known, parts, run
from tests.environments.table import TITLE, table
from tests.results import record_part


def main() -> int:
    parser = argparse.ArgumentParser(prog="make environments", description=__doc__, allow_abbrev=False)
    pythons = ["3.11", "3.12", "3.13"]
    parser.add_argument("--python", nargs="+", default=pythons, help="versions, commands or paths of interpreters")
    parser.add_argument("--versions", nargs="+", choices=RESOLUTIONS, default=list(RESOLUTIONS))
    parser.add_argument("--tests", nargs="+", default=[], help="only these folders or files below tests/")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/environments", help="of environments and outcomes")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no further part after this time")
    parser.add_argument("--report", action="store_true", help="run nothing; write what is known")
    arguments = parser.parse_args()
    ends = time.monotonic() + 60 * arguments.minutes
    missing: list[tuple[str, str]] = []
    for python, resolution in [] if arguments.report else itertools.product(arguments.python, arguments.versions):
        try:
            environment = find(python, resolution, arguments.folder)
            environment.make()
            _test(environment, tuple(arguments.tests), ends)
        except (CannotMakeError, FileNotFoundError) as error:
            print(f"{python}, {resolution}: {error}", file=sys.stderr)
            missing.append((python, resolution))
    outcomes = {environment: known(environment) for environment in made(arguments.folder)}
    record_part(TITLE, table(outcomes, missing))
    return int(any(outcome.failed for found in outcomes.values() for outcome in found.values()))


def _test(environment: Environment, within: tuple[str, ...], ends: float) -> None:
    done = known(environment)
    for part in parts(within):
        if part in done and not done[part].failed:
            continue
        if time.monotonic() > ends:
            return
        outcome = run(environment, part, commit() or "unknown")
        told = f"{outcome.passed} passed, {outcome.failed} failed, {outcome.skipped} skipped in {outcome.seconds:.0f} s"
        print(f"{environment.version}, {environment.resolution}: {part}: {told}", flush=True)
        for failure in outcome.failures:
            print(f"    {failure}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
