"""The search's log of every pair's choice, read from logits.csv."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atrcnas.ground.errors import RunError
from atrcnas.plots.tables import Series, number_in, read_rows, whole_in
from atrcnas.spec.pairs import Pair

_COLUMNS = ("step", "level", "target", "source", "kind", "probability", "committed")
_SLACK = 1e-6


@dataclass(frozen=True)
class Choice:
    """One pair over the steps of a search.

    Attributes:
        probabilities: series by kind, in the order of the file.
        committed_at: the first logged step at which the pair had settled, None if it never did.
    """

    probabilities: dict[str, Series]
    committed_at: int | None

    @property
    def leader(self) -> str:
        """The most probable kind at the last logged step."""
        return max(self.probabilities, key=lambda kind: self.probabilities[kind].values[-1])

    def entropy(self) -> Series:
        """Entropy of the choice at every step, as a share of the largest possible; 0 where there is one kind only."""
        steps = next(iter(self.probabilities.values())).steps
        chances = np.stack([_at(series, steps) for series in self.probabilities.values()])
        logs = np.log(chances, out=np.zeros_like(chances), where=chances > 0)
        return Series(steps, -(chances * logs).sum(axis=0) / np.log(max(2, len(chances))))


def _at(series: Series, steps: NDArray[np.float64]) -> NDArray[np.float64]:
    by_step = dict(zip(series.steps, series.values, strict=True))
    return np.array([by_step.get(step, 0.0) for step in steps])


def read_choices(path: Path) -> dict[Pair, Choice]:
    """Every pair's choice, in order of appearance.

    Raises:
        RunError: missing, malformed or empty, or a probability outside of [0, 1].
    """
    points: dict[Pair, dict[str, dict[int, float]]] = {}
    committed: dict[Pair, dict[int, bool]] = {}
    for line, (step_text, level, target, source, kind, chance_text, flag) in read_rows(path, _COLUMNS):
        step, chance = whole_in(path, line, "step", step_text), number_in(path, line, "probability", chance_text)
        if not -_SLACK <= chance <= 1 + _SLACK:
            raise RunError(f"{path}: line {line}: probability: expected 0 to 1, got {chance_text}. Restore the file.")
        pair = Pair(target, source, whole_in(path, line, "level", level))
        points.setdefault(pair, {}).setdefault(kind, {})[step] = chance
        committed.setdefault(pair, {})[step] = bool(number_in(path, line, "committed", flag))
    return {
        pair: Choice(
            {kind: Series.of(by_step) for kind, by_step in kinds.items()},
            min((step for step, settled in committed[pair].items() if settled), default=None),
        )
        for pair, kinds in points.items()
    }
