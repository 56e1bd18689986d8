"""The table of decoders: how raw network output becomes a prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from atrcnas.ground.registry import Registry


@dataclass(frozen=True)
class Decoder:
    """One decoder.

    Attributes:
        name: the word used in the task table.
        function: [B, C, H, W] float network output -> prediction, as the task's metric and ``predict`` take it; or its
            ``"module:function"`` string.
    """

    name: str
    function: Any


_HOME = "atrcnas.objectives.decode"

DECODERS: Registry[Decoder] = Registry("decoder")
DECODERS.register(Decoder("argmax", f"{_HOME}:argmax"))
DECODERS.register(Decoder("clamp", f"{_HOME}:clamp"))
DECODERS.register(Decoder("unit", f"{_HOME}:unit"))
DECODERS.register(Decoder("foreground", f"{_HOME}:foreground"))
DECODERS.register(Decoder("sigmoid", f"{_HOME}:sigmoid"))
