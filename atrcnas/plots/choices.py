"""The search's log of every pair's choice, read from logits.csv."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atrcnas.ground.errors import RunError
from atrcnas.runs.tables import LOGITS, Series, read_some
from atrcnas.spec.pairs import Pair

_COLUMNS = {name: kind for name, kind in LOGITS.items() if name != "logit"}
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
    table = read_some(path, _COLUMNS)
    outside = ~table["probability"].between(-_SLACK, 1 + _SLACK)
    if outside.any():
        line, got = next(zip(table.index[outside], table["probability"][outside], strict=True))
        raise RunError(f"{path}: line {line}: probability: expected 0 to 1, got {got:g}. Restore the file.")
    table = table.drop_duplicates(["step", "level", "target", "source", "kind"], keep="last").sort_index()
    choices: dict[Pair, Choice] = {}
    for (level, target, source), rows in table.groupby(["level", "target", "source"], sort=False):
        settled = rows["step"][rows["committed"] > 0]
        choices[Pair(str(target), str(source), int(str(level)))] = Choice(
            {str(kind): _series(points) for kind, points in rows.groupby("kind", sort=False)},
            None if settled.empty else int(settled.min()),
        )
    return choices


def _series(rows: pd.DataFrame) -> Series:
    by_step = rows.sort_values("step")
    return Series(by_step["step"].to_numpy(float), by_step["probability"].to_numpy(float))
