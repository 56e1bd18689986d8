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
NEGATED = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
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
    """All changes of a module, each text once; its docstrings left out, so that outcomes outlive another wording."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""
    found = {}
    for block, index, scope in _statements(tree, ""):
        statement = block[index]
        before = _head(statement)
        for place, key, new in _sites(block, index):
            old, place[key] = place[key], new
            after = "pass" if isinstance(new, ast.Pass) else _head(statement)
            line = getattr(old, "lineno", statement.lineno)
            change = Change(path, line, scope, before, after, ast.unparse(tree))
            place[key] = old
            found[change.text] = change
    return list(found.values())


def _statements(owner: ast.AST, scope: str) -> Iterator[tuple[list[ast.stmt], int, str]]:
    """Each statement as a block and an index, and the function or method it is in."""
    parts = [owner, *getattr(owner, "handlers", [])]
    for block in (getattr(part, name, None) for part in parts for name in ("body", "orelse", "finalbody")):
        for index, statement in enumerate(block if isinstance(block, list) else []):
            named = isinstance(statement, ast.FunctionDef | ast.ClassDef)
            here = f"{scope}.{statement.name}".strip(".") if named else scope
            yield block, index, here
            yield from _statements(statement, here)


def _sites(block: list[ast.stmt], index: int) -> Iterator[tuple[Any, Any, Any]]:
    """Where to put what: a list and an index, or a node's attributes and the name of one."""
    statement = block[index]
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.AnnAssign(value=None) | ast.Expr(value=ast.Constant()):
            return  # declarations and docstrings
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]) | ast.Expr() | ast.AugAssign():
            yield block, index, ast.Pass()
        case ast.Raise() | ast.Continue() | ast.Break():
            yield block, index, ast.Pass()
    decorators = getattr(statement, "decorator_list", [])
    for i, decorator in enumerate(decorators):
        if isinstance(decorator, ast.Call):  # torch.no_grad(), contextmanager; a class without its dataclass is none
            yield vars(statement), "decorator_list", decorators[:i] + decorators[i + 1 :]
    if not isinstance(statement, ast.Raise):  # a message's words are no behaviour
        yield from _within(statement)


def _within(node: ast.AST) -> Iterator[tuple[Any, Any, Any]]:
    for name, value in ast.iter_fields(node):
        if name in NOT_CODE:
            continue
        places = [(value, i) for i in range(len(value))] if isinstance(value, list) else [(vars(node), name)]
        for place, key in places:
            child = place[key]
            if not isinstance(child, ast.AST) or isinstance(child, ast.stmt | ast.JoinedStr | ast.ExceptHandler):
                continue
            if isinstance(child, ast.keyword) and child.arg == "strict":  # an assertion of zip's
                continue
            if name in ("test", "ifs") and not _is_turned_round(child):
                yield place, key, ast.UnaryOp(ast.Not(), child)
            yield from ((place, key, new) for new in _alternatives(child))
            yield from _within(child)


def _is_turned_round(test: ast.AST) -> bool:
    """Whether some other change already negates the condition."""
    return isinstance(test, ast.UnaryOp) or (isinstance(test, ast.Compare) and isinstance(test.ops[0], NEGATED))


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
