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
from pathlib import Path
from typing import Any

from tests.fuzz.guided.worker import TARGETS, fuzz
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
    chosen = arguments.target or list(TARGETS)
    goals = {name: arguments.executions or TARGETS[name].executions for name in chosen}
    for least in () if arguments.report else (ROUND, math.inf):  # so that a run that is cut short has tried all of them
        for name, goal in goals.items():
            run(name, int(min(goal, least)), arguments.build / name)
    states = {name: state(arguments.build / name) for name in chosen}
    found = sorted(path for name in chosen for path in finds(arguments.build / name))
    print("\n".join([*table(states), *map(str, found)]))
    if arguments.build == BUILD and not arguments.target:
        head = f"Written by `make fuzz`; one process at a time on a machine with {os.cpu_count()} CPU cores.\n"
        record_part("Coverage-guided fuzzing", "\n".join([head, *table(states)]))
    return int(bool(found))


def run(name: str, executions: int, folder: Path) -> None:
    """Bring a target to this many executions in all."""
    for _ in range(MAX_RESTARTS):
        left = executions - state(folder).get("executions", 0)
        if left <= 0:
            return
        status = fuzz(name, left, folder)
        covered = re.findall(r"cov: (\d+)", (folder / "log.txt").read_text(errors="replace"))
        told = {**state(folder), "edges": max(map(int, covered), default=0)}
        (folder / "state.json").write_text(json.dumps(told))
        print(f"{name}: {told.get('executions', 0):,} executions, {told['edges']} edges, status {status}", flush=True)


def state(folder: Path) -> dict[str, Any]:
    """Counts so far."""
    kept = folder / "state.json"
    value: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    return value


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
