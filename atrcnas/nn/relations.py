"""All pairs at one level: pool contexts, mix kinds per pair, fuse per target, refine.

`ContextRefiner` is the drop-in module of ATRC (Bruggemann et al., ICCV 2021): it takes the task features of any
supervised multi-task network and returns refined ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.registry import resolve
from atrcnas.nn.blocks import ConvBN
from atrcnas.nn.contexts.base import Context, ContextInputs
from atrcnas.nn.contexts.recompute import recomputed
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.named import Named
from atrcnas.spec.kinds import KINDS, NONE, parts
from atrcnas.spec.pairs import Pair


def label_tasks(candidates: Mapping[Pair, Iterable[str]]) -> tuple[str, ...]:
    """The tasks with a label map that some candidate kind pools by."""
    needed: dict[str, None] = {}
    for pair, kinds in candidates.items():
        for kind in kinds:
            if KINDS[kind].needs_target_label:
                needed[pair.target] = None
            if KINDS[kind].needs_source_label:
                needed[pair.source] = None
    return tuple(needed)


class ContextRefiner(nn.Module):
    """Refine the features of each target by context from each source.

    Args:
        candidates: the kinds each pair may use, at one level. One kind for every pair makes the fixed network;
            several make the supernet, which needs a ``mixture`` in each forward pass. A fixed pair may use two together
            (``local+global``): the mean of their maps, as the supernet would give them with even weights.
        width: C, channels of all task features.
        hidden: d, channels of a pooled map; C // 2 if None (with ``fuse="sum"`` always C).
        fuse: "concat" projects the concatenated maps with a BatchNorm that starts at zero; "sum" adds them.
        refine: end with a 1x1 convolution over own features and contexts (ATRC).
        dropout: of the refined features, in the fixed network only.

    Attributes:
        recompute: compute the kinds again in the backward pass instead of keeping what they need for it.

    Raises:
        ConfigError: pairs of several levels, an unknown kind, or a kind that does not fit the diagonal.
    """

    def __init__(
        self,
        candidates: Mapping[Pair, Sequence[str]],
        width: int,
        *,
        hidden: int | None = None,
        fuse: Literal["concat", "sum"] = "concat",
        refine: bool = True,
        dropout: float = 0.05,
    ) -> None:
        super().__init__()
        _check(candidates)
        if fuse not in ("concat", "sum") or (hidden is not None and hidden < 1):
            raise ConfigError(f"expected fuse 'concat' or 'sum' and hidden of at least 1, got {fuse!r} and {hidden}.")
        self.candidates = {pair: tuple(kinds) for pair, kinds in candidates.items()}
        self.searching = any(len(kinds) > 1 for kinds in self.candidates.values())
        self.width = width
        self.hidden = width if fuse == "sum" else hidden or max(width // 2, 1)
        self.recompute = False
        self.targets = tuple(dict.fromkeys(pair.target for pair in self.candidates))
        self.contexts: Named[Context] = Named()
        used = {pair: [part for kind in kinds for part in parts(kind)] for pair, kinds in self.candidates.items()}
        for kind in dict.fromkeys(kind for kinds in used.values() for kind in kinds if kind != NONE):
            pairs = [pair for pair, kinds in used.items() if kind in kinds]
            module = resolve(KINDS[kind].module)
            # A plugin may name its kind like an attribute of ModuleDict ("keys", "type"), which torch refuses as a name.
            self.contexts[f"{kind}_"] = module(pairs, width, self.hidden, self.searching)
        fuser = ConcatFuse if fuse == "concat" else SumFuse
        self.fuse: Named[ConcatFuse | SumFuse] = Named(
            {
                target: fuser(self._fused_pairs(target), width, self.hidden, refine, 0.0 if self.searching else dropout)
                for target in self.targets
            }
        )

    def _fused_pairs(self, target: str) -> list[Pair]:
        return [pair for pair, kinds in self.candidates.items() if pair.target == target and kinds != (NONE,)]

    @property
    def label_tasks(self) -> tuple[str, ...]:
        """The tasks for which ``forward`` needs label logits."""
        return label_tasks(self.candidates)

    def forward(
        self,
        features: Mapping[str, Tensor],
        labels: Mapping[str, Tensor] | None = None,
        valid: Tensor | None = None,
        mixture: Mixture | None = None,
    ) -> dict[str, Tensor]:
        """Refine.

        Args:
            features: task -> [B, C, H, W] float; every target and source.
            labels: task -> [B, K, H, W] float label logits, for :attr:`label_tasks`.
            valid: [B, 1, H, W] bool, False where the image is padding; None if all is image.
            mixture: weights of the candidates; None for a fixed network.

        Returns:
            target -> [B, C, H, W].

        Raises:
            ConfigError: label logits are missing, or the network is searching and got no mixture.
        """
        if self.searching and mixture is None:
            raise ConfigError(
                "this network still has several kinds per pair. Pass mixture=..., or fix one kind per pair."
            )
        missing = [task for task in self._labels_used(mixture) if task not in (labels or {})]
        if missing:
            raise ConfigError(f"labels: the chosen kinds pool by the label maps of {missing}. Pass their logits.")
        inputs = ContextInputs(dict(features), dict(labels or {}), valid)
        for task in self._labels_used(mixture):
            inputs.label_probabilities(task)  # shared by kinds, hence before any of them
        maps = self._pool(inputs, mixture)
        return {target: self.fuse[target](features[target], maps) for target in self.targets}

    def _pool(self, inputs: ContextInputs, mixture: Mixture | None) -> dict[Pair, Tensor]:
        maps: dict[Pair, Tensor] = {}
        for name, context in self.contexts.items():
            kind = name.removesuffix("_")
            rows = tuple(
                row for row, pair in enumerate(context.pairs) if mixture is None or kind in mixture.active_kinds(pair)
            )
            compute = recomputed if self.recompute and torch.is_grad_enabled() else _plainly
            for row, pooled in zip(rows, compute(context, inputs, rows) if rows else [], strict=True):
                pair = context.pairs[row]
                if mixture is not None:
                    pooled = pooled * mixture.weight(pair, kind)
                elif (num_kinds := len(parts(self.candidates[pair][0]))) > 1:
                    pooled = pooled / num_kinds
                maps[pair] = maps[pair] + pooled if pair in maps else pooled
        return maps

    def _labels_used(self, mixture: Mixture | None) -> tuple[str, ...]:
        if mixture is None:
            return self.label_tasks
        return label_tasks({pair: mixture.active_kinds(pair) for pair in self.candidates})


def _plainly(context: nn.Module, inputs: ContextInputs, rows: tuple[int, ...]) -> list[Tensor]:
    maps: list[Tensor] = context(inputs, rows)
    return maps


def _check(candidates: Mapping[Pair, Sequence[str]]) -> None:
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


class ConcatFuse(nn.Module):
    """Concatenated maps -> 1x1 convolution, BatchNorm (starting at zero) -> joined with the target's own features.

    Source: Bruggemann et al. 2021, figure 3.
    """

    def __init__(self, pairs: list[Pair], width: int, hidden: int, refine: bool, dropout: float) -> None:
        super().__init__()
        self.pairs, self.hidden = pairs, hidden
        self.project = ConvBN(len(pairs) * hidden, width, activate=False) if pairs else None
        if self.project is not None:
            nn.init.zeros_(self.project.norm.weight)
        self.refine = _refine(2 * width if pairs else width, width, dropout) if refine else None

    def forward(self, own: Tensor, maps: Mapping[Pair, Tensor]) -> Tensor:
        """Fuse own features [B, C, H, W] with the maps [B, d, H, W] of those pairs that have one."""
        if self.project is None:
            return own if self.refine is None else self.refine(own)
        context = self.project(self._joined(own, maps))
        if self.refine is None:
            return own + context
        return self.refine(torch.cat([own, context], dim=1))

    def _joined(self, own: Tensor, maps: Mapping[Pair, Tensor]) -> Tensor:
        zero = own.new_zeros(()).expand(own.shape[0], self.hidden, *own.shape[2:])
        # Joined in channels-last order, which the maps have and the convolution wants.
        parts = [maps.get(pair, zero).permute(0, 2, 3, 1) for pair in self.pairs]
        return torch.cat(parts, dim=3).permute(0, 3, 1, 2)


class SumFuse(nn.Module):
    """Own features plus all maps (PAD-Net, MTI-Net)."""

    def __init__(self, pairs: list[Pair], width: int, hidden: int, refine: bool, dropout: float) -> None:
        super().__init__()
        self.pairs = pairs
        self.refine = _refine(width, width, dropout) if refine else None

    def forward(self, own: Tensor, maps: Mapping[Pair, Tensor]) -> Tensor:
        """Fuse own features [B, C, H, W] with the maps [B, C, H, W] of those pairs that have one."""
        fused = sum((maps[pair] for pair in self.pairs if pair in maps), own)
        return fused if self.refine is None else self.refine(fused)


def _refine(in_width: int, out_width: int, dropout: float) -> nn.Sequential:
    block = ConvBN(in_width, out_width)
    return nn.Sequential(block, nn.Dropout2d(dropout)) if dropout else nn.Sequential(block)
