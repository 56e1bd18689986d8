"""How a search of branches goes; defaults are those of BMTAS."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from atrcnas.spec.schema import Float, Int, Spec


class BranchSearchSpec(Spec):
    """Where tasks part in the encoder, searched by gradient.

    Source: Bruggemann et al., BMVC 2020 (BMTAS). Differs: logits and weights take turns at every step and not at every
    epoch, and neither optimisers nor BatchNorm statistics start anew.
    """

    contexts: Literal["after", "together", "none"] = Field(
        default="after",
        description="after: contexts are searched next, on the tree that was found; together: at once; none: not at all",
    )
    steps: Int | None = Field(
        default=None,
        ge=1,
        le=100_000_000,
        description="of the search of branches, where contexts come after it; null: as many as search.steps",
    )
    points: tuple[str, ...] = Field(
        default=(),
        description="where tasks may part, from the image on; empty: before each stage, so that the stem is shared",
    )
    estimator: Literal["soft", "sampled"] = Field(
        default="soft", description="soft: every task goes through every copy; sampled: through the one it drew"
    )
    tau: tuple[Annotated[Float, Field(gt=0)], Annotated[Float, Field(gt=0)]] = Field(
        default=(5.0, 0.1), description="temperature, after the warm-up and at the end, linear"
    )
    warm_up: Float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="share of the steps in which each task trains a copy of its own and logits rest",
    )
    logits_learning_rate: Float = Field(default=0.01, gt=0, le=100, description="of Adam")
    logits_weight_decay: Float = Field(default=5e-5, ge=0, le=1, description="pull of the logits towards even chances")
    cost_weight: Float = Field(
        default=0.05,
        ge=0,
        description="of the expected cost of the encoder in the loss, per 10^9 multiply-adds or per millisecond",
    )
    cost: Literal["multiply_adds", "latency_ms"] = Field(
        default="multiply_adds", description="what the encoder costs: counted, or measured on this machine at the start"
    )

    @property
    def at_once(self) -> bool:
        """Whether the search of an experiment itself is that of branches; otherwise it goes on a tree that is there."""
        return self.contexts != "after"
