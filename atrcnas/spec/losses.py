"""The table of losses: where each one's function is, and its options. A new loss is one function and one registration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from atrcnas.ground.registry import Registry
from atrcnas.spec.schema import Float, Spec

ClassWeight = Annotated[Float, Field(ge=0, le=1e6)]


@dataclass(frozen=True)
class Loss:
    """One loss.

    Attributes:
        name: the word used in the task table.
        function: ``(prediction, target, valid, **options) -> scalar``, or its ``"module:function"`` string; prediction
            [B, C, H, W] float, target [B, H, W] int64 or [B, C, H, W] float, valid [B, H, W] bool. Exactly 0 for a
            batch without valid pixels.
        options: model of its keyword arguments, with ranges and descriptions.
    """

    name: str
    function: Any
    options: type[Spec] = Spec

    def own(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Those of a task's ``options`` that this loss takes."""
        return {key: value for key, value in options.items() if key in self.options.model_fields}


class FixedBalance(Spec):
    """Of the losses with fixed weights of the two classes."""

    positive_weight: Float = Field(
        default=0.95, gt=0, lt=1, description="weight of an edge pixel in the loss; any other has 1 - positive_weight"
    )


class ClassWeights(Spec):
    """Of the cross entropy between the classes of a task."""

    class_weights: tuple[ClassWeight, ...] | Literal["balanced"] | None = Field(
        default=None,
        description="one factor per class of the loss at its pixels, a list; balanced: as much as the class is rare in the "
        "training images; null: 1",
    )


_HOME = "atrcnas.objectives.losses"

LOSSES: Registry[Loss] = Registry("loss")
LOSSES.register(Loss("cross_entropy", f"{_HOME}:cross_entropy"))
LOSSES.register(Loss("weighted_cross_entropy", f"{_HOME}:weighted_cross_entropy", ClassWeights))
LOSSES.register(Loss("l1", f"{_HOME}:l1"))
LOSSES.register(Loss("normals_l1", f"{_HOME}:normals_l1"))
LOSSES.register(Loss("balanced_cross_entropy", f"{_HOME}:balanced_cross_entropy"))
LOSSES.register(Loss("balanced_bce", f"{_HOME}:balanced_bce", FixedBalance))
LOSSES.register(Loss("balanced_edge_cross_entropy", f"{_HOME}:balanced_edge_cross_entropy", FixedBalance))
