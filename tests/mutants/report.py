"""What survived, and why that may be."""

from __future__ import annotations

import os
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.mutants.changes import Change

MAX_UNEXPLAINED = 0.05


class Outcome(NamedTuple):
    """Of one mutant: whether all tests passed, and how long they took."""

    survived: bool
    seconds: float


def report(outcomes: Sequence[tuple[Change, Outcome | None]], writes: bool) -> int:
    """Print what is not explained, and write both tables into tests/RESULTS.md.

    Args:
        outcomes: all mutants; None for those not tried.
        writes: whether to write.

    Returns:
        1 if too many are not explained, or some are not tried; else 0.
    """
    grouped = yaml.safe_load(Path(__file__).with_name("explained.yaml").read_text())
    why = {text: reason for reason, texts in grouped.items() for text in texts}
    survivors = [change for change, outcome in outcomes if outcome and outcome.survived]
    unexplained = [change for change in survivors if change.text not in why]
    for change in unexplained:
        print(f'- "{change.text}"  # line {change.line}')
    for text in why.keys() - {change.text for change in survivors}:
        print(f"explained, but noticed, gone or not tried: {text}")
    rows = _parts(outcomes, why)
    print("\n".join(rows))
    if writes:
        from tests.results import record_part  # which imports torch

        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
        head = (
            f"Written by `make mutants` at commit {commit}; one process on a machine with {os.cpu_count()} CPU cores.\n"
        )
        record_part("Mutants", "\n".join([head, *rows, "", *_survivors(survivors, why)]))
    return int(len(unexplained) > MAX_UNEXPLAINED * len(outcomes) or any(outcome is None for _, outcome in outcomes))


def _parts(outcomes: Sequence[tuple[Change, Outcome | None]], why: dict[str, str]) -> list[str]:
    sums: dict[str, list[float]] = defaultdict(lambda: [0] * 6)
    for change, outcome in outcomes:
        survived = outcome is not None and outcome.survived
        explained = survived and change.text in why
        noticed = outcome is not None and not survived
        counts = (1, outcome is None, noticed, explained, survived and not explained, outcome.seconds if outcome else 0)
        for part in (change.path.split("/")[1], "all"):
            sums[part] = [a + b for a, b in zip(sums[part], counts, strict=True)]
    head = ["| part | mutants | not tried | noticed | explained | unexplained | seconds |", "| --- |" + " ---: |" * 6]
    return head + [
        f"| {part} | " + " | ".join(f"{value:.0f}" for value in sums[part]) + " |" for part in sorted(sums, key=len)
    ]


def _survivors(survivors: Sequence[Change], why: dict[str, str]) -> list[str]:
    rows = ["| where | before | after | why it may survive |", "| --- | --- | --- | --- |"]
    for change in survivors:
        before, after = (text.replace("|", "\\|") for text in (change.before, change.after))
        reason = why.get(change.text, "**not explained**")
        rows.append(f"| `{change.path}:{change.line}` | `{before}` | `{after}` | {reason} |")
    return rows
