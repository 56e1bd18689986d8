"""Trials that cost nothing, with a score of its own for every config, and workers that misbehave."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCORE, FAULT = "tests.unit.launch.fake:score", "tests.unit.launch.fake:fault"
KINDS = ("none", "global", "local", "tlabel")
POOLS = {f"{target}<-{source}": KINDS for target in "abc" for source in "abc"}


def true_score(sample: Mapping[str, str]) -> float:
    """Share of `local`, and a fraction that no other config has."""
    digest = hashlib.sha256(json.dumps(sorted(sample.items())).encode()).hexdigest()
    return sum(kind == "local" for kind in sample.values()) + int(digest[:12], 16) / 16**12 / 10


def true_rows(sample: Mapping[str, str]) -> dict[str, float]:
    """The same of each target's row by itself."""
    rows: dict[str, dict[str, str]] = {}
    for pair, kind in sample.items():
        rows.setdefault(pair[0], {})[pair] = kind
    return {target: true_score(row) for target, row in rows.items()}


def score(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The score, after a time that has nothing to do with the order of asking."""
    sample = dict(payload["sample"])
    _note(payload, "begun", sample)
    time.sleep(payload.get("slow", 0.0) * (true_score(sample) % 0.1) * 10)
    _note(payload, "calls", sample)
    fields = {"steps": 5, "seconds": 0.5, "seed": 0, "folder": "", "by_target": true_rows(sample)}
    fields["share"] = payload.get("share", 1.0)
    return {"sample": sample, "score": true_score(sample), **fields}


def _note(payload: Mapping[str, Any], what: str, sample: Mapping[str, str]) -> None:
    if "notes" in payload:
        with (Path(payload["notes"]) / f"{what}.txt").open("a") as stream:
            stream.write(json.dumps(sample) + "\n")


def fault(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Die as often as asked, or raise, or print, then say how often it was called."""
    tries = Path(payload["folder"])
    tries.mkdir(exist_ok=True)
    number = len(list(tries.iterdir()))
    (tries / str(number)).touch()
    print("a line that is not an answer")
    if number < payload.get("deaths", 0):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(payload.get("sleeps", 0))
    if payload.get("raises"):
        raise ValueError("what went wrong")
    return {"calls": number + 1, "threads": os.environ["OMP_NUM_THREADS"], "pid": os.getpid()}
