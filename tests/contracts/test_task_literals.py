"""A task's name is a literal in the task table only (and in the data sets, which speak of files)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from atrcnas.spec.tasks import TASKS

PACKAGE = Path(__file__).resolve().parents[2] / "atrcnas"
# Readers name their files after tasks; metrics are registered under names of their own, two of them also a task's.
ALLOWED = ("spec/tasks.py", "data/", "spec/metrics.py")
BUILT_IN = ("semseg", "human_parts", "depth", "normals", "sal", "edge")
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if not str(path.relative_to(PACKAGE)).startswith(ALLOWED)]


def docstrings(tree: ast.AST) -> set[ast.AST]:
    """Strings that stand alone as a statement."""
    alone = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
    return {value for value in alone if isinstance(value, ast.Constant)}


def literals(source: str) -> list[str]:
    tree = ast.parse(source)
    skipped = docstrings(tree)
    return [
        f"line {node.lineno}: {node.value!r}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in BUILT_IN and node not in skipped
    ]


def test_the_table_holds_the_names_looked_for() -> None:
    assert set(BUILT_IN) <= set(TASKS.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_task_name_outside_the_table(path: Path) -> None:
    assert literals(path.read_text(encoding="utf-8")) == []


def test_a_literal_would_be_found_and_a_docstring_not() -> None:
    assert literals('def f(x):\n    """depth"""\n    "edge"\n    return x == "sal"') == ["line 4: 'sal'"]
