"""What a ContextRefiner refuses, in our words: it is the part that stands in other people's networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from atrcnas.ground.errors import ConfigError
from atrcnas.nn.mixture import Mixture
from atrcnas.spec.kinds import KINDS, parts
from atrcnas.spec.pairs import Pair


def check_candidates(candidates: Mapping[Pair, Sequence[str]]) -> None:
    """Refuse candidates that are not kinds per pair at one level.

    Raises:
        ConfigError: naming the pair and what would fit.
    """
    for pair, kinds in candidates.items():
        if not isinstance(pair, Pair):
            raise ConfigError(f"expected a Pair for each pool, got {pair!r}. Use Pair.parse('target<-source').")
        if isinstance(kinds, str):
            raise ConfigError(f"'{pair}': expected a tuple of kinds, got the text '{kinds}'. Write ('{kinds}',).")
    if len({pair.level for pair in candidates}) > 1:
        raise ConfigError("a ContextRefiner works at one level. Build one per level.")
    searching = any(len(kinds) > 1 for kinds in candidates.values())
    for pair, kinds in candidates.items():
        if not kinds:
            raise ConfigError(f"'{pair}': expected at least one kind, got none. Use ('none',).")
        for kind in kinds:
            if pair.on_diagonal and not KINDS[kind].on_diagonal:
                raise ConfigError(f"'{pair}': '{kind}' needs two different tasks. Remove it.")
            if len(parts(kind)) > 1 and searching:
                raise ConfigError(
                    f"'{pair}': '{kind}' is an answer of a search, not a candidate. List both kinds separately."
                )


def check_mixture(mixture: Mixture, candidates: Mapping[Pair, Sequence[str]]) -> None:
    """Refuse a mixture that was drawn from other pools.

    Raises:
        ConfigError: naming the first pair that does not fit.
    """
    known = dict(zip(mixture.pairs, mixture.active, strict=True))
    for pair, kinds in candidates.items():
        if pair not in known:
            raise ConfigError(
                f"mixture: expected weights for '{pair}', got none. Draw it from the refiner's own pools."
            )
        foreign = sorted(known[pair] - {part for kind in kinds for part in parts(kind)} - {"none"})
        if foreign:
            raise ConfigError(
                f"mixture: '{pair}' is given '{foreign[0]}', which this refiner does not hold (it has "
                f"{', '.join(kinds)}). Draw it from the refiner's own pools."
            )


def check_maps(
    tasks: Sequence[str],
    width: int,
    features: Mapping[str, Tensor],
    by_label: Iterable[str],
    labels: Mapping[str, Tensor],
    valid: Tensor | None,
) -> None:
    """Refuse maps that are missing or have another shape than the others.

    Args:
        tasks: whose features are needed.
        width: their channels.
        features: task -> [B, width, H, W] float.
        by_label: the tasks whose label logits are needed.
        labels: task -> [B, K, H, W] float.
        valid: [B, 1, H, W] bool, or None.

    Raises:
        ConfigError: naming the map and what was expected.
    """
    _require("features", features, tasks, "Pass the features of every target and source.")
    _require("labels", labels, by_label, "The chosen kinds pool by these label maps: pass their logits.")
    first = features[tasks[0]] if tasks else torch.empty(0)
    for task in tasks:
        _check_form(f"features of '{task}'", features[task], first, width, "Build the refiner with their width.")
    for task in by_label:
        _check_form(f"labels of '{task}'", labels[task], first, None, "Resize the logits to the features' size.")
    if valid is not None:
        _check_form("valid", valid, first, 1, "Take every n-th pixel of the image's mask.", torch.bool)


def _require(what: str, maps: Any, tasks: Iterable[str], way_out: str) -> None:
    if not isinstance(maps, Mapping):
        raise ConfigError(f"{what}: expected a mapping from task to map, got {type(maps).__name__}. {way_out}")
    missing = [task for task in tasks if task not in maps]
    if missing:
        raise ConfigError(f"{what}: expected maps of {missing} too, got {list(maps)}. {way_out}")


def _check_form(
    what: str, x: Any, first: Tensor, channels: int | None, way_out: str, dtype: torch.dtype | None = None
) -> None:
    """Refuse ``x`` unless it is [B, channels, H, W] with the B, H and W of ``first``, of ``dtype`` or any floating one."""
    fits = isinstance(x, Tensor) and x.dim() == first.dim() == 4
    if fits and (x.shape[0], *x.shape[2:]) == (first.shape[0], *first.shape[2:]):
        known_dtype = x.is_floating_point() if dtype is None else x.dtype == dtype
        if known_dtype and channels in (None, x.shape[1]):
            return
    size = ("B", "H", "W") if first.dim() != 4 or x is first else (first.shape[0], *first.shape[2:])
    got = f"{list(x.shape)} of {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
    raise ConfigError(
        f"{what}: expected [{size[0]}, {channels or 'K'}, {size[1]}, {size[2]}] {dtype or 'float'}, got {got}. {way_out}"
    )
