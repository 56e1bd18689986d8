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
        rule: the same in words, for whoever uses an exported file without this package.
    """

    name: str
    function: Any
    rule: str = ""


_HOME = "atrcnas.objectives.decode"

DECODERS: Registry[Decoder] = Registry("decoder")
DECODERS.register(Decoder("argmax", f"{_HOME}:argmax", "class number = index of the largest channel"))
DECODERS.register(Decoder("clamp", f"{_HOME}:clamp", "value = the channel, 0 where it is negative"))
DECODERS.register(Decoder("unit", f"{_HOME}:unit", "vector = the channels divided by their Euclidean length"))
DECODERS.register(
    Decoder("foreground", f"{_HOME}:foreground", "probability of class 1 = softmax over the channels, channel 1")
)
DECODERS.register(Decoder("sigmoid", f"{_HOME}:sigmoid", "probability = 1 / (1 + exp(-channel))"))
