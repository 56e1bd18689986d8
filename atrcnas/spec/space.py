"""The search space: the pool of kinds each ordered pair may choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.files import read_yaml, write_yaml
from atrcnas.spec.bundled import find
from atrcnas.spec.kinds import KINDS, parts
from atrcnas.spec.pairs import Pair, apply_rules, check_rule_keys, levels_ascend
from atrcnas.spec.schema import Int, Spec, validate

Pool = Annotated[tuple[str, ...], Field(min_length=1)]


class SearchSpace(Spec):
    """Pools per pair, by rules from general to specific: ``default``, ``diagonal``, ``t<-s``, ``t<-s@level``.

    Kinds that make no sense on the diagonal (`slabel`) are dropped there from the ``default`` rule.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema", description="version of this form of file")
    levels: Annotated[tuple[Literal[4, 8, 16, 32], ...], AfterValidator(levels_ascend)] = Field(
        default=(4,), min_length=1, description="backbone scales searched; [4] is ATRC, [4, 8, 16, 32] a pyramid"
    )
    pairs: dict[str, Pool] = Field(
        description="{rule: [kinds]}; rules are default, diagonal, target<-source and target<-source@level"
    )
    choose: Int = Field(default=1, ge=1, le=2, description="kinds of a pair in the answer: the most probable, or two")

    @model_validator(mode="after")
    def _kinds_exist(self) -> SearchSpace:
        for key, pool in self.pairs.items():
            if key not in ("default", "diagonal"):
                try:
                    Pair.parse(key)
                except ConfigError as error:
                    raise ValueError(f"pairs: {error}") from error
            for kind in pool:
                if kind not in KINDS:
                    raise ValueError(f"pairs.{key}: {KINDS.miss(kind)}")
                if len(parts(kind)) > 1:
                    raise ValueError(f"pairs.{key}: expected single kinds, got '{kind}'. List both and set choose: 2.")
            if len(set(pool)) < len(pool):
                raise ValueError(f"pairs.{key}: expected each kind once, got {list(pool)}.")
        return self

    def pools(self, targets: Sequence[str], sources: Sequence[str] | None = None) -> dict[Pair, tuple[str, ...]]:
        """The pool of each pair of these tasks.

        Raises:
            ConfigError: a rule names a foreign task, a pair has no rule, or a diagonal pair is offered a kind that
                needs two different tasks; or text in place of a list of tasks.
        """
        if isinstance(targets, str) or isinstance(sources, str):
            raise ConfigError(
                f"expected a list of tasks, got the text '{targets if isinstance(targets, str) else sources}'."
            )
        check_rule_keys(list(self.pairs), targets, sources, self.levels)
        pools = apply_rules(self.pairs, targets, self.levels, sources)
        for pair, pool in pools.items():
            unfit = [kind for kind in pool if pair.on_diagonal and not KINDS[kind].on_diagonal]
            own_rules = ("diagonal", f"{pair.target}<-{pair.source}", f"{pair.target}<-{pair.source}@{pair.level}")
            if unfit and not any(rule in self.pairs for rule in own_rules):
                pools[pair] = tuple(kind for kind in pool if kind not in unfit) or ("none",)
            elif unfit:
                raise ConfigError(
                    f"pairs: '{pair}' is offered {unfit}, which needs two different tasks. Remove it from that rule."
                )
        return pools

    @classmethod
    def load(cls, source: str | Path | Mapping[str, Any]) -> SearchSpace:
        """Read a file, a bundled space by name, or an already parsed mapping.

        Raises:
            ConfigError: not found or not valid.
        """
        if isinstance(source, Mapping):
            return validate(cls, source, "space")
        path = find(source, "search_spaces", "search space")
        return validate(cls, read_yaml(path, "search space"), str(path))

    def dump(self) -> dict[str, Any]:
        """Plain values."""
        return self.model_dump(by_alias=True, mode="json")

    def save(self, path: Path) -> None:
        """Write the YAML form."""
        write_yaml(path, self.dump())
