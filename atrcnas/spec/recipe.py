"""The search and retrain sections of an experiment; defaults are the published recipe (NYUD-v2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from atrcnas.spec.schema import Bool, Float, Int, Spec
from atrcnas.spec.strategies import STRATEGIES

Steps = Annotated[Int, Field(ge=1, le=100_000_000)]


class TrainSpec(Spec):
    """What searching and retraining share: SGD with momentum and a polynomial schedule per step."""

    steps: Steps = 40_000
    batch_size: Int = Field(default=8, ge=1, le=65_536)
    learning_rate: Float = Field(default=0.01, gt=0, le=100)
    momentum: Float = Field(default=0.9, ge=0, lt=1)
    weight_decay: Float = Field(default=5e-4, ge=0, le=1)
    poly_power: Float = Field(default=0.9, ge=0, le=10)
    clip: Float | None = Field(default=None, gt=0, description="largest norm of the gradient; None: no clipping")
    activation_checkpointing: Bool = Field(
        default=False,
        description="compute contexts again in the backward pass instead of keeping them: slower, smaller",
    )
    validate_every: Steps = 2_000
    log_every: Steps = 50
    on_nonfinite: Literal["stop", "skip", "lower"] = Field(
        default="stop", description="a loss that is no number: stop, skip the step, or also halve the learning rate"
    )


class TrialsSpec(Spec):
    """The strategies that score one config after the other."""

    number: Int = Field(default=20, ge=1, le=10_000_000, description="configs scored")
    steps: Steps = Field(default=1_000, description="of each config's own training; all else as in retrain")
    seed: Int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="of the strategy; the experiment's if absent"
    )
    population: Int = Field(default=20, ge=2, le=100_000, description="evolution: configs alive")
    supernet: str | None = Field(
        default=None, description="oneshot-random: run folder of a search by gradient; if absent, one is trained evenly"
    )


class SearchSpec(TrainSpec):
    """The search: by gradient as these settings say, or by trials."""

    strategy: str = "gumbel"
    trials: TrialsSpec = TrialsSpec()
    clip: Float | None = Field(default=10.0, gt=0, description="largest norm of the gradient; None: no clipping")
    logits_learning_rate: Float = Field(default=5e-4, gt=0, le=100, description="of Adam, without decay")
    tau: tuple[Annotated[Float, Field(gt=0)], Annotated[Float, Field(gt=0)]] = Field(
        default=(1.0, 0.05), description="temperature, first and last step, linear"
    )
    entropy_weight: tuple[Float, Float] = Field(
        default=(-0.02, 0.06), description="of the mean entropy, first and last step, linear"
    )
    commit_gap: Float = Field(
        default=0.3, gt=0, le=1, description="a pair commits when its two best probabilities differ by this"
    )
    noise: Bool = Field(default=True, description="Gumbel noise on the logits; as the strategy has it")
    estimator: Literal["soft", "sampled"] = Field(
        default="soft", description="soft: all candidates; sampled: only what is drawn, straight-through"
    )
    held_out: Float = Field(
        default=0.0, ge=0, lt=1, description="share of training samples for the logits; 0: single-level"
    )

    @model_validator(mode="before")
    @classmethod
    def _noise_of_the_strategy(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "noise" not in value and value.get("strategy") in STRATEGIES.names:
            return {**value, "noise": STRATEGIES[value["strategy"]].noise}
        return value

    @model_validator(mode="after")
    def _strategy_known(self) -> SearchSpec:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"strategy: {STRATEGIES.miss(self.strategy)}")
        expected = STRATEGIES[self.strategy].noise
        if self.noise != expected:
            raise ValueError(
                f"noise: strategy '{self.strategy}' has it {str(expected).lower()}, got {str(self.noise).lower()}. "
                "Leave it out, or choose another strategy (gumbel draws noise, darts does not)."
            )
        if not self.noise and self.estimator == "sampled":
            raise ValueError(f"estimator: '{self.strategy}' draws nothing. Set estimator: soft, or strategy: gumbel.")
        return self


class RetrainSpec(TrainSpec):
    """Training of the fixed network."""

    inherit: Bool = Field(default=False, description="start from the supernet's weights instead of from scratch")
