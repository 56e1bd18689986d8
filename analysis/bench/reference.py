"""The structure of the published code: one module for each pair and kind, one convolution for each projection.

What the speed of `atrcnas.nn` is measured against; used nowhere else. Parameter names are the published ones, so that
`atrcnas.nn.atrc_weights.load_refiner` reads its state, and :func:`copy_weights` is the way back.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrcnas.nn.contexts.local import KERNEL
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.relations import ContextRefiner
from atrcnas.spec.kinds import KINDS, NONE
from atrcnas.spec.pairs import Pair

_PROJECTIONS = {"query": "query_project", "key": "key_project", "value": "value_project"}
_STACKED = {
    "conv.weight": "weight",
    "bn.weight": "scale",
    "bn.bias": "shift",
    "bn.running_mean": "mean",
    "bn.running_var": "var",
}
_BATCHNORM = ("weight", "bias", "running_mean", "running_var")


class ConvNorm(nn.Module):
    """1x1 convolution without bias, BatchNorm, and an activation: "relu", "softplus" or none ("")."""

    def __init__(self, in_width: int, out_width: int, activation: str = "relu", affine: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, out_width, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_width, affine=affine)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_width, H, W] to [B, out_width, H, W]."""
        y = self.bn(self.conv(x))
        if self.activation == "relu":
            return F.relu(y, inplace=True)
        return F.softplus(y) if self.activation == "softplus" else y


class PairContext(nn.Module):
    """One attention kind for one pair."""

    def __init__(self, kind: str, width: int, hidden: int, searching: bool) -> None:
        super().__init__()
        self.kind = kind
        last = "softplus" if kind == "global" else "relu"
        self.query_project = nn.Sequential(ConvNorm(width, hidden), ConvNorm(hidden, hidden, last))
        self.key_project = nn.Sequential(ConvNorm(width, hidden), ConvNorm(hidden, hidden, last))
        self.value_project = ConvNorm(width, hidden, affine=not searching)

    def forward(self, target: Tensor, source: Tensor, probabilities: Tensor | None) -> Tensor:
        """Pool [B, d, H, W] from [B, C, H, W] each; ``probabilities`` [B, K, H*W] for the label kinds."""
        if probabilities is not None:
            source = (source.flatten(2) @ probabilities.transpose(1, 2)).unsqueeze(-1)
        query, key, value = self.query_project(target), self.key_project(source), self.value_project(source)
        pool = {"global": linear_attention, "local": unfolded_attention}.get(self.kind, region_attention)
        return pool(query, key, value)


def linear_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Three maps [B, d, H, W] to one."""
    q, k, v = query.flatten(2), key.flatten(2), value.flatten(2)
    pooled = (v @ k.transpose(1, 2)) @ q
    norm = k.sum(-1).unsqueeze(1) @ q
    return (pooled / norm.clamp(min=1e-12)).view_as(query)


def region_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Queries [B, d, H, W] to regions [B, d, K, 1]."""
    q, k, v = query.flatten(2), key.flatten(2), value.flatten(2)
    weights = (q.transpose(1, 2) @ k * q.shape[1] ** -0.5).softmax(-1)
    return (v @ weights.transpose(1, 2)).view_as(query)


def unfolded_attention(query: Tensor, key: Tensor, value: Tensor, kernel: int = KERNEL) -> Tensor:
    """Three maps [B, d, H, W] to one, with kernel**2 copies of the keys and of the values."""
    batch, width, height, columns = query.shape
    k, v = (
        F.unfold(x, kernel, padding=kernel // 2).view(batch, width, kernel**2, height * columns) for x in (key, value)
    )
    similarity = torch.einsum("bdn,bdwn->bwn", query.flatten(2), k) * width**-0.5
    return torch.einsum("bwn,bdwn->bdn", similarity.softmax(1), v).view_as(query)


class ReferenceRefiner(nn.Module):
    """`ContextRefiner` with ``fuse="concat"`` at level 4 and without padding, one pair and kind after another.

    Args:
        candidates: as of ``ContextRefiner``; attention kinds and `none`.
        width: C, channels of all task features.
        hidden: d, channels of a pooled map.
        dropout: of the refined features, in the fixed network only.
    """

    def __init__(self, candidates: Mapping[Pair, tuple[str, ...]], width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.candidates = dict(candidates)
        self.searching = any(len(kinds) > 1 for kinds in candidates.values())
        self.targets = tuple(dict.fromkeys(pair.target for pair in candidates))
        self.cp_blocks = nn.ModuleDict({target: nn.ModuleDict() for target in self.targets})
        self.out_proj, self.bottleneck = nn.ModuleDict(), nn.ModuleDict()
        for pair, kinds in self.candidates.items():
            blocks = [PairContext(kind, width, hidden, self.searching) for kind in kinds if kind != NONE]
            if self.searching:
                self.cp_blocks[pair.target][pair.source] = nn.ModuleDict({"op_list": nn.ModuleList(blocks)})
            elif blocks:
                self.cp_blocks[pair.target][pair.source] = blocks[0]
        for target, row in self.cp_blocks.items():
            if len(row):
                self.out_proj[target] = ConvNorm(len(row) * hidden, width, activation="")
            refine = ConvNorm(width * (2 if len(row) else 1), width)
            self.bottleneck[target] = refine if self.searching else nn.Sequential(refine, nn.Dropout2d(dropout))

    def forward(
        self,
        features: Mapping[str, Tensor],
        labels: Mapping[str, Tensor],
        valid: Tensor | None = None,
        mixture: Mixture | None = None,
    ) -> dict[str, Tensor]:
        """As ``ContextRefiner.forward``; ``valid`` must be None."""
        if valid is not None:
            raise ValueError("the reference structure is for images without padding. Pass valid=None.")
        probabilities = {task: logits.flatten(2).softmax(-1) for task, logits in labels.items()}
        refined = {}
        for target in self.targets:
            maps = [
                self._pool(Pair(target, source), block, features, probabilities, mixture)
                for source, block in self.cp_blocks[target].items()
            ]
            joined = features[target]
            if maps:
                joined = torch.cat([joined, self.out_proj[target](torch.cat(maps, dim=1))], dim=1)
            refined[target] = self.bottleneck[target](joined)
        return refined

    def _pool(
        self,
        pair: Pair,
        block: nn.Module,
        features: Mapping[str, Tensor],
        probabilities: Mapping[str, Tensor],
        mixture: Mixture | None,
    ) -> Tensor:
        def one(context: PairContext) -> Tensor:
            kind = KINDS[context.kind]
            named = pair.target if kind.needs_target_label else pair.source if kind.needs_source_label else None
            chosen = None if named is None else probabilities[named]
            return context(features[pair.target], features[pair.source], chosen)

        if mixture is None:
            return one(block)
        return sum(one(context) * mixture.weight(pair, context.kind) for context in block["op_list"])


def reference_of(refiner: ContextRefiner, dropout: float = 0.0) -> ReferenceRefiner:
    """A reference-structure module with the weights of ``refiner``."""
    first = next(refiner.parameters())
    reference = ReferenceRefiner(refiner.candidates, refiner.width, refiner.hidden, dropout)
    reference.to(first.device, first.dtype).train(refiner.training)
    copy_weights(refiner, reference)
    return reference


@torch.no_grad()
def copy_weights(refiner: ContextRefiner, reference: ReferenceRefiner) -> None:
    """Copy parameters and statistics of ours into the reference structure."""
    ours, theirs = refiner.state_dict(), reference.state_dict()
    for key, (name, rows) in correspondence(refiner, theirs).items():
        theirs[key].copy_(ours[name][rows])


def correspondence(refiner: ContextRefiner, theirs: Mapping[str, Tensor]) -> dict[str, tuple[str, slice]]:
    """Where each tensor of the reference structure lies in ours: name and rows; the inverse of `load_refiner`.

    Raises:
        KeyError: a key of ``theirs`` has no place in ours.
    """
    found: dict[str, tuple[str, slice]] = {}
    for name, context in refiner.contexts.items():
        for row, pair in enumerate(context.pairs):
            block = f"cp_blocks.{pair.target}.{pair.source}."
            if refiner.searching:
                block += f"op_list.{_position(refiner.candidates[pair], name.removesuffix('_'))}."
            rows = slice(row * context.out_width, (row + 1) * context.out_width)
            for part, projection in _PROJECTIONS.items():
                for place, layer in {"": "first", "0.": "first", "1.": "second"}.items():
                    for key, stacked in _STACKED.items():
                        found[f"{block}{projection}.{place}{key}"] = (f"contexts.{name}.{part}.{layer}.{stacked}", rows)
    for target in refiner.targets:
        bottleneck = f"bottleneck.{target}" + ("" if refiner.searching else ".0")
        for block, place in {f"out_proj.{target}": "project.", bottleneck: "refine.0."}.items():
            found[f"{block}.conv.weight"] = (f"fuse.{target}.{place}0.weight", slice(None))
            for key in _BATCHNORM:
                found[f"{block}.bn.{key}"] = (f"fuse.{target}.{place}1.{key}", slice(None))
    return {key: found[key] for key in theirs if not key.endswith("num_batches_tracked")}


def _position(kinds: tuple[str, ...], kind: str) -> int:
    return [candidate for candidate in kinds if candidate != NONE].index(kind)
