"""What survived, and why that may be."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path

import yaml

from tests.mutants.changes import Change

MAX_UNEXPLAINED = 0.05


@functools.cache
def explanations() -> dict[str, str]:
    """Change -> why no test can notice it, or need not."""
    grouped = yaml.safe_load(Path(__file__).with_name("explained.yaml").read_text()) or {}
    return {text: why for why, texts in grouped.items() for text in texts}


def unexplained(survivors: list[Change]) -> list[Change]:
    return [change for change in survivors if change.text not in explanations()]


def allowed(counts: Counter[str], survivors: list[Change]) -> bool:
    return len(unexplained(survivors)) <= MAX_UNEXPLAINED * sum(counts.values())


def told(counts: Counter[str], survivors: list[Change]) -> str:
    total, open_ = sum(counts.values()), len(unexplained(survivors))
    stopped = f" ({counts['stopped']} by running too long)" if counts["stopped"] else ""
    return (
        f"{total} mutants, {total - len(survivors)} noticed{stopped}, {len(survivors) - open_} explained, "
        f"{open_} survived ({open_ / max(total, 1):.1%})"
    )


def show(counts: Counter[str], survivors: list[Change], seconds: float) -> None:
    print(f"{told(counts, survivors)}; {seconds / 60:.1f} min")
    for change in unexplained(survivors):
        print(f'  - "{change.text}"  # line {change.line}')


def write(counts: Counter[str], survivors: list[Change]) -> None:
    """Put the table of survivors into tests/RESULTS.md."""
    from tests.results import record, record_part  # which imports torch

    rows = ["| where | before | after | why it may survive |", "| --- | --- | --- | --- |"]
    for change in survivors:
        where = f"`{change.path}:{change.line}`"
        before, after = (text.replace("|", "\\|") for text in (change.before, change.after))
        why = explanations().get(change.text, "**not explained**")
        rows.append(f"| {where} | `{before}` | `{after}` | {why} |")
    record("make mutants", told(counts, survivors))
    record_part("Mutants that survive", "\n".join(rows))
