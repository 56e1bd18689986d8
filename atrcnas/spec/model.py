"""The backbone and model sections of an experiment: the point of the configuration space that is not the pairs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from atrcnas.spec.schema import Bool, Float, Int, Spec

# Keyword arguments to timm that no experiment may set.
_DECIDED_HERE = (
    *("model_name", "features_only", "out_indices", "feature_cls", "feature_cfg", "scriptable", "exportable", "no_jit"),
    *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_strict", "checkpoint_path", "cache_dir"),
    *("in_chans", "num_classes", "global_pool"),
)


class BackboneSpec(Spec):
    """A timm backbone."""

    name: str = Field(default="hrnet_w18_small_v2", description="any model of timm with features at stride 4")
    weights: str = Field(default="none", description="'none', 'hub' (timm's download) or a local file")
    freeze: Bool = Field(default=False, description="keep weights and BatchNorm statistics as loaded")
    upsample: Literal["nearest", "bilinear"] = Field(
        default="nearest", description="how HRNet enlarges its coarser branches: as timm does, or as the ATRC reference"
    )
    options: dict[str, Any] = Field(
        default={}, description="further settings of that timm model: drop_path_rate, img_size, ..."
    )

    @field_validator("options")
    @classmethod
    def _options_are_free(cls, options: dict[str, Any]) -> dict[str, Any]:
        taken = [key for key in options if key in _DECIDED_HERE]
        if taken:
            raise ValueError(
                f"{', '.join(taken)}: decided by the network itself, or by backbone.weights. Remove it from the options."
            )
        return options


class ModelSpec(Spec):
    """The point of the configuration space that is not the pairs (see nn/net.py)."""

    neck: Literal["concat", "pyramid"] = Field(
        default="concat", description="the backbone's scales enlarged to stride 4 and joined, or kept apart"
    )
    neck_conv: Bool = Field(
        default=False, description="with neck: concat, a 1x1 convolution over the joined maps for all tasks (PAD-Net)"
    )
    task_features: Literal["none", "conv3", "bottleneck2", "basic2"] = Field(
        default="conv3", description="layers from the neck to the features of each task"
    )
    width: Int | None = Field(
        default=None, ge=4, le=4096, description="channels of task features; null: a quarter of the neck's"
    )
    hidden: Int | None = Field(
        default=None, ge=1, le=4096, description="channels of a pooled map; null: half of the task features'"
    )
    deep_supervision: Bool = Field(
        default=False, description="initial predictions from task features, with the final losses"
    )
    propagate: Bool = Field(default=False, description="MTI-Net's feature propagation from coarser to finer levels")
    fuse: Literal["concat", "sum"] = Field(
        default="concat", description="how a target's own features and its contexts are put together"
    )
    refine: Bool = Field(default=True, description="ATRC's last 1x1 convolution over own features and contexts")
    dropout: Float = Field(default=0.05, ge=0, lt=1, description="of the refined features; not while searching")
    head: Literal["conv1", "bottleneck2", "aspp", "pyramid"] = Field(
        default="conv1", description="last layers of a task; pyramid: all levels joined, goes with neck: pyramid"
    )

    branches: dict[str, list[list[str]]] = Field(
        default={},
        description="where tasks part in the encoder: {stage3: [[semseg], [depth, edge]], ...}, groups of tasks from a "
        "point on; points are stem, stage1, stage1.2 (before the second block of a stage), ...; empty: all share all of it",
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> ModelSpec:
        if (self.neck == "pyramid") != (self.head == "pyramid"):
            raise ValueError(
                f"model: neck '{self.neck}' and head '{self.head}' do not fit. Set both to 'pyramid', or neither."
            )
        if self.propagate and (self.neck != "pyramid" or self.task_features == "none"):
            raise ValueError("model.propagate: expected neck: pyramid and task features. Set task_features: basic2.")
        if self.deep_supervision and self.task_features == "none":
            raise ValueError(
                "model.deep_supervision: there are no task features to predict from. Set task_features: basic2."
            )
        if self.neck == "concat" and self.task_features == "none":
            raise ValueError("model.task_features: 'none' needs neck: pyramid. Set task_features: conv3.")
        if self.neck_conv and self.neck == "pyramid":
            raise ValueError("model.neck_conv: with neck: pyramid no maps are joined. Remove model.neck_conv.")
        if self.width is not None and self.neck == "pyramid":
            raise ValueError(
                "model.width: with neck: pyramid each level keeps the backbone's width. Remove model.width."
            )
        if self.hidden is not None and self.fuse == "sum":
            raise ValueError(
                "model.hidden: with fuse: sum pooled maps are as wide as task features. Remove model.hidden."
            )
        return self


class ModelPart(ModelSpec):
    """Some of the settings, to be laid over an experiment's; only there need they fit each other."""

    @model_validator(mode="after")
    def _parts_fit(self) -> ModelPart:
        return self

    def given(self) -> dict[str, Any]:
        """The settings that were given; None is one."""
        return self.model_dump(exclude_unset=True)
