"""The tables that there are, and which configs each holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from atrcnas.spec.experiment import Experiment


@dataclass(frozen=True)
class Design:
    """What the rows of a table are trained by, and which are planned.

    Every table has the multi-task baseline and the factored design, in which each row of kinds of each target occurs.

    Attributes:
        bundled: the experiment.
        changes: sections of it that differ.
        seeds: number of seeds, from 0 on, of the baseline and the factored design.
        others: number of further configs, drawn evenly, each with one seed; None: all that there are, with every seed.
    """

    bundled: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 5
    others: int | None = None

    def experiment(self, name: str, overrides: Sequence[str] = ()) -> Experiment:
        """The experiment, named like the table if that is listed here; ``changes`` lie over ``overrides`` (key=value)."""
        named = {"name": name} if name in DESIGNS else {}
        return Experiment.load(self.bundled, overrides).replace(**named, **self.changes)


_PHOTOGRAPHS = {
    "data": {"augment": {"crop_size": [96, 128], "scale": [0.75, 1.5]}},
    "backbone": {"name": "atrcnas_small", "weights": "none"},
    "model": {"width": 24},
    "space": {
        "schema": 1,
        "pairs": {"default": ["none", "global", "local", "slabel"], "diagonal": ["none", "global", "local", "tlabel"]},
    },
    "retrain": {
        **{"steps": 300, "validate_every": 300, "batch_size": 8, "optimizer": "adamw", "learning_rate": 0.004},
        **{"weight_decay": 0.0001, "decay_norms": False, "schedule": "cosine", "clip": 10},
    },
}
_STRIDE_32 = {"backbone": {"options": {"stages": 5}}}
DESIGNS = {
    "rooms-small": Design("rooms-small"),
    "rooms-small-wide": Design("rooms-small", {"space": "wide"}, others=200),
    "rooms-deep": Design("rooms-small", _STRIDE_32, others=0),
    "camvid-small": Design("camvid", _PHOTOGRAPHS, seeds=3, others=0),
}


def design(name: str) -> Design:
    """The design of a table; one that is not listed is of the experiment of that name, with all configs."""
    return DESIGNS.get(name, Design(name))
