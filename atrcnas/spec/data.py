"""The data section of an experiment: which data set, its options, augmentation, loading."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from atrcnas.spec.schema import Bool, Float, Int, Spec

Share = Annotated[Float, Field(ge=0, le=1)]
Factor = Annotated[Float, Field(ge=0.05, le=20.0)]
Side = Annotated[Int, Field(ge=8, le=16384)]


class AugmentSpec(Spec):
    """Training augmentation; switched off by ``augment: null``."""

    crop_size: tuple[Side, Side] | None = Field(
        default=None, description="height, width, pixels; null: each image's own"
    )
    scale: tuple[Factor, Factor] = Field(default=(0.5, 2.0), description="smallest and largest random enlargement")
    flip: Share = Field(default=0.5, description="probability of a horizontal flip")
    photometric: Bool = Field(default=True, description="change brightness, contrast, saturation and hue")
    crop_max_share: Float = Field(
        default=0.75,
        gt=0.0,
        le=1.0,
        description="redraw a crop in which one class has more of the labelled pixels than this",
    )
    interpolation: Literal["antialiased", "opencv"] = Field(
        default="antialiased",
        description="opencv: images bilinear without antialiasing, labels by OpenCV's nearest rule, sizes truncated",
    )
    pad: Literal["end", "centred"] = Field(
        default="end", description="where padding goes: right and bottom, or evenly on all sides"
    )
    require_foreground: tuple[str, ...] = Field(
        default=(), description="class tasks for which a crop that shows only class 0 counts as not labelled"
    )

    @model_validator(mode="after")
    def _scale_ascends(self) -> AugmentSpec:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale: expected the smaller one first, got {list(self.scale)}. Swap them.")
        return self


class DataSpec(Spec):
    """Where samples come from and how they are loaded."""

    name: str = Field(default="rooms", description="the data set; `atrcnas list datasets` shows them")
    options: dict[str, Any] = Field(default={}, description="of that data set; `atrcnas list datasets` shows them")
    augment: AugmentSpec | None = Field(default=AugmentSpec(), description="null: training images as they are")
    selection: Float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="share of the training samples that is not trained on, for choosing states and configs; 0: the "
        "validation split chooses too",
    )
    pad_to: tuple[Side, Side] | None = Field(
        default=None, description="height, width to which smaller validation images are padded, evenly on all sides"
    )
    centroids: Literal["fitted", "published"] = Field(
        default="fitted",
        description="directions that surface normals are grouped by: of the training samples, or given",
    )
    drop_last: Bool = Field(
        default=False,
        description="leave out what does not fill a batch at the end of a pass; false: batches span passes",
    )
    labelled_batches: Bool = Field(
        default=True, description="partly labelled data: every task has a labelled image in each batch, if it can"
    )
    on_corrupt: Literal["stop", "skip"] = Field(
        default="stop", description="a training sample that cannot be read: stop, or take the next one instead"
    )
    workers: Int = Field(
        default=0, ge=0, le=256, description="loader processes; with search.held_out, of each of the two loaders"
    )
    cache_mib: Int = Field(
        default=0,
        ge=0,
        le=2**24,
        description="memory for decoded training samples, divided evenly among the loader processes; 0: none",
    )
