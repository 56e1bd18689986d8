"""Small changes to a module's source that some test should notice."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SWAPPED: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Mod: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
# What a negated condition would only repeat.
NEGATED = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
REMOVED = (ast.Expr, ast.AugAssign, ast.Raise, ast.Continue, ast.Break)
NOT_CODE = {"annotation", "returns", "type_comment", "ctx", "op", "ops", "decorator_list"}


@dataclass(frozen=True)
class Change:
    """One mutant.

    Attributes:
        path: of the module, from the repository's root.
        line: where the changed expression begins.
        scope: function, or class and method.
        before: the statement (of a compound one, its head).
        after: the same, changed.
        source: the whole module, changed.
    """

    path: str
    line: int
    scope: str
    before: str
    after: str
    source: str

    @property
    def text(self) -> str:
        """What tells it from others, without the line, which moves."""
        return f"{self.path} {self.scope}: {self.before} -> {self.after}"


def changes(path: str, source: str) -> list[Change]:
    """All changes of a module, each text once."""
    tree = ast.parse(source)
    found = {change.text: change for change in _of_block(path, tree, tree, "")}
    return list(found.values())


def _of_block(path: str, tree: ast.Module, owner: ast.AST, scope: str) -> Iterator[Change]:
    for block in (part for part in (getattr(owner, name, []) for name in ("body", "orelse", "finalbody")) if part):
        for index, statement in enumerate(block if isinstance(block, list) else []):
            here = f"{scope}.{statement.name}".strip(".") if _named(statement) else scope
            if not _skipped(statement):
                for place, key, new in _sites(block, index, statement):
                    yield _changed(path, tree, statement, here, (place, key, new))
            yield from _of_block(path, tree, statement, here)


def _changed(path: str, tree: ast.Module, statement: ast.stmt, scope: str, site: tuple[Any, Any, Any]) -> Change:
    place, key, new = site
    before, old = _head(statement), _get(place, key)
    line = getattr(old, "lineno", statement.lineno)
    _set(place, key, new)
    try:
        whole = isinstance(new, ast.Pass)
        return Change(path, line, scope, before, "pass" if whole else _head(statement), ast.unparse(tree))
    finally:
        _set(place, key, old)


def _sites(block: list[ast.stmt], index: int, statement: ast.stmt) -> Iterator[tuple[Any, Any, Any]]:
    """Where to put what: a node and its attribute, or a list and an index."""
    sets = isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Attribute | ast.Subscript)
    if isinstance(statement, REMOVED) or sets:
        yield block, index, ast.Pass()
    decorators = getattr(statement, "decorator_list", [])
    for i, decorator in enumerate(decorators):
        if isinstance(decorator, ast.Call):  # torch.no_grad(), contextmanager; a class without its dataclass is none
            yield statement, "decorator_list", decorators[:i] + decorators[i + 1 :]
    if not isinstance(statement, ast.Raise):  # a message's words are no behaviour
        yield from _within(statement)


def _within(node: ast.AST) -> Iterator[tuple[Any, Any, Any]]:
    for name, value in ast.iter_fields(node):
        if name in NOT_CODE or isinstance(value, ast.JoinedStr):
            continue
        if name in ("test", "ifs"):
            yield from _conditions(node, name, value)
        for place, key, child in (
            [(value, i, v) for i, v in enumerate(value)] if isinstance(value, list) else [(node, name, value)]
        ):
            if isinstance(child, ast.AST) and not isinstance(child, ast.stmt | ast.JoinedStr | ast.ExceptHandler):
                if isinstance(child, ast.keyword) and child.arg == "strict":  # an assertion of zip's
                    continue
                yield from ((place, key, new) for new in _alternatives(child))
                yield from _within(child)


def _conditions(node: ast.AST, name: str, value: Any) -> Iterator[tuple[Any, Any, Any]]:
    for place, key, test in [(value, i, v) for i, v in enumerate(value)] if name == "ifs" else [(node, name, value)]:
        simple = isinstance(test, ast.Compare) and isinstance(test.ops[0], NEGATED)
        if not simple and not isinstance(test, ast.UnaryOp):
            yield place, key, ast.UnaryOp(ast.Not(), test)


def _alternatives(node: ast.AST) -> Iterator[ast.AST]:
    new: Any = copy.copy(node)
    match node:
        case ast.Compare(ops=[op]) if type(op) in SWAPPED:
            new.ops = [SWAPPED[type(op)]()]
            yield new
        case ast.BinOp(op=op) | ast.BoolOp(op=op) if type(op) in SWAPPED:
            new.op = SWAPPED[type(op)]()
            yield new
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(2 * value or 1.0)
        case ast.Call(args=args, keywords=keywords):
            for i, given in enumerate(keywords):
                if not isinstance(getattr(given.value, "value", None), bool):  # which is turned round above
                    yield ast.Call(node.func, args, keywords[:i] + keywords[i + 1 :])
            named = len(args) >= 2 and all(isinstance(arg, ast.Name | ast.Attribute) for arg in args[:2])
            if named and ast.dump(args[0]) != ast.dump(args[1]):
                yield ast.Call(node.func, [args[1], args[0], *args[2:]], keywords)


def _named(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.FunctionDef | ast.ClassDef)


def _skipped(statement: ast.stmt) -> bool:
    """Docstrings and declarations."""
    text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    declares = isinstance(statement, ast.AnnAssign) and statement.value is None
    return text or declares or isinstance(statement, ast.Import | ast.ImportFrom)


def _head(statement: ast.stmt) -> str:
    if not hasattr(statement, "body"):
        return ast.unparse(statement)
    decorated = [f"@{ast.unparse(name)}" for name in getattr(statement, "decorator_list", [])]
    bare = copy.copy(statement)
    bare.body, bare.decorator_list = [ast.Pass()], []  # type: ignore[attr-defined]
    for name in ("orelse", "handlers", "finalbody"):
        if hasattr(bare, name):
            setattr(bare, name, [])
    if isinstance(bare, ast.Try):
        return "try"
    return " ".join([*decorated, ast.unparse(bare).split("\n")[0]])


def _get(place: Any, key: Any) -> Any:
    return place[key] if isinstance(place, list) else getattr(place, key)


def _set(place: Any, key: Any, new: Any) -> None:
    if isinstance(place, list):
        place[key] = new
    else:
        setattr(place, key, new)
