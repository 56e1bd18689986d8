"""Strategies for YAML and JSON documents: bundled ones mutated in structure or text, and new ones from known words."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from atrcnas.spec.bundled import Shelf, shelf_dir
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.datasets import DATASETS
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.space import SearchSpace
from atrcnas.spec.tasks import TASKS

# No letters that make the name of a module: `plugins` imports what is importable.


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:
        return True


ODD_TEXT = st.text(alphabet="aZ0_ -.:/\\\n\t\0é☃\U0001f600\u2028'\"{}[]&*!%@#<=~", max_size=12)
_SECTIONS = [Experiment, SearchSpace, ContextConfig] + [
    field.annotation for field in Experiment.model_fields.values() if hasattr(field.annotation, "model_fields")
]
KEYS = sorted({field.alias or name for model in _SECTIONS for name, field in model.model_fields.items()})  # type: ignore[union-attr]
WORDS = [
    *TASKS.names, *KINDS.names, *DATASETS.names, *KEYS, "default", "diagonal", "<-", "@8", "auto", "none", "full", "atrc",
    "stem", "stage4", "stage4.2",
    "", "../../etc/passwd", "/dev/zero", "x" * 5000, "nan", "null", "~", "1e999", "0x1f", "1:59", "2020-01-01",
]  # fmt: skip
WORDS += [
    f"{target}<-{source}{level}"
    for target in TASKS.names[:3]
    for source in ("edge", "nope")
    for level in ("", "@8", "@5")
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 4, 8, 32, 2**31, 2**63, -(2**63) - 1, 10**60, 10**400]),
    st.integers(-100, 100_000),
    st.sampled_from([0.0, -0.0, 0.5, 1.0, -1.5, 1e-320, 1e308, float("inf"), float("-inf"), float("nan")]),
    st.floats(),
    st.sampled_from(WORDS),
    ODD_TEXT,
    st.dates(),
)
keys = st.one_of(
    st.sampled_from(WORDS), ODD_TEXT, st.integers(-5, 40), st.booleans(), st.none(), st.floats(allow_nan=False)
)


@st.composite
def _deep(draw: st.DrawFn) -> Any:
    value: Any = draw(scalars)
    for _ in range(draw(st.sampled_from([5, 20, 60]))):
        value = [value] if draw(st.booleans()) else {draw(st.sampled_from(KEYS)): value}
    return value


values = st.one_of(
    st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=8
    ),
    _deep(),
    st.sampled_from([[0] * 100, {f"k{i}": i for i in range(100)}, "long " * 300, {"a": {}}]).map(copy.deepcopy),
)


def bundled(shelf: Shelf) -> list[Any]:
    """The documents of a shelf, parsed."""
    return [yaml.safe_load(path.read_text()) for path in sorted(shelf_dir(shelf).glob("*.yaml"))]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key or index) below ``value``."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in items for place in [(value, key), *_places(inner)]]


@st.composite
def mutated(draw: st.DrawFn, documents: Sequence[Any]) -> Any:
    """One of ``documents`` with one to three places replaced, removed, renamed, doubled or added to."""
    value = copy.deepcopy(draw(st.sampled_from(list(documents))))
    for _ in range(draw(st.integers(1, 3))):
        places = _places(value)
        if not places:
            return value
        container, key = draw(st.sampled_from(places))
        action = draw(st.sampled_from(["replace", "replace", "remove", "rename", "add", "wrap", "swap"]))
        if action == "replace":
            container[key] = draw(values)
        elif action == "remove":
            del container[key]
        elif action == "wrap":
            container[key] = [container[key]]
        elif action == "swap":
            other, other_key = draw(st.sampled_from(places))
            container[key] = copy.deepcopy(other[other_key])
        elif isinstance(container, dict):
            container[draw(keys)] = container.pop(key) if action == "rename" else draw(values)
        else:
            container.append(draw(values))
    return value


@st.composite
def invented(draw: st.DrawFn, known: Sequence[str]) -> Any:
    """A document from nothing, most of its keys being ``known``."""
    key = st.one_of(st.sampled_from(list(known)), st.sampled_from(list(known)), keys)
    return draw(st.one_of(st.dictionaries(key, values, max_size=6), values))


def payloads(target: Path) -> list[str]:
    """YAML that would make a folder ``target`` with a loader that executes tags, or if a plugin were run from there."""
    return [
        f"!!python/object/apply:os.mkdir [{target}]",
        f"!!python/object/new:os.mkdir [{target}]",
        f"!!python/object/apply:subprocess.check_call [[mkdir, {target}]]",
        f'!!python/object/apply:eval [\'__import__("os").mkdir("{target}")\']',
        "!!python/module:os",
        "!!python/name:os.mkdir",
    ]


_SNIPPETS = [
    "&a ", "*a", "<<: ", "!!int ''", "!!bool x", "!!timestamp x", "!!map [a]", "!!seq {a: 1}", "!!binary /w==", "!!set {a}",
    "!!omap [a: 1]", "!x ", "? ", ": ", "- ", "{", "}", "[", "]", "|", ">-", "'", '"', "%YAML 9.9\n", "---\n", "...\n", "\t",
    "\n", "#", "0x" + "f" * 6000, "1" + ":01" * 2000, "9" * 5000, '"\\ud800"', "\ufeff", "\u2028", "@", "`", "=", ", ", "[" * 900,
]  # fmt: skip
_RAW = [b"\xff", b"\x00", b"\xfe\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"\x1b[31m", b"\r"]


@st.composite
def text_of(draw: st.DrawFn, documents: st.SearchStrategy[Any], extra: Sequence[str]) -> bytes:
    """A document as bytes; half of them damaged as text: pieces inserted, lines doubled or dropped, a part cut off."""
    flow = draw(st.sampled_from([None, True, False]))
    value = draw(documents)
    content = yaml.dump(value, Dumper=_Dumper, default_flow_style=flow, sort_keys=False, allow_unicode=True).encode()
    for _ in range(draw(st.sampled_from([0, 0, 1, 2, 3]))):
        at = draw(st.integers(0, len(content)))
        action = draw(st.sampled_from(["insert", "insert", "raw", "double", "drop", "cut"]))
        if action == "insert":
            content = content[:at] + draw(st.sampled_from([*_SNIPPETS, *extra])).encode() + content[at:]
        elif action == "raw":
            content = content[:at] + draw(st.sampled_from(_RAW)) + content[at:]
        elif action == "cut":
            content = content[:at]
        else:
            lines = content.splitlines(keepends=True) or [b""]
            line = draw(st.integers(0, len(lines) - 1))
            lines[line : line + 1] = [lines[line]] * (2 if action == "double" else 0)
            content = b"".join(lines)
    return content
