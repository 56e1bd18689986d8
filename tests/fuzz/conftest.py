"""How many inputs the fuzz tests tried, reported at the end of the session (also when several processes share the work)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fuzz.cases import TRIED
from tests.results import record

CAMPAIGN = 10_000  # inputs: from this many on, the count goes into tests/RESULTS.md


@pytest.fixture(autouse=True)
def count_cases(record_property: Callable[[str, Any], None]) -> Iterator[None]:
    TRIED.clear()
    yield
    for outcome, count in TRIED.items():
        record_property(f"fuzz {outcome}", count)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    totals: dict[str, int] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, count in (
                getattr(report, "user_properties", ()) if getattr(report, "when", "") == "teardown" else ()
            ):
                if name.startswith("fuzz "):
                    totals[name] = totals.get(name, 0) + count
    if totals:
        outcomes = ", ".join(f"{count:,} {name.removeprefix('fuzz ')}" for name, count in sorted(totals.items()))
        told = f"{sum(totals.values()):,} inputs tried: {outcomes}"
        terminalreporter.write_line(f"fuzz: {told}")
        if sum(totals.values()) > CAMPAIGN and not terminalreporter.stats.get("failed"):
            record("fuzz", told)
