"""How each pair's choice went over the steps of a search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from atrcnas.ground.errors import RunError
from atrcnas.runs.tables import LOGITS, read_some
from atrcnas.spec.pairs import Pair

_COLUMNS = {name: kind for name, kind in LOGITS.items() if name != "logit"}
_SLACK = 1e-6


@dataclass(frozen=True)
class Choice:
    """One pair over the steps of a search.

    Attributes:
        probabilities: a row per step, a column per kind in the order of the file.
        committed_at: the first logged step at which the pair had settled, None if it never did.
    """

    probabilities: pd.DataFrame
    committed_at: int | None

    @property
    def leader(self) -> str:
        """The most probable kind at the last logged step."""
        return str(self.probabilities.iloc[-1].idxmax())

    def entropy(self) -> pd.Series[float]:
        """Entropy of the choice at every step, as a share of the largest possible; 0 where there is one kind only."""
        chances = self.probabilities.clip(lower=0)
        logs = np.log(chances.where(chances > 0, 1.0))
        entropy: pd.Series[float] = -(chances * logs).sum(axis=1) / np.log(max(2, chances.shape[1]))
        return entropy


def read_choices(path: Path) -> dict[Pair, Choice]:
    """Every pair's choice, in order of appearance; the last row of a step counts, since a resumed run logs some twice.

    Raises:
        RunError: missing, malformed or empty, or a probability outside of [0, 1].
    """
    table = read_some(path, _COLUMNS)
    outside = table["probability"][~table["probability"].between(-_SLACK, 1 + _SLACK)]
    if len(outside):
        line, got = outside.index[0], outside.iloc[0]
        raise RunError(f"{path}: line {line}: probability: expected 0 to 1, got {got:g}. Restore the file.")
    choices: dict[Pair, Choice] = {}
    for (level, target, source), rows in table.groupby(["level", "target", "source"], sort=False):
        once = rows.drop_duplicates(["step", "kind"], keep="last")
        chances = once.pivot(index="step", columns="kind", values="probability")[once["kind"].unique()]
        settled = once["step"][once["committed"] > 0]
        pair = Pair(str(target), str(source), int(str(level)))
        choices[pair] = Choice(chances, int(settled.min()) if len(settled) else None)
    return choices
