"""How many inputs the fuzz tests tried, told at the end of the session (also when several processes share the work)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fuzz.cases import TRIED


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
        told = ", ".join(f"{count} {name.removeprefix('fuzz ')}" for name, count in sorted(totals.items()))
        terminalreporter.write_line(f"fuzz: {sum(totals.values())} inputs tried: {told}")
