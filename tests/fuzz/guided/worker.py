"""One target under atheris, in a process of its own.

What breaks the rule is kept in `finds` of its folder, one input for each place in the code, and the fuzzing goes on; counts
are kept in `state.json`. An input that ends the process (a crash in C, a hang) is left beside it by libFuzzer.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import resource
import sys
import time
import traceback
import warnings
import zlib
from collections import deque
from pathlib import Path
from typing import Any

import atheris

# Imported before the instrumentation: what is fuzzed is this package.
import matplotlib.pyplot  # noqa: F401
import pandas  # noqa: F401
import scipy.io  # noqa: F401
import timm  # noqa: F401
import torch.export  # noqa: F401

MAX_ADDRESS_GB, HANG_SECONDS, SAVE_EVERY, KINDS = 4, 60, 2.0, 256

with atheris.instrument_imports(include=["atrcnas"]):
    from tests.fuzz.guided.rule import Target, judge
    from tests.fuzz.guided.targets import TARGETS


class Worker:
    """Counts what came of the inputs, and keeps those that break the rule."""

    def __init__(self, target: Target, folder: Path, goal: int) -> None:
        self.target, self.folder, self.goal, self.ran, self.saved = target, folder, goal, 0, time.monotonic()
        self.accepted: deque[bytes] = deque(maxlen=200)
        self.file = folder / "state.json"
        empty = {"executions": 0, "accepted": 0, "refused": 0, "finds": 0, "slowest": 0.0, "grown_mb": 0.0, "cpu": 0.0}
        self.state: dict[str, Any] = {**empty, **(json.loads(self.file.read_text()) if self.file.is_file() else {})}
        # Much of what readers tell apart is told in libraries without instrumentation: the kind of a refusal counts as an edge.
        self.kinds = [atheris._reserve_counter() for _ in range(KINDS)]
        self.before, self.cpu = self.state["cpu"], time.process_time()

    def one_input(self, content: bytes) -> None:
        state = self.state
        self.ran += 1
        state["executions"] += 1
        try:
            outcome = judge(self.target, content)
        except Exception as error:
            state["finds"] += 1
            self._keep(content, error)
        else:
            state["accepted" if outcome.refusal is None else "refused"] += 1
            atheris._trace_branch(self.kinds[_kind(outcome.refusal)])
            if outcome.refusal is None:
                self.accepted.append(content)
            state["slowest"] = max(state["slowest"], outcome.seconds)
            state["grown_mb"] = max(state["grown_mb"], outcome.grown_mb)
        if self.ran >= self.goal or time.monotonic() - self.saved > SAVE_EVERY:
            self.saved = time.monotonic()
            state["cpu"] = self.before + time.process_time() - self.cpu
            temporary = self.file.with_suffix(".new")
            temporary.write_text(json.dumps(state))
            temporary.replace(self.file)

    def mutate(self, content: bytes, max_size: int, seed: int) -> bytes:
        """For atheris."""

        def raw(part: bytes) -> bytes:
            return bytes(atheris.Mutate(part, len(part) + 16))

        chosen, mutator = random.Random(seed), self.target.mutator
        # Most kept inputs are refused, each in a way of its own, and what is made of them is refused too.
        content = chosen.choice(self.accepted) if self.accepted and chosen.randrange(2) else content
        if mutator is None or chosen.randrange(10) == 0:
            return bytes(atheris.Mutate(content, max_size))
        return mutator(content, chosen, raw)[:max_size]

    def _keep(self, content: bytes, error: Exception) -> None:
        frames = [
            f"{Path(frame.filename).name}:{frame.name}:{frame.lineno}"
            for frame in traceback.extract_tb(error.__traceback__)
        ]
        ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "/atrcnas/" in frame.filename]
        where = f"{type(error).__name__} {ours[-1].filename if ours else ''}:{ours[-1].lineno if ours else ''}"
        name = hashlib.sha256(where.encode()).hexdigest()[:12]
        kept = self.folder / "finds" / name
        if not kept.exists() or len(content) < kept.stat().st_size:
            kept.parent.mkdir(exist_ok=True)
            kept.write_bytes(content)
            told = f"{where}\n{type(error).__name__}: {error!s:.2000}\n{' > '.join(frames)}\n"
            kept.with_suffix(".txt").write_text(told, errors="backslashreplace")


def _kind(refusal: str | None) -> int:
    if refusal is None:
        return 0
    form = re.sub(r"'[^']*'|/\S+|[\d.]+|got .*", "", refusal[:500])
    return 1 + zlib.crc32(form.encode("utf-8", "replace")) % (KINDS - 1)


def fuzz(name: str, goal: int, folder: Path) -> int:
    """Run a target on ``goal`` inputs, in a fork of this process, so that libraries are imported once.

    Returns:
        The exit status of the process, negative if a signal ended it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        with (folder / "log.txt").open("ab") as log:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
        _fuzz(TARGETS[name], goal, folder)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def _fuzz(target: Target, goal: int, folder: Path) -> None:
    warnings.simplefilter("ignore")
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
        judge(target, seed)  # what is loaded on first use does not count as an input's
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = used + MAX_ADDRESS_GB * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**30, 2**30))
    worker = Worker(target, folder, goal)
    options = {
        "runs": goal,
        "max_len": target.max_bytes,
        "timeout": HANG_SECONDS,
        "rss_limit_mb": 0,
        "seed": int.from_bytes(os.urandom(3)),
    }
    arguments = [f"-{key}={value}" for key, value in options.items()]
    atheris.Setup(
        ["fuzz", *arguments, f"-artifact_prefix={folder}/", str(corpus)], worker.one_input, custom_mutator=worker.mutate
    )
    atheris.Fuzz()
