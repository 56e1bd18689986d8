"""The experiment: everything a run needs, checked before anything is built.

Defaults are the published ATRC recipe (Bruggemann et al., ICCV 2021; NYUD-v2).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, PrivateAttr, field_validator, model_validator

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.files import read_yaml
from atrcnas.ground.registry import load_plugins, located, resolve
from atrcnas.spec.branches import Branches
from atrcnas.spec.bundled import find, is_bundled
from atrcnas.spec.data import DataSpec
from atrcnas.spec.datasets import DATASETS
from atrcnas.spec.launch import LaunchSpec
from atrcnas.spec.loggers import LOGGERS
from atrcnas.spec.model import BackboneSpec, ModelSpec
from atrcnas.spec.overrides import override
from atrcnas.spec.paths import beside, path_values
from atrcnas.spec.recipe import RetrainSpec, SearchSpec
from atrcnas.spec.resolving import resolve_tasks
from atrcnas.spec.schema import Bool, Int, Spec, validate
from atrcnas.spec.space import SearchSpace
from atrcnas.spec.strategies import STRATEGIES
from atrcnas.spec.task_entry import TaskEntry
from atrcnas.spec.tasks import TASKS, Task


def _as_word(value: Any) -> Any:
    """YAML reads an unquoted 32 as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Experiment(Spec):
    """One experiment file."""

    schema_version: Literal[1] = Field(default=1, alias="schema", description="version of this form of file")
    name: str = Field(
        default="experiment", pattern=r"^\w[\w.-]*$", description="of the run folder, runs/NAME, and in figures"
    )
    plugins: list[str] = Field(
        default=[],
        description="Python modules, or files NAME.py relative to this one, to import first, for what they register",
    )
    seed: Int = Field(default=0, ge=0, le=2**31 - 1, description="of everything that is random")
    task_entries: tuple[TaskEntry, ...] = Field(
        min_length=1,
        alias="tasks",
        description="what is predicted: names (`atrcnas list tasks`), or {name: ..., like: ...} for tasks of your own",
    )
    auxiliary_entries: tuple[TaskEntry, ...] = Field(
        default=(),
        alias="auxiliary_tasks",
        description="written like tasks; give context and deep supervision, but no final output",
    )
    task_options: dict[str, dict[str, Any]] = Field(
        default={}, description="per task, of its losses and metric; `atrcnas list tasks` shows them"
    )
    data: DataSpec = DataSpec()
    backbone: BackboneSpec = BackboneSpec()
    model: ModelSpec = ModelSpec()
    space: str | dict[str, Any] = Field(default="atrc", description="a bundled space, a file, or the space itself")
    search: SearchSpec = SearchSpec()
    retrain: RetrainSpec = RetrainSpec()
    launch: LaunchSpec = LaunchSpec()
    loggers: dict[str, dict[str, Any]] = Field(
        default={}, description="besides CSV, by name with their options; `atrcnas list loggers` shows them"
    )
    precision: Annotated[Literal["32", "bf16", "64"], BeforeValidator(_as_word)] = Field(
        default="32", description="bits of floating point; bf16: 16 where that is safe, which GPUs compute faster"
    )
    devices: Literal["auto", "cpu", "gpu"] | Annotated[Int, Field(ge=1)] = Field(
        default="auto",
        description="'auto' (a GPU if there is one), 'cpu', 'gpu' (refused where there is none) or a number of devices",
    )
    num_nodes: Int = Field(default=1, ge=1, le=10_000, description="machines, each with `devices`")
    sync_batchnorm: Bool = Field(default=False, description="BatchNorm over the batches of all devices together")

    _where: str = PrivateAttr("experiment")

    @field_validator("task_entries", "auxiliary_entries")
    @classmethod
    def _known_once(cls, entries: tuple[TaskEntry, ...]) -> tuple[TaskEntry, ...]:
        for entry in entries:
            if entry.like is None and entry.name not in TASKS:
                own = f"For one of your own, say which it is like: {{name: {entry.name}, like: TASK}}."
                raise ValueError(f"{TASKS.miss(entry.name)} {own}")
        names = [entry.name for entry in entries]
        if len(set(names)) < len(names):
            raise ValueError(f"expected each task once, got {names}.")
        return entries

    @model_validator(mode="after")
    def _trials_warm_up(self) -> Experiment:
        strategy, trials = STRATEGIES[self.search.strategy], self.search.trials
        if not strategy.by_gradient and strategy.score is None and self.retrain.warm_up >= trials.steps:
            raise ValueError(
                f"retrain.warm_up: expected fewer than the {trials.steps} steps of a trial (search.trials.steps), got "
                f"{self.retrain.warm_up}. Lower it, or raise the other."
            )
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        both = set(self.tasks) & set(self.auxiliary_tasks)
        if both:
            raise ValueError(
                f"auxiliary_tasks: {sorted(both)} are already among tasks. Remove them from one of the two."
            )
        for name in self.task_options:
            if name not in self.all_tasks:
                raise ValueError(
                    f"task_options.{name}: not a task of this experiment. Tasks: {', '.join(self.all_tasks)}."
                )
        if self.data.name not in DATASETS:
            raise ValueError(f"data.name: {DATASETS.miss(self.data.name)}")
        for name in self.loggers:
            if name not in LOGGERS:
                raise ValueError(f"loggers.{name}: {LOGGERS.miss(name)}")
        if STRATEGIES[self.search.strategy].needs_selection and not self.data.selection:
            raise ValueError(
                f"data.selection: strategy '{self.search.strategy}' scores on the selection part, got 0. Set e.g. 0.1."
            )
        return self

    @model_validator(mode="after")
    def _supernet_to_inherit(self) -> Experiment:
        branches = self.search.branches
        if self.retrain.inherit and not STRATEGIES[self.search.strategy].by_gradient:
            raise ValueError(
                f"retrain.inherit: strategy '{self.search.strategy}' leaves no supernet. Set inherit: false."
            )
        if self.retrain.inherit and branches is not None and branches.at_once:
            raise ValueError(
                f"retrain.inherit: search.branches.contexts: {branches.contexts} leaves copies, not branches. "
                "Set inherit: false, or contexts: after."
            )
        if self.retrain.inherit and self.search.seeds > 1:
            raise ValueError("retrain.inherit: several seeds leave several supernets. Set inherit: false.")
        return self

    @model_validator(mode="after")
    def _branches_are_a_tree(self) -> Experiment:
        try:
            Branches.of(self.model.branches, self.all_tasks)
        except ConfigError as error:
            raise ValueError(f"model.{error}") from error
        return self

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that are predicted."""
        return tuple(entry.name for entry in self.task_entries)

    @property
    def auxiliary_tasks(self) -> tuple[str, ...]:
        """Names of the tasks that only help."""
        return tuple(entry.name for entry in self.auxiliary_entries)

    @property
    def all_tasks(self) -> tuple[str, ...]:
        """Tasks that are predicted, then those that only help."""
        return (*self.tasks, *self.auxiliary_tasks)

    def data_options(self) -> BaseModel:
        """The options of the data set, validated by its own model.

        Raises:
            ConfigError: unknown key, wrong type or out of range; or a model that would let unknown keys pass.
        """
        options: type[BaseModel] = resolve(DATASETS[self.data.name].source).Options
        if options.model_config.get("extra") != "forbid":
            raise ConfigError(
                f"{self._where}: data.name: the options of '{self.data.name}' let unknown keys pass. "
                "Derive its Options from atrcnas.spec.schema.Spec."
            )
        return validate(options, self.data.options, self._where, key="data.options")

    def logger_options(self) -> dict[str, Spec]:
        """The options of each logger, validated by its own model.

        Raises:
            ConfigError: unknown key, wrong type or out of range.
        """
        return {
            name: validate(LOGGERS[name].options, options, self._where, key=f"loggers.{name}")
            for name, options in self.loggers.items()
        }

    def resolved_tasks(self) -> dict[str, Task]:
        """Task records with class counts from the data set and options from the experiment, by name.

        Raises:
            ConfigError: a class count is missing or contradicts the task table, or an option is not valid.
        """
        data_options = self.data_options()
        try:
            entries = (*self.task_entries, *self.auxiliary_entries)
            return resolve_tasks(entries, self.data, data_options, self.task_options)
        except ConfigError as error:
            raise ConfigError("\n".join(f"{self._where}: {line}" for line in str(error).splitlines())) from error

    def predicted_tasks(self) -> dict[str, Task]:
        """Those of :meth:`resolved_tasks` that are predicted, not auxiliary."""
        tasks = self.resolved_tasks()
        return {name: tasks[name] for name in self.tasks}

    def search_space(self) -> SearchSpace:
        """The search space, checked against the tasks and the neck.

        Raises:
            ConfigError: not found, not valid, or not for these tasks or levels.
        """
        try:
            space = SearchSpace.load(self.space)
            space.pools(self.tasks, self.all_tasks)
            self.check_levels(space.levels)
            if space.choose > 1 and not STRATEGIES[self.search.strategy].by_gradient:
                raise ConfigError(
                    f"choose: {space.choose} takes the most probable kinds, and '{self.search.strategy}' has no "
                    "probabilities. Set search.strategy: gumbel, or choose: 1."
                )
        except ConfigError as error:
            lines = (line.removeprefix("space: ") for line in str(error).splitlines())
            raise ConfigError("\n".join(f"{self._where}: space: {line}" for line in lines)) from error
        return space

    def check_levels(self, levels: Sequence[int]) -> None:
        """Refuse contexts at levels the neck does not have.

        Raises:
            ConfigError: several levels with ``neck: concat``.
        """
        if self.model.neck == "concat" and tuple(levels) != (4,):
            raise ConfigError(
                f"levels {list(levels)} need several scales. Set model.neck: pyramid and model.head: pyramid."
            )

    def check_one_device(self, what: str) -> None:
        """Refuse several devices.

        Raises:
            ConfigError: naming ``what`` runs on one.
        """
        if self.num_nodes > 1 or (isinstance(self.devices, int) and self.devices > 1):
            raise ConfigError(
                f"{self._where}: devices: {what} runs on one device, got devices {self.devices} x num_nodes "
                f"{self.num_nodes}. Set devices: auto and num_nodes: 1, and launch.workers for several trials at once."
            )

    @classmethod
    def load(
        cls, source: str | Path | Mapping[str, Any], overrides: Sequence[str] = (), *, check_space: bool = True
    ) -> Experiment:
        """Read and check a whole experiment; imports its plugins, builds nothing.

        Args:
            source: a file, a bundled experiment by name, or an already parsed mapping; relative paths in a file count from
                its folder (spec/paths.py).
            overrides: ``key.path=value`` with YAML values, as on the command line.
            check_space: whether the search space has to fit; off when reading a run that has already been searched.

        Raises:
            ConfigError: not found or not valid; all problems at once.
        """
        if isinstance(source, Mapping):
            value, where, home = dict(source), "experiment", Path()
        else:
            path = find(source, "experiments", "experiment")
            value, where, home = read_yaml(path, "experiment"), str(path), path.parent
        if isinstance(value, Mapping):
            value = override(dict(value), overrides, where)
            if isinstance(value.get("plugins"), list):
                value["plugins"] = [located(name, home) for name in value["plugins"]]
                load_plugins([name for name in value["plugins"] if isinstance(name, str)])
        experiment = validate(cls, value, where)
        experiment._where = where
        if not isinstance(source, Mapping) and not is_bundled(path):
            experiment = experiment._with(beside(experiment.paths(), path, overrides))
        experiment.resolved_tasks()
        experiment.logger_options()
        if check_space:
            experiment.search_space()
        return experiment

    def replace(self, **sections: Any) -> Experiment:
        """A copy with different values, checked again; a mapping is laid over the section of that name."""
        value = self.dump()
        for key, section in sections.items():
            if isinstance(section, Mapping) and isinstance(value.get(key), Mapping):
                follow = self.search.followers(section) if key == "search" else ()
                section = {**{name: old for name, old in value[key].items() if name not in follow}, **section}
            value[key] = section
        experiment = validate(Experiment, value, self._where)
        experiment._where = self._where
        return experiment

    def _with(self, values: Mapping[str, Any]) -> Experiment:
        """A copy with some values by key.path, checked again."""
        if not values:
            return self
        texts = [f"{key}={json.dumps(value)}" for key, value in values.items()]
        experiment = validate(Experiment, override(self.dump(), texts, self._where), self._where)
        experiment._where = self._where
        return experiment

    def paths(self) -> dict[str, str]:
        """Its paths by key: of the data, of weights, of what else it takes from files."""
        return path_values(self.dump(), self.data_options())

    def with_absolute_paths(self) -> Experiment:
        """The same, to be used from any folder."""
        return self._with({key: str(Path(path).absolute()) for key, path in self.paths().items()})

    def with_space_inline(self) -> Experiment:
        """The same with the search space itself in place of its name or file, which may change or move.

        Raises:
            ConfigError: not found or not valid.
        """
        return self.replace(space=SearchSpace.load(self.space).dump())

    def dump(self) -> dict[str, Any]:
        """Plain values, every default written out."""
        return self.model_dump(by_alias=True, mode="json")
