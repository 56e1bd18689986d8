"""`make mutants`: change the source in small ways, one at a time, and see whether a test notices.

A process that has imported the libraries forks for each mutant; the child imports atrcnas from a copy of the tree that
has the change, and runs the module's tests up to the first that fails.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.mutants.changes import Change, changes
from tests.mutants.report import allowed, explanations, show, write

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
JOURNAL = ROOT / "build/mutants.jsonl"
COPIED = ("atrcnas", "analysis", "tests", "experiments", "search_spaces", "setup.cfg", "pyproject.toml", "README.md")
LIBRARIES = ("torch.distributed", "timm", "torchmetrics", "lightning_fabric",
             "scipy.sparse.csgraph", "hypothesis", "pandas", "PIL.Image", "pydantic", "filelock")  # fmt: skip
# Nothing that takes time and finds no fault: other plugins, rewritten assertions, collecting garbage at the end.
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
UNUSED = ("cacheprovider", "unraisableexception", "threadexception")
OPTIONS = [
    "-x",
    "--assert=plain",
    "-m",
    "not slow",
    "-k",
    "not worker_process",
    *(word for name in UNUSED for word in ("-p", f"no:{name}")),
]
# The processor time of a mutant's tests, and how long to wait for one that sleeps, in seconds.
CPU_LIMIT, WAIT_LIMIT = 120, 300


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", default="", help="modules whose path holds this")
    parser.add_argument("--sample", type=int, help="try so many, drawn evenly")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    plan = {
        path: tests
        for path, tests in yaml.safe_load((HERE / "plan.yaml").read_text()).items()
        if arguments.only in path
    }
    every = [change for path in plan for change in changes(path, (ROOT / path).read_text())]
    chosen = random.Random(arguments.seed).sample(every, min(arguments.sample or len(every), len(every)))
    tests = {path: _digest(b"".join((ROOT / test).read_bytes() for test in given)) for path, given in plan.items()}
    outcomes = _known(tests)
    left = [change for change in chosen if _key(change) not in outcomes]
    print(f"{len(chosen)} mutants of {len(every)}, {len(left)} to try", flush=True)
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    _check_unchanged(plan)
    began = time.monotonic()
    for number, (change, outcome) in enumerate(_try_all(left, plan, arguments.jobs), 1):
        outcomes[_key(change)] = outcome
        _note(change, outcome, tests[change.path])
        if outcome == "survived" and change.text not in explanations():
            print(
                f"{number}/{len(left)} survived: {change.path}:{change.line} {change.before} -> {change.after}",
                flush=True,
            )
    counts = Counter(outcomes[_key(change)] for change in chosen)
    survivors = [change for change in chosen if outcomes[_key(change)] == "survived"]
    show(counts, survivors, time.monotonic() - began)
    if not arguments.only and not arguments.sample:
        write(counts, survivors)
    return int(not allowed(counts, survivors))


def _try_all(left: list[Change], plan: dict[str, list[str]], jobs: int) -> Iterator[tuple[Change, str]]:
    queue, running = list(reversed(left)), {}
    with tempfile.TemporaryDirectory() as temporary:
        unchanged, *idle = (_copy(Path(temporary) / str(tree)) for tree in range(jobs + 1))
        while queue or running:
            while queue and idle:
                change, tree = queue.pop(), idle.pop()
                (tree / change.path).write_text(change.source)
                running[_fork(tree, plan[change.path])] = (change, tree)
            pid, status = os.wait()
            change, tree = running.pop(pid)
            _end(pid)
            shutil.copy2(unchanged / change.path, tree / change.path)
            idle.append(tree)
            yield change, _outcome(status)


def _copy(tree: Path) -> Path:
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        tree.mkdir(exist_ok=True)
        copy(ROOT / name, tree / name)
    return tree


def _fork(tree: Path, tests: list[str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        os.setsid()
        signal.alarm(WAIT_LIMIT)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT, CPU_LIMIT))
        status = _test(tree, tests)
    finally:
        os._exit(status)


def _test(tree: Path, tests: list[str]) -> int:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.chdir(tree)
    sys.path[:] = [str(tree), *(place for place in sys.path if Path(place or ".").resolve() != ROOT)]
    os.environ["PYTHONPATH"] = str(tree)
    sys.dont_write_bytecode = True
    for name in [name for name in sys.modules if name.partition(".")[0] in ("tests", "atrcnas", "analysis")]:
        del sys.modules[name]
    return int(pytest.main([*OPTIONS, *tests]))


def _outcome(status: int) -> str:
    if os.WIFSIGNALED(status):
        return "stopped" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL) else "killed"
    return "survived" if os.WEXITSTATUS(status) == 0 else "killed"


def _end(group: int) -> None:
    """End what the tests of a mutant have started and left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _check_unchanged(plan: dict[str, list[str]]) -> None:
    """Tests that fail without any change would seem to notice all of them."""
    with tempfile.TemporaryDirectory() as temporary:
        tree = _copy(Path(temporary) / "unchanged")
        tests = list(dict.fromkeys(test for given in plan.values() for test in given))
        _, status = os.waitpid(_fork(tree, tests), 0)
    if _outcome(status) != "survived":
        sys.exit(f"the tests do not pass as things are, or not within {CPU_LIMIT} s: {' '.join(tests)}")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]


def _key(change: Change) -> str:
    """The change and the module it is made to."""
    return _digest(f"{change.text}\n{change.source}".encode())


def _known(tests: dict[str, str]) -> dict[str, str]:
    """Outcomes of earlier runs; that a mutant survived, as long as its tests are the same."""
    rows = [json.loads(line) for line in JOURNAL.read_text().splitlines()] if JOURNAL.is_file() else []
    return {
        row["key"]: row["outcome"]
        for row in rows
        if row["outcome"] != "survived" or row["tests"] == tests.get(row["path"])
    }


def _note(change: Change, outcome: str, tests: str) -> None:
    JOURNAL.parent.mkdir(exist_ok=True)
    with JOURNAL.open("a") as journal:
        journal.write(json.dumps({"key": _key(change), "path": change.path, "outcome": outcome, "tests": tests}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
