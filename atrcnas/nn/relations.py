"""All pairs at one level: pool contexts, mix kinds per pair, fuse per target, refine.

`ContextRefiner` is the drop-in module of ATRC (Bruggemann et al., ICCV 2021): it takes the task features of any
supervised multi-task network and returns refined ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from atrcnas.ground.errors import CheckpointError, ConfigError
from atrcnas.ground.registry import resolve
from atrcnas.nn.contexts.base import Context, ContextInputs
from atrcnas.nn.contexts.recompute import recomputed
from atrcnas.nn.fuse import ConcatFuse, SumFuse
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.named import Named
from atrcnas.nn.refiner_checks import check_candidates, check_maps, check_mixture
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
        form: what two refiners must have in common for one to :meth:`inherit` from the other.
        recompute: compute the kinds again in the backward pass instead of keeping what they need for it.
        tasks: every target and source.

    Raises:
        ConfigError: pairs of several levels, an unknown kind, a kind that does not fit the diagonal, or another argument
            that is not as above.
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
        check_candidates(candidates)
        if fuse not in ("concat", "sum") or (hidden is not None and hidden < 1):
            raise ConfigError(f"expected fuse 'concat' or 'sum' and hidden of at least 1, got {fuse!r} and {hidden}.")
        if width < 1 or not 0 <= dropout < 1:
            raise ConfigError(f"expected width of at least 1 and dropout in [0, 1), got {width} and {dropout}.")
        self.candidates = {pair: tuple(kinds) for pair, kinds in candidates.items()}
        self.searching = any(len(kinds) > 1 for kinds in self.candidates.values())
        self.width = width
        self.hidden = width if fuse == "sum" else hidden or max(width // 2, 1)
        self.form = {"width": width, "hidden": self.hidden, "fuse": fuse, "refine": refine}
        self.recompute = False
        self.targets = tuple(dict.fromkeys(pair.target for pair in self.candidates))
        self.tasks = tuple(dict.fromkeys((*self.targets, *(pair.source for pair in self.candidates))))
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
            ConfigError: a map is missing or has another shape, or the network is searching and got no mixture, or one
                of other pairs.
        """
        return self.refine_each(features, labels, valid, (mixture,))[0]

    def refine_each(
        self,
        features: Mapping[str, Tensor],
        labels: Mapping[str, Tensor] | None = None,
        valid: Tensor | None = None,
        mixtures: Sequence[Mixture | None] = (None,),
    ) -> list[dict[str, Tensor]]:
        """As :meth:`forward` under each of ``mixtures``; what several of them use of a pair is pooled once."""
        for mixture in mixtures:
            if mixture is not None:
                check_mixture(mixture, self.candidates)
            elif self.searching:
                raise ConfigError(
                    "this network still has several kinds per pair. Pass mixture=..., or fix one kind per pair."
                )
        by_label = self._labels_used(mixtures)
        check_maps(self.tasks, self.width, features, by_label, labels or {}, valid)
        inputs = ContextInputs(dict(features), dict(labels or {}), valid)
        for task in by_label:
            inputs.label_probabilities(task)  # shared by kinds, hence before any of them
        return [
            {target: self.fuse[target](features[target], maps) for target in self.targets}
            for maps in self._pool(inputs, mixtures)
        ]

    def _pool(self, inputs: ContextInputs, mixtures: Sequence[Mixture | None]) -> list[dict[Pair, Tensor]]:
        pooled: list[dict[Pair, Tensor]] = [{} for _ in mixtures]
        for name, context in self.contexts.items():
            kind = name.removesuffix("_")
            rows = tuple(
                row for row, pair in enumerate(context.pairs) if any(_uses(mixture, pair, kind) for mixture in mixtures)
            )
            compute = recomputed if self.recompute and torch.is_grad_enabled() else _plainly
            for row, whole in zip(rows, compute(context, inputs, rows) if rows else [], strict=True):
                pair = context.pairs[row]
                for maps, mixture in zip(pooled, mixtures, strict=True):
                    if _uses(mixture, pair, kind):
                        share = self._share(whole, pair, kind, mixture)
                        maps[pair] = maps[pair] + share if pair in maps else share
        return pooled

    def _share(self, whole: Tensor, pair: Pair, kind: str, mixture: Mixture | None) -> Tensor:
        if mixture is not None:
            return whole if mixture.whole else whole * mixture.weight(pair, kind)
        num_kinds = len(parts(self.candidates[pair][0]))
        return whole / num_kinds if num_kinds > 1 else whole

    @torch.no_grad()
    def inherit(self, supernet: ContextRefiner) -> None:
        """Take over the weights of the supernet that this fixed refiner was chosen in.

        What the two share is copied: the rows of the chosen pairs, the fuse's columns of them, and the rest of the fuse.

        Args:
            supernet: searched, with the same width, hidden, fuse and refine; unchanged.

        Raises:
            CheckpointError: a chosen kind is not one of its candidates, or it was built with other arguments.
        """
        for pair, kinds in self.candidates.items():
            known = supernet.candidates.get(pair, ())
            foreign = {part for kind in kinds for part in parts(kind)} - set(known)
            if foreign:
                raise CheckpointError(
                    f"'{pair}' is '{foreign.pop()}', which the supernet does not hold (it has "
                    f"{', '.join(known) or 'no such pair'}). Choose from its search space, or start from scratch "
                    "(retrain.inherit: false)."
                )
        if self.form != supernet.form:
            raise CheckpointError(
                f"expected a supernet with {self.form}, got one with {supernet.form}. Build both with the same arguments."
            )
        for name, context in self.contexts.items():
            context.inherit(supernet.contexts[name])
        for target, fuse in self.fuse.items():
            fuse.inherit(supernet.fuse[target])

    def _labels_used(self, mixtures: Sequence[Mixture | None]) -> tuple[str, ...]:
        drawn = [mixture for mixture in mixtures if mixture is not None]
        if len(drawn) < len(mixtures):
            return self.label_tasks
        return label_tasks(
            {pair: frozenset().union(*(mixture.active_kinds(pair) for mixture in drawn)) for pair in self.candidates}
        )


def _uses(mixture: Mixture | None, pair: Pair, kind: str) -> bool:
    return mixture is None or kind in mixture.active_kinds(pair)


def _plainly(context: nn.Module, inputs: ContextInputs, rows: tuple[int, ...]) -> list[Tensor]:
    maps: list[Tensor] = context(inputs, rows)
    return maps
