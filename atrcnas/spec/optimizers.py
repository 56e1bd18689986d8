"""The tables of optimisers and learning rate schedules of the weights.

A new one is one function and one registration, here or in a plugin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from atrcnas.ground.registry import Registry
from atrcnas.spec.schema import Bool, Float, Spec


class NoOptions(Spec):
    """Nothing to set."""


class SgdOptions(Spec):
    """Of ``sgd``, besides ``momentum``."""

    nesterov: Bool = Field(default=False, description="Nesterov's momentum")


class AdamwOptions(Spec):
    """Of ``adamw``."""

    betas: tuple[Annotated[Float, Field(ge=0, lt=1)], Annotated[Float, Field(ge=0, lt=1)]] = Field(
        default=(0.9, 0.999), description="decay of the means of the gradient and of its square"
    )
    eps: Float = Field(default=1e-8, gt=0, description="added to the root of the mean square")


class CosineOptions(Spec):
    """Of ``cosine``."""

    final: Float = Field(default=0.0, ge=0, le=1, description="share of the rate that is left at the last step")


@dataclass(frozen=True)
class Optimizer:
    """An optimiser of the weights.

    Attributes:
        name: the word in ``optimizer``.
        description: one line.
        build: a function ``(groups, recipe, options) -> torch.optim.Optimizer``, or its ``"module:function"`` string;
            ``groups`` are torch's parameter groups with their rate and decay.
        options: model of ``optimizer_options``.
    """

    name: str
    description: str
    build: Any
    options: type[Spec] = NoOptions


@dataclass(frozen=True)
class Schedule:
    """A learning rate over the steps.

    Attributes:
        name: the word in ``schedule``.
        description: one line.
        rate: a function ``(share, recipe, options) -> factor`` of the share of the steps after the warm-up that are
            done, in [0, 1); or its ``"module:function"`` string.
        options: model of ``schedule_options``.
    """

    name: str
    description: str
    rate: Any
    options: type[Spec] = NoOptions


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")
OPTIMIZERS.register(
    Optimizer("sgd", "stochastic gradient descent with momentum", "atrcnas.engine.optimizing:sgd", SgdOptions)
)
OPTIMIZERS.register(
    Optimizer("adamw", "Adam with decoupled weight decay", "atrcnas.engine.optimizing:adamw", AdamwOptions)
)

SCHEDULES: Registry[Schedule] = Registry("schedule")
SCHEDULES.register(Schedule("poly", "(1 - share) ** poly_power", "atrcnas.engine.optimizing:poly"))
SCHEDULES.register(Schedule("cosine", "half a cosine", "atrcnas.engine.optimizing:cosine", CosineOptions))
SCHEDULES.register(Schedule("constant", "the same rate throughout", "atrcnas.engine.optimizing:constant"))
