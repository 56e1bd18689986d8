"""The table of label encoders: how a target map becomes the classes that the `tlabel` and `slabel` kinds pool by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from atrcnas.ground.registry import Registry


@dataclass(frozen=True)
class LabelEncoder:
    """One label encoder; its functions are given themselves or as ``"module:function"`` strings.

    Attributes:
        name: the word used in the task table.
        encode: ``(target, valid, num_labels, state) -> labels`` [B, H, W] int64 in [0, num_labels), 0 where not
            valid. ``state`` is what ``fit`` returned; None takes a default that needs no data.
        fit: ``(batches of (target, valid), num_labels, seed) -> state``; None for an encoder without state.
    """

    name: str
    encode: Any
    fit: Any = None


_HOME = "atrcnas.objectives.labels"

LABEL_ENCODERS: Registry[LabelEncoder] = Registry("label encoder")
LABEL_ENCODERS.register(LabelEncoder("classes", f"{_HOME}:encode_classes"))
LABEL_ENCODERS.register(LabelEncoder("depth_bins", f"{_HOME}:encode_depth"))
LABEL_ENCODERS.register(
    LabelEncoder("normal_centroids", f"{_HOME}:encode_normals", "atrcnas.objectives.centroids:fit_normal_centroids")
)
