"""Changes to inputs that keep them readable up to where they were changed: words, trees of values, tables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Raw = Callable[[bytes], bytes]  # changes bytes as the fuzzer itself would
Mutator = Callable[[bytes, Random, Raw], bytes]

NUMBERS = [
    0,
    1,
    -1,
    2,
    3,
    7,
    255,
    2**15,
    2**31 - 1,
    2**31,
    2**32,
    2**53,
    2**63,
    -(2**63),
    2**64,
    10**12,
    10**60,
    10**400,
]
FLOATS = [0.5, -0.0, 1e-320, 1e308, float("inf"), float("-inf"), float("nan")]
ODD = [
    "",
    " ",
    "\0",
    "\n",
    "é☃",
    "\ud800",
    "\u2028",
    "x" * 300,
    "../../esc",
    "/dev/zero",
    "{}",
    "%s",
    "{0}",
    "nan",
    "null",
]
_WORD = re.compile(rb"[\w.+-]+|[^\w\s]|\s+")
_REPEATS = (2, 3, 10, 100, 2000)


def words(known: Sequence[str]) -> Mutator:
    """Text: a word replaced by a ``known`` one, or words left out, doubled, swapped or repeated many times."""
    replacements = [
        word.encode("utf-8", "surrogatepass") for word in [*known, *ODD, *map(str, [*NUMBERS[:-1], *FLOATS])]
    ]

    def mutate(content: bytes, random: Random, raw: Raw) -> bytes:
        parts = _WORD.findall(content) or [b""]
        for _ in range(random.choice((1, 1, 2, 4))):
            at, action = random.randrange(len(parts)), random.randrange(8)
            if action < 3:
                parts[at] = random.choice(replacements)
            elif action == 3:
                parts[at : at + random.choice((1, 2, 8))] = []
            elif action == 4:
                parts.insert(at, random.choice(parts))
            elif action == 5:
                other = random.randrange(len(parts))
                parts[at], parts[other] = parts[other], parts[at]
            elif action == 6:
                parts[at] = raw(parts[at])
            else:
                parts[at : at + 1] = parts[at : at + random.choice((1, 2, 6))] * random.choice(
                    _REPEATS[: random.randrange(1, 6)]
                )
            parts = parts or [b""]
        return b"".join(parts)

    return mutate


def tree(known: Sequence[str]) -> Mutator:
    """JSON: places in the tree of values replaced, removed, renamed, wrapped or swapped; text that is no JSON, by words."""
    by_words = words(known)

    def mutate(content: bytes, random: Random, raw: Raw) -> bytes:
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            return by_words(content, random, raw)
        if random.randrange(8) == 0:
            return by_words(content, random, raw)
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            value = _changed(value, random, known)
        try:
            return json.dumps(value).encode("utf-8", "surrogatepass")
        except (ValueError, RecursionError, TypeError):
            return by_words(content, random, raw)

    return mutate


def _changed(value: Any, random: Random, known: Sequence[str]) -> Any:
    places: list[tuple[Any, Any]] = []
    pending = [value]
    while pending and len(places) < 2000:
        part = pending.pop()
        found = (
            list(part.items()) if isinstance(part, dict) else list(enumerate(part)) if isinstance(part, list) else []
        )
        places += [(part, key) for key, _ in found]
        pending += [inner for _, inner in found]
    if not places:
        return _value(random, known)
    where, key = random.choice(places)
    action = random.randrange(9)
    if action < 4:
        where[key] = _value(random, known)
    elif action == 4:
        del where[key]
    elif action == 5:
        where[key] = [where[key]] if random.random() < 0.7 else {random.choice(known): where[key]}
    elif action == 6:
        other, other_key = random.choice(places)
        where[key] = json.loads(json.dumps(other[other_key]))
    elif isinstance(where, dict):
        where[random.choice([*known, *ODD])] = where.pop(key) if action == 7 else _value(random, known)
    else:
        where.insert(key, json.loads(json.dumps(where[key])))
    return value


def _value(random: Random, known: Sequence[str]) -> Any:
    kind = random.randrange(8)
    if kind < 3:
        return random.choice(known)
    if kind == 3:
        return random.choice([*NUMBERS, *FLOATS, random.randrange(100)])
    if kind == 4:
        return random.choice(ODD)
    if kind == 5:
        return random.choice([None, True, False, [], {}, [0], [[]]])
    return (
        [random.choice(known)] * random.choice((1, 2, 30))
        if kind == 6
        else {random.choice(known): random.choice(known)}
    )
