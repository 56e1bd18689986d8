"""The search and retrain sections of an experiment; defaults are the published recipe (NYUD-v2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.registry import Registry
from atrcnas.spec.branch_search import BranchSearchSpec
from atrcnas.spec.loss_weighting import LOSS_WEIGHTINGS
from atrcnas.spec.optimizers import OPTIMIZERS, SCHEDULES
from atrcnas.spec.schema import Bool, Float, Int, Spec, validate
from atrcnas.spec.strategies import ESTIMATORS, STRATEGIES

# How far Adam can move a logit in a whole search: that of the published recipe, 40,000 steps of 5e-4.
LOGITS_TRAVEL = 20.0
Steps = Annotated[Int, Field(ge=1, le=100_000_000)]
Costs = dict[Literal["latency_ms", "multiply_adds", "parameters"], Annotated[Float, Field(gt=0)]]


class TrainSpec(Spec):
    """What searching and retraining share; by default SGD with momentum and a polynomial schedule per step."""

    steps: Steps = Field(default=40_000, description="training steps; the default is the published recipe's")
    batch_size: Int = Field(default=8, ge=1, le=65_536, description="images in a step, over all devices together")
    learning_rate: Float = Field(default=0.01, gt=0, le=100, description="largest, of the layers after the backbone")
    backbone_rate: Float = Field(
        default=1.0, ge=0, le=100, description="learning rate of the backbone, as a multiple of learning_rate"
    )
    layer_decay: Float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="learning rate of each layer of the backbone, as a multiple of that of the layer after it; 1: the same",
    )
    optimizer: str = Field(default="sgd", description="of the weights; `atrcnas list optimizers` shows them")
    optimizer_options: dict[str, Any] = Field(default={}, description="of that optimizer")
    momentum: Float = Field(default=0.9, ge=0, lt=1, description="of sgd")
    weight_decay: Float = Field(default=5e-4, ge=0, le=1, description="pull of all weights towards zero")
    decay_norms: Bool = Field(
        default=True,
        description="decay norms, biases and what the backbone's authors exempt (position embeddings) like all other weights",
    )
    schedule: str = Field(default="poly", description="of the learning rate; `atrcnas list schedules` shows them")
    schedule_options: dict[str, Any] = Field(default={}, description="of that schedule")
    poly_power: Float = Field(default=0.9, ge=0, le=10, description="of poly")
    warm_up: Int = Field(default=0, ge=0, description="steps over which the learning rate rises linearly first")
    loss_weighting: str = Field(
        default="fixed", description="of the tasks against each other; `atrcnas list loss-weightings` shows them"
    )
    loss_weighting_options: dict[str, Any] = Field(default={}, description="of that loss weighting")
    ema: Float | None = Field(
        default=None, gt=0, lt=1, description="decay of the weights' moving average, which is then scored and kept"
    )
    clip: Float | None = Field(default=None, gt=0, description="largest norm of the gradient; null: no clipping")
    activation_checkpointing: Bool = Field(
        default=False,
        description="compute contexts again in the backward pass instead of keeping them: slower, smaller",
    )
    validate_every: Steps = Field(default=2_000, description="steps between two validations, each with a checkpoint")
    log_every: Steps = Field(default=50, description="steps between two rows of metrics.csv")
    on_nonfinite: Literal["stop", "skip", "lower"] = Field(
        default="stop", description="when a loss is not finite: stop, skip the step, or also halve the learning rate"
    )

    @model_validator(mode="after")
    def _parts_known(self) -> TrainSpec:
        tables: dict[str, Registry[Any]]
        tables = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "loss_weighting": LOSS_WEIGHTINGS}
        for name, registry in tables.items():
            if getattr(self, name) not in registry:
                raise ValueError(f"{name}: {registry.miss(getattr(self, name))}")
        try:
            self.checked_optimizer_options()
            self.checked_schedule_options()
            self.checked_loss_weighting_options()
        except ConfigError as error:
            raise ValueError(str(error)) from error
        if self.warm_up >= self.steps:
            raise ValueError(f"warm_up: expected fewer than the {self.steps} steps, got {self.warm_up}. Lower it.")
        return self

    def checked_optimizer_options(self) -> Spec:
        """``optimizer_options`` by the optimiser's own model.

        Raises:
            ConfigError: unknown key, wrong type or out of range.
        """
        return validate(OPTIMIZERS[self.optimizer].options, self.optimizer_options, "", "optimizer_options")

    def checked_schedule_options(self) -> Spec:
        """``schedule_options`` by the schedule's own model.

        Raises:
            ConfigError: unknown key, wrong type or out of range.
        """
        return validate(SCHEDULES[self.schedule].options, self.schedule_options, "", "schedule_options")

    def checked_loss_weighting_options(self) -> Spec:
        """``loss_weighting_options`` by the weighting's own model.

        Raises:
            ConfigError: unknown key, wrong type or out of range.
        """
        options = LOSS_WEIGHTINGS[self.loss_weighting].options
        return validate(options, self.loss_weighting_options, "", "loss_weighting_options")


class TrialsSpec(Spec):
    """Options of the strategies that score one config after another."""

    number: Int = Field(default=20, ge=1, le=10_000_000, description="configs scored")
    steps: Steps = Field(default=1_000, description="of each config's own training; all else as in retrain")
    seed: Int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="of the strategy; the experiment's if absent"
    )
    proposals: Literal["auto", "nni", "optuna"] = Field(
        default="auto",
        description="library that proposes configs for random, evolution, tpe and grid; auto: NNI where it can be imported, "
        "else Optuna",
    )
    population: Int = Field(default=20, ge=2, le=100_000, description="size of the population; rows: of each target")
    halvings: Int = Field(
        default=1,
        ge=0,
        le=16,
        description="asha: times that the better half goes on; with 2, configs begin with a quarter of the steps",
    )
    supernet: str | None = Field(
        default=None,
        description="oneshot-random, rows: run folder of a search by gradient; if absent, one is trained evenly",
    )


class SearchSpec(TrainSpec):
    """The search: by gradient as these settings say, or by trials."""

    strategy: str = Field(default="gumbel", description="how kinds are found; `atrcnas list strategies` shows them")
    trials: TrialsSpec = TrialsSpec()
    seeds: Int = Field(
        default=1,
        ge=1,
        le=1_000,
        description="searches by gradient, with the seeds from the experiment's; the mean decides",
    )
    clip: Float | None = Field(default=10.0, gt=0, description="largest norm of the gradient; null: no clipping")
    logits_learning_rate: Float | None = Field(
        default=None,
        gt=0,
        le=100,
        description="of Adam, without decay; null: 20 / steps, so that searches of any length decide alike (the "
        "published 5e-4 at 40,000 steps)",
    )
    logits_warm_up: Float = Field(
        default=0.125, ge=0, lt=1, description="share of the steps before the logits start to move; soft, sampled: 0"
    )
    draws: Int = Field(default=2, ge=2, le=64, description="paired: configs computed on each batch")
    tau: tuple[Annotated[Float, Field(gt=0)], Annotated[Float, Field(gt=0)]] = Field(
        default=(1.0, 0.05), description="temperature, at the first step and at the end, linear"
    )
    entropy_weight: tuple[Float, Float] = Field(
        default=(-0.02, 0.06), description="of the mean entropy, at the first step and at the end, linear"
    )
    commit_gap: Float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="a pair commits when its two best probabilities differ by this; soft, sampled: 0.3",
    )
    noise: Bool = Field(default=True, description="Gumbel noise on the logits; as the strategy has it")
    estimator: str = Field(
        default="paired",
        description="paired: a few configs, compared; soft: all candidates, mixed (darts: the default); sampled: one "
        "config, straight-through; `atrcnas list estimators` shows them",
    )
    held_out: Float = Field(
        default=0.0, ge=0, lt=1, description="share of training samples for the logits; 0: single-level"
    )
    budget: Costs = Field(
        default={}, description="largest costs of the chosen network for one validation image; empty: no limit"
    )
    cost_weight: Costs = Field(
        default={},
        description="by how much contexts have to lower the loss to be worth costing as much as the network without any",
    )
    costs: str | None = Field(
        default=None,
        description="table that `atrcnas costs` wrote; latency_ms needs one, the others are counted without",
    )
    branches: BranchSearchSpec | None = Field(
        default=None, description="search where tasks part in the encoder, too; null: as model.branches says"
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_strategy_and_estimator(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        strategy = value.get("strategy", cls.model_fields["strategy"].default)
        if strategy in STRATEGIES.names:
            value = {**STRATEGIES[strategy].defaults, **value}
        if value.get("estimator") in ESTIMATORS.names:
            value = {**ESTIMATORS[value["estimator"]].defaults, **value}
        return value

    def followers(self, changes: Mapping[str, Any]) -> list[str]:
        """Keys that have the value that the estimator or the strategy gives them, if ``changes`` name another one."""
        follow: dict[str, Any] = dict(STRATEGIES[self.strategy].defaults) if "strategy" in changes else {}
        if "estimator" in changes or follow.get("estimator") == self.estimator:
            keys = {key for name in ESTIMATORS.names for key in ESTIMATORS[name].defaults}
            plain = {key: type(self).model_fields[key].default for key in keys}
            follow |= {**plain, **ESTIMATORS[self.estimator].defaults}
        return [key for key, value in follow.items() if getattr(self, key) == value]

    @property
    def by_cost(self) -> list[str]:
        """The keys that are set and need to know what contexts cost."""
        return [key for key in ("budget", "cost_weight") if getattr(self, key)]

    @property
    def logits_rate(self) -> float:
        """``logits_learning_rate``, or its default for this number of steps."""
        return LOGITS_TRAVEL / self.steps if self.logits_learning_rate is None else self.logits_learning_rate

    @model_validator(mode="after")
    def _strategy_known(self) -> SearchSpec:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"strategy: {STRATEGIES.miss(self.strategy)}")
        expected = STRATEGIES[self.strategy].noise
        if self.noise != expected:
            raise ValueError(
                f"noise: expected {str(expected).lower()} with strategy '{self.strategy}', got {str(self.noise).lower()}. "
                "Leave it out, or choose another strategy (gumbel draws noise, darts does not)."
            )
        if self.seeds > 1 and not STRATEGIES[self.strategy].by_gradient:
            raise ValueError(
                f"seeds: strategy '{self.strategy}' has no probabilities to average. Set seeds: 1, or strategy: gumbel."
            )
        if self.branches is not None and self.branches.at_once:
            self._check_at_once(self.branches.contexts)
        self._check_costs()
        if self.estimator not in ESTIMATORS:
            raise ValueError(f"estimator: {ESTIMATORS.miss(self.estimator)}")
        if not self.noise and ESTIMATORS[self.estimator].draws:
            raise ValueError(f"estimator: '{self.strategy}' draws nothing. Set estimator: soft, or strategy: gumbel.")
        return self

    def _check_costs(self) -> None:
        """Latency is known only where it was measured, and only logits have an expected cost."""
        for key in self.by_cost:
            if "latency_ms" in getattr(self, key) and self.costs is None:
                raise ValueError(
                    f"{key}.latency_ms: expected costs, measured on the machine that will run the network, got none. "
                    "Run `atrcnas costs EXPERIMENT --out costs.csv` there, and set costs: costs.csv."
                )
        if self.cost_weight and not STRATEGIES[self.strategy].by_gradient:
            raise ValueError(
                f"cost_weight: strategy '{self.strategy}' has no expected cost to weigh. Set a budget, or strategy: gumbel."
            )

    def _check_at_once(self, contexts: str) -> None:
        """A search of branches that nothing follows is one search by gradient, without limits on costs.

        Raises:
            ValueError: something else is asked for.
        """
        way_out = "Set branches.contexts: after"
        if not STRATEGIES[self.strategy].by_gradient:
            raise ValueError(
                f"branches.contexts: '{contexts}' needs a search by gradient, got strategy '{self.strategy}'. {way_out}."
            )
        if self.seeds > 1:
            raise ValueError(f"branches.contexts: '{contexts}' with several seeds would give several trees. {way_out}.")
        for key in self.by_cost:
            raise ValueError(
                f"branches.contexts: '{contexts}' with a {key}, but what the encoder costs is not known yet. {way_out}."
            )


class RetrainSpec(TrainSpec):
    """Training of the fixed network."""

    keep: Literal["last", "best"] = Field(
        default="last", description="the state that is scored and kept: the last, or the best on the selection part"
    )
    inherit: Bool = Field(default=False, description="start from the supernet's weights instead of from scratch")
