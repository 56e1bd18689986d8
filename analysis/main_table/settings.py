"""What a main table is made for: an experiment, and what puts its rivals on a par."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from analysis.contextbench.one_run import FIXED
from analysis.places import RESULTS
from atrcnas.spec.experiment import Experiment


def of_widths(width: int, hidden: int) -> dict[str, Any]:
    """Sections of an experiment with these widths of task features and of pooled maps."""
    return {"model": {"width": width, "hidden": hidden}}


@dataclass(frozen=True)
class Setting:
    """One main table.

    Attributes:
        name: of the table and its files.
        bundled: the experiment.
        changes: sections of it that differ here.
        aspp_multiply_adds: of the baseline with ASPP heads, one validation image.
        wider: width of task features that gives the baseline as many multiply-adds.
        wide: width of task features in searches of the wide pool that may take the ASPP heads' multiply-adds; None:
            the width of all others.
        blocks: width of task features and of pooled maps in searches within the ASPP heads' latency: what ONNX Runtime's
            blocks of channels are filled by; None: as ``wide``.
        fitting: widths at which ``wide`` everywhere takes about what a budget allows: 1.3 times the baseline's latency in
            ONNX Runtime, or that of the ASPP heads.
        wider_aspp: width of task features of a second network with ASPP heads.
        aspp_latency_ms: the budget of searches within the latency of the network with ASPP heads in ONNX Runtime,
            measured with the costs of this table (:mod:`analysis.main_table.costs`); None: not measured, and no such
            search is planned.
        near_baseline_ms: that of searches that may take 30 % more than the baseline, at the width of the others,
            measured likewise with :attr:`plain_costs`.
        pyramid: whether the backbone has the four scales that MTI-Net needs.
        published: the published ATRC config whose tasks are nearest.
        size: (height, width) of a validation image, where the data set has no such option.
        seeds: number of seeds; a random config has one, as what is asked is how configs differ.
        fewer: system -> number of seeds, where it is smaller.
        systems: the names of those that are compared; None: all that there are.
        left_out: and of those that are not.
        costs_of: the setting that the costs of kinds were measured for, if it is another.
    """

    name: str
    bundled: str
    aspp_multiply_adds: int
    wider: int
    wide: int | None = None
    blocks: tuple[int, int] | None = None
    fitting: tuple[tuple[int, int], ...] = ()
    wider_aspp: int | None = None
    aspp_latency_ms: float | None = None
    near_baseline_ms: float | None = None
    pyramid: bool = False
    published: str = "atrc-nyud-hrnet18"
    size: tuple[int, int] | None = None
    seeds: int = 5
    systems: tuple[str, ...] | None = None
    left_out: tuple[str, ...] = ()
    costs_of: str | None = None
    fewer: Mapping[str, int] = field(default_factory=dict, hash=False)
    changes: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def experiment(self, overrides: Sequence[str] = ()) -> Experiment:
        """As ContextBench trains, and searched by `soft`; ``changes`` lie over ``overrides`` (key=value)."""
        return Experiment.load(self.bundled, [*FIXED, "search.estimator=soft", *overrides]).replace(**self.changes)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of a validation image."""
        height, width = self.size or self.experiment().data.options["image_size"]
        return height, width

    @property
    def widened(self) -> dict[str, Any]:
        """Sections of the experiment with the width of :attr:`wide`."""
        return {} if self.wide is None else {"model": {"width": self.wide}}

    @property
    def within_latency(self) -> dict[str, Any]:
        """Sections of the experiment with the widths of :attr:`blocks`."""
        return self.widened if self.blocks is None else of_widths(*self.blocks)

    @property
    def costs(self) -> Path:
        """The costs of the kinds, for :attr:`aspp_latency_ms`."""
        return self._file("costs", self.costs_of or self.name)

    @property
    def plain_costs(self) -> Path:
        """The costs of the kinds in networks as wide as the others."""
        return self._file("costs_plain", self.costs_of or self.name) if self.within_latency else self.costs

    def file(self, what: str) -> Path:
        """Where rows or measurements of this table are kept."""
        return self._file(what, self.name)

    def _file(self, what: str, name: str) -> Path:
        return RESULTS / f"{what}_{name.replace('-', '_')}.csv"


_SHORT = {
    **{"batch_size": 8, "optimizer": "adamw", "learning_rate": 0.004, "weight_decay": 0.0001, "decay_norms": False},
    **{"steps": 200, "validate_every": 200, "log_every": 20, "schedule": "cosine", "clip": 10},
}
_LONGER = {**_SHORT, "steps": 600, "validate_every": 600}
_TWO_TASKS_ALONE = ("searched-wide-darts", "transfer-half", "transfer-small")
_FOUR_TASKS_ALONE = ("searched-wide-two-paired", "searched-dense-paired", "searched-dense-long")
_MORE_TASKS_ALONE = ("uniform-linear-blocks", *_FOUR_TASKS_ALONE)
_LEFT_OUT = (*_TWO_TASKS_ALONE, *_MORE_TASKS_ALONE, "searched-wide-two", "searched-wide-latency-paired")
_HRNET18 = Setting(
    "rooms-hrnet18",
    "rooms",
    left_out=(*_LEFT_OUT, "deeper", "searched-atrc-paired"),
    fewer=dict.fromkeys(("single-task", "published", "searched-wide-paired"), 3),
    aspp_multiply_adds=673350244,
    aspp_latency_ms=14.05,
    wider=128,
    pyramid=True,
    changes={
        "data": {
            "options": {"image_size": [64, 96], "train_size": 3000, "val_size": 400},
            "augment": {"scale": [1.0, 1.0], "photometric": False},
        },
        "search": {**_SHORT, "logits_learning_rate": 0.05},
        "retrain": _SHORT,
    },
)
_NYUD = ("semseg", "depth", "normals", "edge")
_PASCAL = ("semseg", "human_parts", "sal", "normals", "edge")
# Parts are 4 % of the pixels; with equal weights nearly every network says after so few steps that there are none.
_PARTS = {"task_options": {"human_parts": {"class_weights": [1, *[20] * 6]}}}


def _small(name: str, tasks: Sequence[str], aspp_multiply_adds: int, published: str) -> Setting:
    """`rooms-small` with other tasks."""
    return Setting(
        name,
        "rooms-small",
        aspp_multiply_adds,
        wider=88,
        blocks=(48, 16),
        wider_aspp=32,
        published=published,
        seeds=3,
        left_out=_TWO_TASKS_ALONE,
        changes={"name": name, "tasks": list(tasks), **(_PARTS if "human_parts" in tasks else {})},
    )


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting(
            "rooms-small",
            "rooms-small",
            aspp_multiply_adds=22488192,
            aspp_latency_ms=0.6215,  # 95 % of what was measured: the sum of costs is not exact
            near_baseline_ms=0.457,
            wider=88,
            wide=40,
            blocks=(48, 16),
            fitting=((24, 8), (32, 8)),
            wider_aspp=32,
            left_out=_MORE_TASKS_ALONE,
        ),
        replace(
            _small("rooms-small-nyud", _NYUD, 42432768, "atrc-nyud-hrnet18"),
            aspp_latency_ms=1.218,
            near_baseline_ms=0.7206,
            fitting=((16, 4), (32, 8), (40, 8), (48, 8), (32, 12)),
        ),
        replace(
            _small("rooms-small-pascal", _PASCAL, 52460352, "atrc-pascal-hrnet18"),
            left_out=(*_TWO_TASKS_ALONE, *_FOUR_TASKS_ALONE, "searched-wide-two"),
            aspp_latency_ms=1.548,
            near_baseline_ms=0.8516,
            fitting=((16, 4), (32, 8), (48, 8)),
        ),
        _HRNET18,
        # What three times the steps change.
        replace(
            _HRNET18,
            name="rooms-hrnet18-600",
            costs_of=_HRNET18.name,
            seeds=2,
            systems=("baseline", "wider", "aspp-head", "uniform-wide", "uniform-aspp", "searched-wide-latency"),
            fewer={"wider": 1, "uniform-aspp": 1},
            changes={**_HRNET18.changes, "retrain": _LONGER},
        ),
        replace(
            _HRNET18,
            name="rooms-hrnet18-pascal",
            aspp_multiply_adds=792964205,
            aspp_latency_ms=None,
            published="atrc-pascal-hrnet18",
            seeds=3,
            systems=("baseline", "wider", "aspp-head", "mti-net", "uniform-wide", "searched-wide-paired"),
            fewer={},
            changes={**_HRNET18.changes, **_PARTS, "tasks": list(_PASCAL)},
        ),
        Setting(
            "camvid",
            "camvid",
            aspp_multiply_adds=2687599872,
            wider=65,
            pyramid=True,
            published="atrc-pascal-hrnet18",
            size=(180, 240),
            seeds=3,
            systems=(
                *("baseline", "wider", "aspp-head", "pad-net", "mti-net"),
                *("uniform-none", "uniform-global", "uniform-local", "uniform-slabel", "uniform-wide", "uniform-aspp"),
                *("searched-atrc", "searched-atrc-paired", "searched-wide", "searched-wide-paired"),
            ),
            fewer={
                **dict.fromkeys(("uniform-none", "uniform-global", "uniform-local", "uniform-slabel"), 1),
                **dict.fromkeys(("uniform-aspp", "searched-atrc-paired"), 1),
            },
            changes={
                "data": {"augment": {"crop_size": [96, 128], "scale": [0.75, 1.5]}},  # a third of the pixels
            },
        ),
    )
}
SMALL = SETTINGS["rooms-small"]
