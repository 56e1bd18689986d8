"""The sweep: one experiment, run once for each of many settings."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.files import read_yaml
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.launch import LaunchSpec
from atrcnas.spec.overrides import override
from atrcnas.spec.schema import Int, Spec, validate

CONTEXTS, _EXPERIMENT = "contexts", "experiment."
MAX_POINTS = 100_000


@dataclass(frozen=True)
class SweepTrial:
    """One point of a sweep.

    Attributes:
        name: of its run folder.
        experiment: with this point's settings.
        contexts: a file or preset to train instead of searching.
    """

    name: str
    experiment: Experiment
    contexts: str | None


class SweepSpec(Spec):
    """One sweep file."""

    schema_version: Literal[1] = Field(default=1, alias="schema", description="version of this form of file")
    name: str = Field(default="sweep", pattern=r"^\w[\w.-]*$", description="of its folder, runs/NAME")
    experiment: str | dict[str, Any] = Field(description="a file, a bundled experiment, or the experiment itself")
    over: dict[str, Annotated[list[JsonValue], Field(min_length=1)]] = Field(
        min_length=1, description="key.path: [values]; contexts: [presets or files, or search]"
    )
    settings: tuple[str, ...] = Field(
        default=(), description="key.path=value, laid over the experiment at every point; from the command line too"
    )
    sample: Int | None = Field(default=None, ge=1, description="points drawn at random; all of the grid if absent")
    seed: Int = Field(default=0, ge=0, description="of that draw")
    launch: LaunchSpec = LaunchSpec()

    @classmethod
    def load(cls, source: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> SweepSpec:
        """Read and check a sweep file; its experiments are checked by :meth:`trials`.

        Args:
            source: a file, or an already parsed mapping.
            overrides: ``key.path=value``; a key of the sweep changes the sweep, any other, and what follows ``experiment.``,
                the experiment at every point.

        Raises:
            ConfigError: not found or not valid.
        """
        where = "sweep" if isinstance(source, Mapping) else str(source)
        value = dict(source) if isinstance(source, Mapping) else read_yaml(Path(source), "sweep")
        if not isinstance(value, Mapping):
            return validate(cls, value, where)
        own, settings = cls._divided(overrides)
        spec = validate(cls, override(dict(value), own, where), where)
        return spec.model_copy(update={"settings": (*spec.settings, *settings)})

    @classmethod
    def _divided(cls, overrides: Sequence[str]) -> tuple[list[str], list[str]]:
        """Those for the sweep itself, and those for its experiment."""
        keys = {field.alias or name for name, field in cls.model_fields.items()}
        own = [text for text in overrides if re.split(r"[.=]", text)[0] in keys and not text.startswith(_EXPERIMENT)]
        return own, [text.removeprefix(_EXPERIMENT) for text in overrides if text not in own]

    def trials(self) -> list[SweepTrial]:
        """Every point, checked as an experiment.

        Raises:
            ConfigError: a point is not valid, or there are too many.
        """
        points = self._points()
        return [self._trial(name, point) for name, point in zip(_names(points), points, strict=True)]

    def _points(self) -> list[dict[str, Any]]:
        num_points = 1
        for values in self.over.values():
            num_points *= len(values)
        number = min(num_points, num_points if self.sample is None else self.sample)
        if number > MAX_POINTS:
            raise ConfigError(f"over: expected at most {MAX_POINTS} points, got {number}. Set sample, or drop values.")
        if self.sample is None:
            return [dict(zip(self.over, values, strict=True)) for values in itertools.product(*self.over.values())]
        chosen = sorted(Random(self.seed).sample(range(num_points), number))
        return [self._point(index) for index in chosen]

    def _point(self, index: int) -> dict[str, Any]:
        """The point of a place in the grid, without listing the grid."""
        point = {}
        for key, values in reversed(self.over.items()):
            index, place = divmod(index, len(values))
            point[key] = values[place]
        return dict(reversed(point.items()))

    def _trial(self, name: str, point: Mapping[str, Any]) -> SweepTrial:
        overrides = [*self.settings, *(f"{key}={json.dumps(value)}" for key, value in point.items() if key != CONTEXTS)]
        contexts = point.get(CONTEXTS)
        try:
            experiment = Experiment.load(self.experiment, overrides)
            experiment.check_one_device("a trial")
            if contexts in (None, "search"):
                return SweepTrial(name, experiment, None)
            ContextConfig.load(str(contexts)).kinds(experiment.tasks, experiment.all_tasks)
        except ConfigError as error:
            raise ConfigError(f"trial {name}: {error}") from error
        return SweepTrial(name, experiment, str(contexts))


def _names(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names that say what differs, the seed last, so that runs of one setting begin alike."""
    names = [
        "-".join(
            f"{key.rpartition('.')[2]}_{_word(point[key])}" for key in sorted(point, key=lambda key: key == "seed")
        )
        for point in points
    ]
    often = Counter(names)
    # No name has a tilde of its own.
    return [name if often[name] == 1 else f"{name}~{index}" for index, name in enumerate(names)]


def _word(value: Any) -> str:
    """A value as part of a folder's name."""
    text = Path(value).stem if isinstance(value, str) else json.dumps(value)
    return re.sub(r"[^\w.]+", "-", text).strip("-")[:30]
