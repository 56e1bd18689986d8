"""Schedules against their closed forms."""

from __future__ import annotations

import pytest

from atrcnas.sampling.schedules import linear, poly


@pytest.mark.parametrize("ends", [(1.0, 0.05), (-0.02, 0.06), (2.0, 2.0)])
@pytest.mark.parametrize("steps", [2, 7, 40_000])
def test_linear_begins_at_one_end_and_would_meet_the_other_a_step_after_the_last(
    ends: tuple[float, float], steps: int
) -> None:
    assert linear(ends, 0, steps) == ends[0]
    assert linear(ends, steps, steps) == pytest.approx(ends[1], abs=1e-12)
    differences = {round(linear(ends, s + 1, steps) - linear(ends, s, steps), 12) for s in range(min(steps - 1, 50))}
    assert max(differences) - min(differences) < 1e-11
    assert linear(ends, 1, steps) == pytest.approx(ends[0] + (ends[1] - ends[0]) / steps)


def test_linear_over_one_step_is_its_first_value() -> None:
    assert linear((1.0, 0.05), 0, 1) == 1.0


@pytest.mark.parametrize("step", [0, 1, 137, 39_999])
def test_poly_is_its_closed_form(step: int) -> None:
    assert poly(0.01, 0.9, step, 40_000) == pytest.approx(0.01 * (1 - step / 40_000) ** 0.9, rel=1e-12)


def test_poly_falls_from_its_first_value_and_stays_positive_to_the_last_step() -> None:
    values = [poly(0.01, 0.9, step, 100) for step in range(100)]
    assert values[0] == 0.01
    assert values == sorted(values, reverse=True)
    assert values[-1] > 0


def test_poly_of_power_zero_is_constant() -> None:
    assert {poly(0.3, 0.0, step, 10) for step in range(10)} == {0.3}
