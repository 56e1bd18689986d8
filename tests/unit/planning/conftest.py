"""The steps that a plan takes, counted as they are taken."""

from __future__ import annotations

from typing import Any

import pytest
from torch.utils.flop_counter import FlopCounterMode

from atrcnas.engine.step import take_step


@pytest.fixture
def steps_taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Multiply-adds of each real step, the first one first."""
    found: list[int] = []

    def watched(training: Any, batch: Any) -> Any:
        with FlopCounterMode(display=False) as counter:
            losses = take_step(training, batch)
        found.append(counter.get_total_flops() // 2)
        return losses

    monkeypatch.setattr("atrcnas.planning.timing.take_step", watched)
    return found
