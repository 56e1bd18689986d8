"""The schedule of temperature and entropy weight against its closed form."""

from __future__ import annotations

import pytest

from atrcnas.engine.choice import linear


@pytest.mark.parametrize("ends", [(1.0, 0.05), (-0.02, 0.06), (2.0, 2.0)])
@pytest.mark.parametrize("steps", [2, 7, 40_000])
def test_linear_starts_at_one_end_and_would_reach_the_other_one_step_after_the_last(
    ends: tuple[float, float], steps: int
) -> None:
    assert linear(ends, 0, steps) == ends[0]
    assert linear(ends, steps, steps) == pytest.approx(ends[1], abs=1e-12)
    differences = {round(linear(ends, s + 1, steps) - linear(ends, s, steps), 12) for s in range(min(steps - 1, 50))}
    assert max(differences) - min(differences) < 1e-11
    assert linear(ends, 1, steps) == pytest.approx(ends[0] + (ends[1] - ends[0]) / steps)


def test_linear_over_one_step_is_its_first_value() -> None:
    assert linear((1.0, 0.05), 0, 1) == 1.0
