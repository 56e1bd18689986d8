"""What the fuzz tests share: settings, the one rule every input is held to, and counts of what came of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

from atrcnas.ground.errors import AtrcnasError

TRIED: Counter[str] = Counter()
MAX_SECONDS = 2.0
_SLOW_FACTOR = 10

ValueT = TypeVar("ValueT")


class Repeatable(HypothesisProvider):
    """Hypothesis' own inputs but for the constants it reads off the modules that happen to be loaded."""

    def _maybe_draw_constant(self, *_: Any, **__: Any) -> None:
        return None


AVAILABLE_PROVIDERS["repeatable"] = f"{__name__}.{Repeatable.__name__}"


def fuzz(count: int) -> Callable[[Callable[..., None]], Any]:
    """A test of ``count`` inputs, the same in every run, and under ``slow`` of ten times as many that never were.

    What the latter find is kept as an ``@example``, which both try first.
    """
    sizes = [pytest.param(count, id="fast"), pytest.param(_SLOW_FACTOR * count, id="slow", marks=pytest.mark.slow)]

    def decorate(check: Callable[..., None]) -> Any:
        def test(count: int) -> None:
            repeatable = count in sizes[0].values
            how = {"derandomize": True, "backend": "repeatable"} if repeatable else {}
            phases = [Phase.explicit, Phase.generate, *([] if repeatable else [Phase.shrink])]
            checks = list(HealthCheck)
            settings(
                max_examples=count, deadline=None, database=None, phases=phases, suppress_health_check=checks, **how
            )(check)()

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return pytest.mark.parametrize("count", sizes)(test)

    return decorate


def accepted(call: Callable[[], ValueT], *names: object, error: type[AtrcnasError] = AtrcnasError) -> ValueT | None:
    """What ``call`` gives, or None if it refuses in the one way allowed: such an error, naming one of ``names``.

    Any other exception passes through and fails the test; so does a call that takes this thread more than two seconds
    of processor time, twice (a collection of the test session's garbage may fall into one call).
    """
    begun = time.thread_time()
    try:
        value = call()
    except error as refusal:
        TRIED["refused"] += 1
        text = str(refusal)
        assert any(str(name) in text for name in names), f"expected one of {names} in: {text}"
        assert len(text) < 20_000, f"a message of {len(text)} characters"
        return None
    finally:
        if time.thread_time() - begun > MAX_SECONDS:
            begun = time.thread_time()
            with suppress(error):
                call()
            seconds = time.thread_time() - begun
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
