"""What the fuzz tests share: settings, the one rule every input is held to, and counts of what came of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings

from atrcnas.ground.errors import AtrcnasError

TRIED: Counter[str] = Counter()
MAX_SECONDS = 2.0
_SLOW_FACTOR = 10

ValueT = TypeVar("ValueT")


def tries(count: int) -> Any:
    """Settings of a fuzz test of ``count`` inputs, the same at every run."""
    return settings(
        max_examples=count,
        deadline=int(1000 * MAX_SECONDS),
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def fuzz(count: int) -> Callable[[Callable[..., None]], Any]:
    """A test in two sizes: ``count`` inputs always, ten times as many others under ``slow``."""
    sizes = [pytest.param(count, id="fast"), pytest.param(_SLOW_FACTOR * count, id="slow", marks=pytest.mark.slow)]

    def decorate(check: Callable[..., None]) -> Any:
        def test(count: int) -> None:
            sized = settings(tries(count), derandomize=count in sizes[0].values)
            sized(check)()

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return pytest.mark.parametrize("count", sizes)(test)

    return decorate


def accepted(call: Callable[[], ValueT], *names: object, error: type[AtrcnasError] = AtrcnasError) -> ValueT | None:
    """What ``call`` gives, or None if it refuses in the one way allowed: such an error, naming one of ``names``.

    Any other exception passes through and fails the test; so does a call that takes more than two seconds.
    """
    begun = time.perf_counter()
    try:
        value = call()
    except error as refusal:
        TRIED["refused"] += 1
        text = str(refusal)
        assert any(str(name) in text for name in names), f"expected one of {names} in: {text}"
        assert len(text) < 20_000, f"a message of {len(text)} characters"
        return None
    finally:
        seconds = time.perf_counter() - begun
        assert seconds < MAX_SECONDS, f"took {seconds:.1f} s"
    TRIED["accepted"] += 1
    return value


def equal_or_refused(
    path: Path, content: bytes, read: Callable[[Path], Any], same: Callable[[Any], bool], error: Any
) -> None:
    """Damaged ``content`` is refused with ``error`` that names the file, or reads as before."""
    path.write_bytes(content)
    value = accepted(lambda: read(path), path, error=error)
    assert value is None or same(value)
