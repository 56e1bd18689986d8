"""The launch section of an experiment or a sweep: where trials run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from atrcnas.spec.schema import Float, Int, Spec


class LaunchSpec(Spec):
    """Where trials run, and how many at once; a search by gradient is not split up and runs in this process."""

    engine: Literal["local", "processes", "ray"] = Field(
        default="local", description="in this process; in processes of this machine; as tasks of a Ray cluster"
    )
    workers: Int = Field(default=1, ge=1, le=10_000, description="trials at once")
    address: str | None = Field(default=None, description="of a running Ray cluster; a local one starts if absent")
    resources: dict[str, Annotated[Float | Int, Field(gt=0)]] = Field(
        default={}, description="what Ray reserves for one trial, e.g. {CPU: 4, GPU: 1}"
    )

    @model_validator(mode="after")
    def _have_an_effect(self) -> LaunchSpec:
        if self.engine == "local" and self.workers > 1:
            raise ValueError(
                f"workers: engine 'local' runs one trial at once, got {self.workers}. Set engine: processes."
            )
        if self.engine != "ray" and (self.address or self.resources):
            raise ValueError("address and resources belong to Ray. Set engine: ray, or remove them.")
        return self
