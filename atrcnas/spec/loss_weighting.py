"""The table of ways to weigh the losses of the tasks against each other.

A new one is one class and one registration, here or in a plugin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from atrcnas.ground.registry import Registry
from atrcnas.spec.optimizers import NoOptions
from atrcnas.spec.schema import Float, Int, Spec


@dataclass(frozen=True)
class LossWeighting:
    """One way to join the losses of the tasks into what the weights of the network descend.

    Attributes:
        name: the word in ``loss_weighting``.
        description: one line.
        module: a class of ``atrcnas.objectives.weighting.base.Weighting``'s form, or its ``"module:Class"`` string.
        options: model of ``loss_weighting_options``.
    """

    name: str
    description: str
    module: Any
    options: type[Spec] = NoOptions


class UncertaintyOptions(Spec):
    """Of ``uncertainty``."""

    learning_rate: Float = Field(default=0.01, gt=0, le=10, description="of the variances' logarithms, by Adam")


class DwaOptions(Spec):
    """Of ``dwa``."""

    temperature: Float = Field(default=2.0, gt=0, description="the higher, the more even")
    every: Int | None = Field(
        default=None, ge=1, description="steps that a loss is averaged over; None: a twentieth of all steps"
    )


class GradnormOptions(Spec):
    """Of ``gradnorm``."""

    alpha: Float = Field(default=1.5, ge=0, le=10, description="how strongly slow tasks are favoured; 0: equal norms")
    learning_rate: Float = Field(default=0.025, gt=0, le=10, description="of the factors, by Adam")


class FamoOptions(Spec):
    """Of ``famo``."""

    learning_rate: Float = Field(default=0.025, gt=0, le=10, description="of the logits of the tasks, by Adam")
    decay: Float = Field(default=0.001, ge=0, le=1, description="of those logits")


_HOME = "atrcnas.objectives.weighting"

LOSS_WEIGHTINGS: Registry[LossWeighting] = Registry("loss weighting")
LOSS_WEIGHTINGS.register(LossWeighting("fixed", "the weights of the tasks alone", f"{_HOME}.base:Weighting"))
LOSS_WEIGHTINGS.register(
    LossWeighting(
        "uncertainty", "by learnt variances of the tasks", f"{_HOME}.uncertainty:Uncertainty", UncertaintyOptions
    )
)
LOSS_WEIGHTINGS.register(
    LossWeighting(
        "dwa", "more for tasks whose loss falls slowly (dynamic weight average)", f"{_HOME}.dwa:Dwa", DwaOptions
    )
)
LOSS_WEIGHTINGS.register(
    LossWeighting(
        "gradnorm", "gradients of like size, larger for slow tasks", f"{_HOME}.gradnorm:Gradnorm", GradnormOptions
    )
)
LOSS_WEIGHTINGS.register(
    LossWeighting("famo", "all losses fall at the same relative rate", f"{_HOME}.famo:Famo", FamoOptions)
)
