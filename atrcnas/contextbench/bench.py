"""A table that can be asked: what a config scores, and how it stands among all others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from atrcnas.contextbench.designs import DESIGNS, design
from atrcnas.contextbench.linear import SEED, Spillover, spillover
from atrcnas.contextbench.table import BASELINE, Pools, all_configs, all_rows, parse, read, spell
from atrcnas.ground.errors import ConfigError
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import Task

Config = str | ContextConfig
_ROUNDING = 1e-9  # equal sums of gains differ by as much


@dataclass(frozen=True)
class Standing:
    """A config among all configs of the space.

    Attributes:
        delta_m: percent over the baseline.
        rank: 1 is the best.
        of: configs compared.
        percentile: share of the other configs that are not better, percent.
    """

    delta_m: float
    rank: int
    of: int
    percentile: float


@dataclass(frozen=True)
class Bench:
    """One table.

    Attributes:
        rows: by (config, seed); columns as in :mod:`atrcnas.contextbench.table`, gains and Delta_m in percent.
        experiment: that every row was trained by, with its seed.
    """

    rows: pd.DataFrame
    experiment: Experiment

    @cached_property
    def tasks(self) -> Mapping[str, Task]:
        """The predicted tasks."""
        return self.experiment.predicted_tasks()

    @cached_property
    def pools(self) -> Pools:
        """The kinds that each pair may have."""
        return self.experiment.search_space().pools(self.experiment.tasks)

    @cached_property
    def contexts(self) -> pd.DataFrame:
        """The rows that have contexts, with a column of kinds per pair and one per target for its whole row."""
        rows = self.rows.drop(BASELINE, level="config", errors="ignore")
        configs = rows.index.get_level_values("config")
        kinds = {str(pair): [parse(config, self.pools)[pair] for config in configs] for pair in self.pools}
        parts = {name: [config.split("/")[i] for config in configs] for i, name in enumerate(self.tasks)}
        return rows.assign(**kinds, **parts)

    def name(self, config: Config) -> str:
        """How the table spells a config.

        Raises:
            ConfigError: it is not of this space, or its network has other model settings.
        """
        if isinstance(config, str):
            return config if config == BASELINE else spell(parse(config, self.pools), self.pools)
        if config == ContextConfig.load(BASELINE):
            return BASELINE
        own = self.experiment.model.model_dump()
        foreign = [f"{key}: {value}" for key, value in config.model.given().items() if value != own[key]]
        if foreign:
            raise ConfigError(
                f"config: model.{', model.'.join(foreign)}: the networks of '{self.experiment.name}' differ. "
                "Ask for a config without model settings."
            )
        kinds = config.kinds(self.experiment.tasks)
        return self.name(spell(kinds, self.pools))

    def query(self, config: Config, seed: int | None = None) -> pd.Series:
        """All figures of a trained config.

        Args:
            config: its name, such as ``local.none/none.global``, or a context config as a search writes it.
            seed: of one training; None for the mean over all seeds.

        Raises:
            ConfigError: not of this space, or not in the table.
        """
        name = self.name(config)
        found = self.rows[self.rows.index.get_level_values("config") == name].droplevel("config")
        if found.empty or (seed is not None and seed not in found.index):
            have = ", ".join(map(str, found.index)) or "none"
            what = f"seed {seed} of '{name}'" if seed is not None else f"'{name}'"
            raise ConfigError(f"{what}: not in the table (its seeds: {have}). Ask `standing`, or train it.")
        return found.mean() if seed is None else found.loc[[seed]].iloc[0]

    def gains_by_row(self, target: str, length: str = "full") -> pd.Series:
        """The gain of one target by its own row of kinds, percent: mean over configs of a seed, then over seeds."""
        return self._by_row(target, self.contexts[f"{target}.gain.{length}"])

    def spillover(self, target: str, length: str = "full") -> Spillover:
        """How far the rows of the other targets move the gain of one target."""
        rows, others = self.contexts.reset_index(SEED), [name for name in self.tasks if name != target]
        return spillover(rows, target, others, f"{target}.gain.{length}")

    def ranking(self, length: str = "full") -> pd.DataFrame:
        """Every config whose rows are known, the best first, with its gains and ``delta_m`` in percent.

        The gain of a target is what its own row of kinds brings in any config, and what the rows of the other targets
        add, where trained configs say it (:meth:`spillover`): few of them rank all. ``measured`` is the mean Delta_m of
        those that were trained as a whole, ``latency_ratio`` their latency over the baseline's.
        """
        own = all_rows(self.pools)
        rows = pd.MultiIndex.from_product(list(own.values()), names=list(own))
        parts = {name: rows.get_level_values(name) for name in self.tasks}
        table = pd.DataFrame(index=pd.Index(all_configs(self.pools), name="config"))
        for name in self.tasks:
            gain, moved = self.contexts[f"{name}.gain.{length}"], self.spillover(name, length).by_row
            for other, adds in moved.items():
                gain = gain - self.contexts[other].map(adds)
            table[name] = self._by_row(name, gain).reindex(parts[name]).to_numpy()
            for other, adds in moved.items():
                table[name] += adds.reindex(parts[other]).fillna(0).to_numpy()
        table["delta_m"] = table[list(self.tasks)].mean(axis=1, skipna=False)
        configs = self.contexts.groupby("config")
        table["measured"] = configs[f"delta_m.{length}"].mean()
        table["latency_ratio"] = configs["latency_ratio"].first()
        return table.dropna(subset="delta_m").sort_values("delta_m", ascending=False)

    def _by_row(self, target: str, gain: pd.Series) -> pd.Series:
        rows = self.contexts[[target]].assign(gain=gain)
        return rows.groupby([target, SEED])["gain"].mean().groupby(level=target).mean()

    def standing(self, config: Config, length: str = "full") -> Standing:
        """Where a config stands in the :meth:`ranking`.

        Raises:
            ConfigError: not of this space, or a row of it was never trained.
        """
        name, ranking = self.name(config), self.ranking(length)
        if name not in ranking.index:
            raise ConfigError(f"'{name}': not in the ranking of {len(ranking)} configs. Train the table further.")
        all_ = ranking["delta_m"]
        own = float(all_[name])
        better = int((all_ > own + _ROUNDING).sum())
        others = max(len(all_) - 1, 1)
        return Standing(own, 1 + better, len(all_), 100.0 * (others - better) / others)

    def noise(self) -> pd.Series:
        """The noise floor: standard deviation over seeds of each figure, pooled over the configs; NaN with one seed."""
        groups = self.rows.groupby(level="config")
        free = len(self.rows) - groups.ngroups
        centred = self.rows - groups.transform("mean")
        return np.sqrt((centred**2).sum(min_count=1) / free) if free else centred.mean() * np.nan


def table_path(name: str) -> Path:
    """Where the package keeps a table."""
    return Path(__file__).with_name(f"{name}.csv")


def latency_path(name: str) -> Path:
    """Where the package keeps what the configs of a table cost."""
    return Path(__file__).with_name(f"{name}-latency.csv")


def load(name: str = "rooms-small", table: Path | None = None) -> Bench:
    """Open a table.

    Args:
        name: of a table in :mod:`atrcnas.contextbench.designs`, or, with ``table``, of the experiment its rows were trained by.
        table: another file than the package's, such as one that is being made.

    Raises:
        AtrcnasError: there is no such table or experiment, or it is damaged.
    """
    if table is None and not table_path(name).is_file():
        tables = ", ".join(known for known in DESIGNS if table_path(known).is_file())
        raise ConfigError(f"table: expected one of {tables}, got '{name}'. Name one of these, or give a file of rows.")
    experiment = design(name).experiment(name)
    rows = read(table or table_path(experiment.name), experiment.predicted_tasks(), latency_path(experiment.name))
    return Bench(rows, experiment)
