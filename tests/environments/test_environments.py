"""What `make environments` keeps and writes, without making any."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.environments.environment import Environment, made
from tests.environments.parts import TESTS, Outcome, known, parts
from tests.environments.table import SHOWN, table


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    folder = tmp_path / "3.12-oldest"
    folder.mkdir()
    (folder / "requirements.txt").write_text("numpy==1.26.0\ntorch==2.6.0\n")
    (environment,) = made(tmp_path)
    return environment


def outcome(environment: Environment, part: str, failed: int = 0) -> Outcome:
    return Outcome(part, environment.digest, "abc", 10, failed, 1, 90.0, ("x::y: KeyError: z",) * failed)


def test_every_test_file_is_in_one_part() -> None:
    found = parts()
    for file in TESTS.rglob("test_*.py"):
        path = file.relative_to(TESTS)
        assert len({path.as_posix(), path.parent.as_posix()} & set(found)) == 1, path
    assert parts(("tests/unit/data", "e2e/test_budget.py")) == ["e2e/test_budget.py", "unit/data"]
    assert {"unit/nn", "unit/spec"} <= set(parts(("unit",))) < set(found)


def test_the_latest_outcome_of_a_part_counts_and_none_of_other_versions(environment: Environment) -> None:
    first, second = outcome(environment, "unit/data", failed=2), outcome(environment, "unit/data")
    rows = [first, replace(outcome(environment, "contracts"), pins="others"), second]
    (environment.folder / "outcomes.jsonl").write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    assert {part: found.failed for part, found in known(environment).items()} == {"unit/data": 0}


def test_the_table_says_what_ran_what_failed_and_which_pythons_are_not_here(environment: Environment) -> None:
    ran = {part: outcome(environment, part, failed=part == "contracts") for part in ("contracts", "unit/data")}
    text = table({environment: ran}, [("3.13", "newest")])
    row, missing = (line for line in text.splitlines() if line.startswith("| 3."))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    number = sum(part.startswith("unit/") for part in parts())
    assert cells[2:7] == ["2.6.0", "", "", "", "1.26.0"], list(SHOWN)[:5]
    assert cells[-5:] == [f"contracts, 1 of {number} parts of unit", "20", "1", "2", "3"]
    assert "| not available here |" in missing
    assert "- 3.12, oldest: `x::y: KeyError: z`" in text
    everything = {part: outcome(environment, part) for part in parts()}
    assert "| all |" in table({environment: everything}, [])
