"""`make fuzz`: coverage-guided fuzzing of every reader; `python -m tests.fuzz.guided [--target NAME] [--executions N]`.

Each target runs in a process of its own and goes on where an earlier run ended: inputs, counts and finds are kept in
build/fuzz/NAME. Remove that folder to begin again, as after a change of the reader.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.results import record_part

ROOT = Path(__file__).parents[3]
BUILD = ROOT / "build/fuzz"
MAX_RESTARTS, ROUND = 5, 20_000
COUNTS = ("executions", "accepted", "refused", "finds", "edges")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__, allow_abbrev=False)
    parser.add_argument("--target", action="append", help="only this one; may be repeated")
    parser.add_argument("--executions", type=int, help="of each target; its share of a campaign if absent")
    parser.add_argument("--build", type=Path, default=BUILD, help="where inputs and counts are kept")
    parser.add_argument("--report", action="store_true", help="run no more; write tests/RESULTS.md")
    arguments = parser.parse_args()
    if arguments.report:
        chosen = arguments.target or sorted(path.name for path in arguments.build.glob("*") if path.is_dir())
    else:
        chosen = campaign(arguments.target, arguments.executions, arguments.build)
    states = {name: state(arguments.build / name) | {"edges": edges(arguments.build / name)} for name in chosen}
    found = sorted(path for name in chosen for path in finds(arguments.build / name))
    print("\n".join([*table(states), *map(str, found)]))
    if arguments.build == BUILD and not arguments.target:
        head = f"Written by `make fuzz`; one process at a time on a machine with {os.cpu_count()} CPU cores.\n"
        record_part("Coverage-guided fuzzing", "\n".join([head, *table(states)]))
    return int(bool(found))


def campaign(names: Sequence[str] | None, executions: int | None, build: Path) -> list[str]:
    """Bring each target to its number of executions; returns their names."""
    from tests.fuzz.guided.worker import TARGETS  # which imports all that is fuzzed

    goals = {name: executions or TARGETS[name].executions for name in names or TARGETS}
    for least in (ROUND, math.inf):  # so that a run that is cut short has tried all of them
        for name, goal in goals.items():
            run(name, int(min(goal, least)), build / name)
    return list(goals)


def run(name: str, executions: int, folder: Path) -> None:
    """Bring a target to this many executions in all."""
    from tests.fuzz.guided.worker import fuzz

    for _ in range(MAX_RESTARTS):
        left = executions - state(folder).get("executions", 0)
        if left <= 0:
            return
        status = fuzz(name, left, folder)
        print(
            f"{name}: {state(folder).get('executions', 0):,} executions, {edges(folder)} edges, status {status}",
            flush=True,
        )


def state(folder: Path) -> dict[str, Any]:
    """Counts so far."""
    kept = folder / "state.json"
    value: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    return value


def edges(folder: Path) -> int:
    """The most that a run covered."""
    log = folder / "log.txt"
    covered = re.findall(r"cov: (\d+)", log.read_text(errors="replace")) if log.is_file() else []
    return max(map(int, covered), default=0)


def finds(folder: Path) -> list[Path]:
    """Inputs that broke the rule, or ended the process."""
    ended = [path for kind in ("crash", "timeout", "oom") for path in folder.glob(f"{kind}-*")]
    return [*ended, *(path for path in folder.glob("finds/*") if path.suffix != ".txt")]


def table(states: dict[str, dict[str, Any]]) -> list[str]:
    """Counts per target, and their sum, or the largest."""
    total: dict[str, Any] = {key: sum(found.get(key, 0) for found in states.values()) for key in (*COUNTS, "cpu")}
    total |= {key: max((found.get(key, 0) for found in states.values()), default=0) for key in ("slowest", "grown_mb")}
    rows = [
        f"| target | {' | '.join(COUNTS)} | slowest, ms | memory, MB | CPU s |",
        f"| --- |{' ---: |' * (len(COUNTS) + 3)}",
    ]
    for name, found in {**states, "all": total}.items():
        counts = [f"{found.get(key, 0):,}" for key in COUNTS]
        measured = [1000 * found.get("slowest", 0), found.get("grown_mb", 0), found.get("cpu", 0)]
        rows.append(f"| {name} | {' | '.join([*counts, *(f'{value:.0f}' for value in measured)])} |")
    return rows


if __name__ == "__main__":
    sys.exit(main())
