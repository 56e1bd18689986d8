"""`make mutants`: change the source in small ways, one at a time, and see whether a test notices.

A process that has imported the libraries forks for each mutant; the child imports the changed module in place of the
one on disk and runs the module's tests up to the first that fails. Outcomes are kept in build/mutants.jsonl, so that a
run that was interrupted goes on, and a later one tries only what has changed.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import importlib
import json
import os
import resource
import signal
import sys
import time
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

import pytest
import yaml

from tests.mutants.changes import Change, changes
from tests.mutants.report import Outcome, report

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
JOURNAL = ROOT / "build/mutants.jsonl"
LIBRARIES = ("torch.distributed", "timm", "torchmetrics", "lightning_fabric",
             "scipy.sparse.csgraph", "hypothesis", "pandas", "PIL.Image", "pydantic", "filelock")  # fmt: skip
# Nothing that takes time and finds no fault: other plugins, rewritten assertions, collecting garbage at the end.
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
UNUSED = [word for name in ("cacheprovider", "unraisableexception", "threadexception") for word in ("-p", f"no:{name}")]
OPTIONS = ["-x", "--assert=plain", "-m", "not slow", *UNUSED]
# The processor time of a mutant's tests, and how long to wait for one that sleeps, in seconds; one that takes longer
# is noticed: it runs forever, or nearly so.
CPU_LIMIT, WAIT_LIMIT = 120, 300


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", default="", help="try only modules whose path holds this")
    parser.add_argument("--report", action="store_true", help="try no more; write what is known")
    arguments = parser.parse_args()
    plan = yaml.safe_load((HERE / "plan.yaml").read_text())
    digests = {path: _digest(b"".join((ROOT / test).read_bytes() for test in tests)) for path, tests in plan.items()}
    known = _known(digests)
    every = [change for path in plan for change in changes(path, (ROOT / path).read_text())]
    left = [change for change in every if _key(change) not in known and arguments.only in change.path]
    print(f"{len(every)} mutants, {len(left)} to try", flush=True)
    if left and not arguments.report:
        for name in LIBRARIES:
            importlib.import_module(name)
        gc.freeze()
        _check_unchanged([test for path in {change.path: None for change in left} for test in plan[path]])
        for change in left:
            outcome = known[_key(change)] = _try(change, plan[change.path])
            _note(change, outcome, digests[change.path])
    return report([(change, known.get(_key(change))) for change in every], writes=not arguments.only)


def _try(change: Change | None, tests: list[str]) -> Outcome:
    began = time.monotonic()
    child = os.fork()
    if not child:
        status = 70
        try:
            os.setsid()
            status = _test(change, tests)
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return Outcome(survived=status == 0, seconds=round(time.monotonic() - began, 1))


def _test(change: Change | None, tests: list[str]) -> int:
    signal.alarm(WAIT_LIMIT)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT, CPU_LIMIT))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    if change is not None:
        _import_changed(ROOT / change.path, change.source)
    return int(pytest.main([*OPTIONS, *tests]))


def _import_changed(path: Path, source: str) -> None:
    whole = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, name: str) -> CodeType | None:
        return compile(source, self.path, "exec") if Path(self.path) == path else whole(self, name)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]


def _check_unchanged(tests: list[str]) -> None:
    """Tests that fail without any change would seem to notice all of them."""
    for test in dict.fromkeys(tests):
        if not _try(None, [test]).survived:
            sys.exit(f"{test} does not pass as things are, or not within {CPU_LIMIT} s")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]


def _key(change: Change) -> str:
    """The change and the module it is made to."""
    return _digest(f"{change.text}\n{change.source}".encode())


def _known(digests: dict[str, str]) -> dict[str, Outcome]:
    """Outcomes of earlier runs; that a mutant survived, as long as its tests are the same."""
    rows = [json.loads(line) for line in JOURNAL.read_text().splitlines()] if JOURNAL.is_file() else []
    return {
        row["key"]: Outcome(row["survived"], row["seconds"])
        for row in rows
        if not row["survived"] or row["tests"] == digests.get(row["path"])
    }


def _note(change: Change, outcome: Outcome, digest: str) -> None:
    JOURNAL.parent.mkdir(exist_ok=True)
    row = {"key": _key(change), "path": change.path, "tests": digest, **outcome._asdict(), "text": change.text}
    with JOURNAL.open("a") as journal:
        journal.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    sys.exit(main())
