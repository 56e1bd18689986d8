"""The search and retrain sections of an experiment; defaults are the published recipe (NYUD-v2)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from atrcnas.spec.schema import Bool, Float, Int, Spec

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
    validate_every: Steps = 2_000
    log_every: Steps = 50


class SearchSpec(TrainSpec):
    """The differentiable search."""

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
    noise: Bool = Field(default=True, description="Gumbel noise; false gives DARTS' plain softmax")
    estimator: Literal["soft", "sampled"] = Field(
        default="soft", description="soft: all candidates; sampled: only what is drawn, straight-through"
    )
    held_out: Float = Field(
        default=0.0, ge=0, lt=1, description="share of training samples for the logits; 0: single-level"
    )


class RetrainSpec(TrainSpec):
    """Training of the fixed network."""

    inherit: Bool = Field(default=False, description="start from the supernet's weights instead of from scratch")
