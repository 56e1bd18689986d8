"""What a found config is worth, by training seeds of the table that the search has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from atrcnas.contextbench.bench import Bench
from atrcnas.contextbench.table import BASELINE, factored, num_configs, spell


def training_seeds(bench: Bench) -> list[int]:
    """Seeds of which the baseline and every row of every target was trained."""
    needed = {BASELINE, *factored(bench.pools)}
    groups = bench.rows.reset_index("config").groupby(level="seed")["config"]
    return [int(seed) for seed, configs in groups if needed <= set(configs)]


def latency_limit(bench: Bench) -> float:
    """What half of the configs take at most, as a share of the baseline's latency.

    Raises:
        ValueError: some config's latency is not known.
    """
    known = bench.ranking()["latency_ratio"]
    if missing := int(known.isna().sum()):
        raise ValueError(
            f"expected the latency of every config, got none of {missing}. Time them: analysis.contextbench.latency"
        )
    return float(known.median())


def ranking_of_seeds(bench: Bench, seeds: Sequence[int], length: str = "full") -> pd.Series:
    """Delta_m of every config, percent: the gain of a target is that of its own row, mean over all configs that have it."""
    rows = bench.rows[bench.rows.index.get_level_values("seed").isin(seeds)]
    return Bench(rows, bench.experiment).ranking(length)["delta_m"]


def trained_with(bench: Bench, seed: int, length: str = "full") -> pd.Series:
    """Delta_m of every config with one seed, percent: of its own training, or by the rows of its targets where there is none."""
    rows = bench.rows[bench.rows.index.get_level_values("seed") == seed]
    table = Bench(rows, bench.experiment).ranking(length)
    return table["measured"].fillna(table["delta_m"])


class Judge:
    """Regret and percentile of configs by some training seeds.

    Args:
        bench: the table.
        seeds: those to judge by; all that are complete if None.
        limit: of the latency, as a share of the baseline's; a config is compared with those within it. None: with all.

    Attributes:
        delta_m: by config, percent.
    """

    def __init__(self, bench: Bench, seeds: Sequence[int] | None = None, limit: float | None = None) -> None:
        self.delta_m = ranking_of_seeds(bench, training_seeds(bench) if seeds is None else seeds)
        expected = num_configs(bench.pools)
        if len(self.delta_m) != expected:
            raise ValueError(
                f"expected Delta_m of {expected} configs, got {len(self.delta_m)}. Train the table further."
            )
        over = pd.Series(0.0, self.delta_m.index)
        if limit is not None:
            over = (bench.ranking()["latency_ratio"].reindex(self.delta_m.index) / limit - 1).clip(lower=0)
        allowed = self.delta_m[over == 0].round(9).sort_values()
        not_better = allowed.searchsorted(self.delta_m.round(9), side="right")
        percentile = (100 * (not_better - 1) / (len(allowed) - 1)).clip(min=0)
        columns = {"regret": allowed.max() - self.delta_m.round(9), "percentile": percentile, "over": over}
        self._found = pd.DataFrame({"delta_m": self.delta_m, **columns}).T.to_dict()
        self._pairs, self._pools = {str(pair): pair for pair in bench.pools}, bench.pools

    def of(self, config: str) -> Mapping[str, float]:
        """``delta_m`` and ``regret`` to the best (percent), ``percentile``, and the share of the limit it is ``over``."""
        return self._found[config]

    def of_sample(self, sample: Mapping[str, str]) -> Mapping[str, float]:
        """The same of the kind of each pair."""
        return self.of(spell({self._pairs[pair]: kind for pair, kind in sample.items()}, self._pools))
