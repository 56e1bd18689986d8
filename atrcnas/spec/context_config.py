"""The answer of a search: one kind per pair, as a small readable file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.files import read_text, read_yaml, write_json, write_yaml
from atrcnas.spec.bundled import find
from atrcnas.spec.kinds import KINDS, NONE
from atrcnas.spec.model import ModelPart
from atrcnas.spec.pairs import BASE_LEVEL, Pair, all_pairs, apply_rules, check_rule_keys, levels_ascend
from atrcnas.spec.schema import Int, Spec, validate

Table = dict[str, dict[str, str]]


class Provenance(Spec):
    """Where a context config comes from; every field may be absent (a preset has none)."""

    experiment: str | None = None
    source: str | None = Field(default=None, description="paper or file, for configs that were not searched here")
    seed: int | None = None
    step: int | None = Field(default=None, ge=0)
    commit: str | None = Field(default=None, description="of the program that searched")
    strategy: str | None = Field(default=None, description="that searched")
    trials: int | None = Field(default=None, ge=0, description="configs scored")
    proposals: str | None = Field(default=None, description="library that proposed the configs")
    score: float | None = Field(default=None, description="of this config in the search; higher is better")
    probabilities: dict[str, dict[str, float]] = {}
    undecided: dict[str, float] | None = Field(
        default=None,
        description="pairs that did not commit, or on which several seeds disagree, with the lead of their best kind "
        "in probability",
    )
    agreement: dict[str, float] | None = Field(
        default=None, description="of several seeds: share of the searches that chose this kind of the pair"
    )


class ContextConfig(Spec):
    """One kind per ordered pair, or two together (``local+global``).

    Attributes:
        schema_version: written ``schema: 1``.
        tasks: the tasks it was made for; empty in a preset that fits any tasks.
        num_tasks: how many tasks a preset is for, whichever they are; None for any number.
        levels: backbone scales.
        pairs: ``{target: {source: kind}}``; with several levels ``{level: {target: {source: kind}}}``; or, in a preset
            for any tasks, rules ``{default: kind, diagonal: kind}``.
        model: model settings (see spec/experiment.py) that belong to this config; laid over the experiment's.
        provenance: where it comes from.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    tasks: tuple[str, ...] = ()
    num_tasks: Int | None = Field(default=None, ge=1)
    levels: Annotated[tuple[Literal[4, 8, 16, 32], ...], AfterValidator(levels_ascend)] = Field(
        default=(4,), min_length=1
    )
    pairs: dict[int, Table] | Table | dict[str, str] = Field(
        description="{target: {source: kind}}, of several levels {level: {target: {source: kind}}}, "
        "or rules for any tasks {default: kind, diagonal: kind}"
    )
    model: ModelPart = ModelPart()
    provenance: Provenance = Provenance()

    _where: str = PrivateAttr("context config")

    @model_validator(mode="after")
    def _complete(self) -> ContextConfig:
        try:
            for pair, kind in (self._rules() if self.is_rule else self._listed()).items():
                if kind not in KINDS:
                    raise ConfigError(f"pairs.{pair}: {KINDS.miss(kind)}")
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    def __eq__(self, other: object) -> bool:
        """Equal content; which file it came from does not count."""
        return isinstance(other, ContextConfig) and self.dump() == other.dump()

    __hash__ = None  # type: ignore[assignment]

    @property
    def is_rule(self) -> bool:
        """Whether it fits any tasks (``default``/``diagonal``) rather than listing pairs."""
        return bool(self.pairs) and all(isinstance(value, str) for value in self.pairs.values())

    @property
    def named_tasks(self) -> tuple[str, ...]:
        """The tasks it was made for, else those its pairs name: targets, then sources."""
        pairs = {} if self.is_rule else self._listed()
        return self.tasks or tuple(dict.fromkeys([*(pair.target for pair in pairs), *(pair.source for pair in pairs)]))

    def _rules(self) -> dict[str, str]:
        return {str(key): str(value) for key, value in self.pairs.items()}

    def _listed(self) -> dict[Pair, str]:
        by_level = any(isinstance(key, int) for key in self.pairs) or len(self.levels) > 1
        tables: Mapping[Any, Any] = self.pairs if by_level else {self.levels[0]: self.pairs}
        if set(tables) != set(self.levels):
            raise ConfigError(f"pairs: expected one table for each of levels {list(self.levels)}, got {list(tables)}.")
        listed: dict[Pair, str] = {}
        for level, table in tables.items():
            for target, row in table.items():
                if not isinstance(row, Mapping):
                    raise ConfigError(f"pairs.{target}: expected 'source: kind' lines, got {row!r}.")
                listed |= {Pair(target, source, int(level)): str(kind) for source, kind in row.items()}
        return listed

    def kinds(self, targets: Sequence[str], sources: Sequence[str] | None = None) -> dict[Pair, str]:
        """The kind of each pair of these tasks; a pair the file does not list has none.

        Raises:
            ConfigError: the file was made for other tasks or another number of them, or gives a diagonal pair a kind
                that needs two tasks.
        """
        try:
            return self._kinds(targets, sources)
        except ConfigError as error:
            raise ConfigError(f"{self._where}: {error}") from error

    def _kinds(self, targets: Sequence[str], sources: Sequence[str] | None) -> dict[Pair, str]:
        self._check_count([*targets, *(name for name in sources or () if name not in targets)])
        if self.is_rule:
            check_rule_keys(list(self._rules()), targets, sources, self.levels)
            chosen = apply_rules(self._rules(), targets, self.levels, sources)
        else:
            self._check_tasks([*targets, *(sources or ())])
            listed, known = self._listed(), all_pairs(targets, self.levels, sources)
            foreign = [str(pair) for pair in listed if pair not in known]
            if foreign:
                raise ConfigError(
                    f"pairs: {', '.join(foreign)}: no such pair here. Targets: {', '.join(targets)}; "
                    f"sources: {', '.join(sources or targets)}. Correct the names."
                )
            chosen = {pair: listed.get(pair, NONE) for pair in known}
        for pair, kind in chosen.items():
            if pair.on_diagonal and not KINDS[kind].on_diagonal:
                raise ConfigError(
                    f"pairs: '{pair}' is '{kind}', which needs two different tasks. Use 'tlabel' or 'none'."
                )
        return chosen

    def _check_count(self, wanted: Sequence[str]) -> None:
        if self.num_tasks is not None and len(wanted) != self.num_tasks:
            noun = "task" if self.num_tasks == 1 else "tasks"
            raise ConfigError(
                f"num_tasks: the context config is for {self.num_tasks} {noun}, the experiment has {len(wanted)}: "
                f"{', '.join(wanted)}. Set its tasks to {list(wanted[: self.num_tasks])}, one run for each choice, "
                "or take a preset for any number of tasks, such as 'baseline'."
            )

    def _check_tasks(self, wanted: Sequence[str]) -> None:
        made_for = set(self.named_tasks)
        if made_for != set(wanted):
            raise ConfigError(
                f"the context config is for tasks {sorted(made_for)}, the experiment has {sorted(set(wanted))}. "
                "Search again for these tasks, or set the experiment's tasks to the config's."
            )

    @classmethod
    def from_kinds(
        cls, kinds: Mapping[Pair, str], model: Mapping[str, Any] | None = None, provenance: Provenance | None = None
    ) -> ContextConfig:
        """Build from one kind per pair."""
        if not kinds:
            raise ConfigError("pairs: expected at least one pair, got none.")
        tasks = tuple(dict.fromkeys(name for pair in kinds for name in (pair.target, pair.source)))
        levels = tuple(sorted({pair.level for pair in kinds}))
        tables: dict[int, Table] = {level: {} for level in levels}
        for pair, kind in kinds.items():
            tables[pair.level].setdefault(pair.target, {})[pair.source] = kind
        pairs: Any = tables if len(levels) > 1 else tables[levels[0]]
        value = {"schema": 1, "tasks": tasks, "levels": levels, "pairs": pairs, "model": dict(model or {})}
        return validate(cls, {**value, "provenance": provenance or Provenance()}, "context config")

    @classmethod
    def load(cls, source: str | Path) -> ContextConfig:
        """Read our YAML, the reference implementation's integer JSON, or a bundled preset by name.

        Raises:
            ConfigError: not found or not valid.
        """
        path = find(source, "search_spaces/presets", "preset")
        if path.suffix == ".json":
            config = _from_reference(path)
        else:
            config = validate(cls, read_yaml(path, "context config"), str(path))
        config._where = str(path)
        return config

    def save(self, path: Path) -> None:
        """Write the YAML form."""
        write_yaml(path, self.dump())

    def dump(self) -> dict[str, Any]:
        """As written to a file: what is None or, of the sections, empty is left out; of the model, what was not given."""
        value = self.model_dump(by_alias=True, mode="json", exclude_none=True)
        value["model"] = self.model.given()
        if isinstance(next(iter(self.pairs), None), int):
            value["pairs"] = {int(level): table for level, table in value["pairs"].items()}
        return {key: part for key, part in value.items() if key == "pairs" or part not in ({}, [])}

    def save_reference(self, path: Path) -> None:
        """Write the reference implementation's JSON: ``{"data": {target: {source: code}}, "step": n}``.

        Raises:
            ConfigError: several levels, a branched encoder, or a kind the reference does not have.
        """
        if self.levels != (BASE_LEVEL,) or self.is_rule:
            raise ConfigError("the reference's JSON holds listed pairs at level 4 only. Use --format yaml.")
        if self.model.branches:
            raise ConfigError("model.branches: the reference's JSON holds pairs only. Use --format yaml.")
        data: dict[str, dict[str, int]] = {}
        for pair, kind in self._listed().items():
            code = KINDS[kind].reference_code
            if code is None:
                raise ConfigError(f"'{pair}' is '{kind}', which the reference does not have. Use --format yaml.")
            data.setdefault(pair.target, {})[pair.source] = code
        write_json(path, {"data": data, "step": self.provenance.step or 0})


def _from_reference(path: Path) -> ContextConfig:
    try:
        value = json.loads(read_text(path, "context config"), object_pairs_hook=_without_doubles)
        table, step = value["data"], int(value.get("step", 0))
        if step >= 2**63:
            raise ValueError("a step of more than 64 bits")
        codes = {Pair(target, source): code for target, row in table.items() for source, code in row.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        form = '{"data": {target: {source: code}}, "step": n}'
        raise ConfigError(f"{path}: expected {form}, got something else ({type(error).__name__}: {error}).") from error
    by_code = {kind.reference_code: kind.name for kind in KINDS if kind.reference_code is not None}
    kinds: dict[Pair, str] = {}
    for pair, code in codes.items():
        if isinstance(code, bool) or not isinstance(code, int) or code not in by_code:
            raise ConfigError(f"{path}: data.{pair.target}.{pair.source}: expected one of {by_code}, got {code!r}.")
        kinds[pair] = by_code[code]
    if not kinds:
        raise ConfigError(f"{path}: data: expected at least one pair, got none.")
    try:
        return ContextConfig.from_kinds(kinds, provenance=Provenance(source=path.name, step=max(step, 0)))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _without_doubles(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) < len(items):
        raise ValueError("a key appears twice")
    return found
