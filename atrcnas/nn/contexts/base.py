"""What every kind of context is: a module over a list of pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from atrcnas.ground.errors import CheckpointError
from atrcnas.nn.blocks import PairConvBN, Portable
from atrcnas.spec.pairs import Pair


class ContextInputs:
    """What contexts pool from, at one level.

    Args:
        features: task -> [B, C, H, W] float.
        labels: task -> [B, K, H, W] float label logits, for the tasks whose label map some kind needs.
        valid: [B, 1, H, W] bool, False where the input image is padding; None if all is image.
    """

    def __init__(self, features: dict[str, Tensor], labels: dict[str, Tensor], valid: Tensor | None) -> None:
        self.features, self.labels, self.valid = features, labels, valid
        self._probabilities: dict[str, Tensor] = {}

    def masked(self, x: Tensor) -> Tensor:
        """``x`` [B, *, H, W] with zeros where the image is padding."""
        return x if self.valid is None else x * self.valid.to(x.dtype)

    def label_probabilities(self, task: str) -> Tensor:
        """Spatial softmax of a task's label logits: [B, K, H*W], each row sums to 1 over the valid pixels.

        An image without valid pixels has all zeros. Computed once per forward pass.
        """
        if task not in self._probabilities:
            self._probabilities[task] = spatial_softmax(self.labels[task], self.valid)
        return self._probabilities[task]


def spatial_softmax(logits: Tensor, valid: Tensor | None = None) -> Tensor:
    """Softmax over pixels.

    Args:
        logits: [B, K, H, W] float; never written to.
        valid: [B, 1, H, W] bool or None.

    Returns:
        [B, K, H*W]; zero where not valid, all zero for an image without valid pixels.

    Source: Bruggemann et al. 2021, label contexts. Differs: a bool mask in place of the value 255 in the image.
    """
    flat = logits.flatten(2)
    if valid is None:
        return flat.softmax(-1)
    keep = valid.flatten(2)
    return torch.where(keep, flat.masked_fill(~keep, -torch.inf).softmax(-1), 0.0)


class Context(Portable):
    """Base of all kinds.

    Args:
        pairs: the pairs this kind serves, in the order of its rows.
        width: C, channels of the task features.
        out_width: d, channels of a pooled map.
        searching: a candidate among several: value projections are normalised but not scaled, so that a candidate
            cannot buy weight by scaling (Bruggemann et al. 2021).
    """

    def __init__(self, pairs: Sequence[Pair], width: int, out_width: int, searching: bool) -> None:
        super().__init__()
        self.pairs = tuple(pairs)
        self.width, self.out_width, self.searching = width, out_width, searching

    def forward(self, inputs: ContextInputs, rows: tuple[int, ...]) -> list[Tensor]:
        """Pool one map for each of ``rows`` (indices into ``pairs``): each [B, d, H, W]."""
        raise NotImplementedError

    def inherit(self, supernet: Context) -> None:
        """Copy the rows of these pairs from the supernet's module of this kind, which serves at least them.

        Every tensor has to be stacked over pairs along its first dimension, as those of :class:`PairConv` are; a kind
        that keeps its tensors otherwise needs its own ``inherit``. What the supernet does not have stays as it is: the
        scale of the value's BatchNorm.

        Raises:
            CheckpointError: a tensor is not stacked so.
        """
        rows = [supernet.pairs.index(pair) for pair in self.pairs]
        given = supernet.state_dict()
        for key, value in self.state_dict().items():
            if key not in given:
                continue
            per_pair = len(given[key]) // len(supernet.pairs)
            picked = torch.cat([given[key][row * per_pair : (row + 1) * per_pair] for row in rows])
            if picked.shape != value.shape:
                raise CheckpointError(
                    f"{type(self).__name__}.{key}: expected {list(value.shape)} of {len(rows)} pairs stacked, got "
                    f"{list(picked.shape)}. Give this kind an `inherit` of its own, or start from scratch."
                )
            value.copy_(picked)

    def rows_by(self, rows: tuple[int, ...], role: str) -> dict[str, tuple[int, ...]]:
        """Group rows by the task in ``role`` ("target" or "source")."""
        groups: dict[str, list[int]] = {}
        for row in rows:
            groups.setdefault(getattr(self.pairs[row], role), []).append(row)
        return {task: tuple(group) for task, group in groups.items()}

    def from_each(
        self,
        role: str,
        features: Mapping[str, Tensor],
        rows: tuple[int, ...],
        convolve: Callable[[Tensor, tuple[int, ...]], Tensor],
    ) -> Tensor:
        """Convolve the features of each task once for all of its pairs.

        Args:
            role: which task's features feed a pair, "target" or "source".
            features: task -> [B, C, H, W].
            rows: n pairs.
            convolve: from a task's features and its rows to [B, m*d, h, w], d channels for each of m rows.

        Returns:
            [B, n*d, h, w], rows in the given order.
        """
        groups = self.rows_by(rows, role)
        parts = [convolve(features[task], group) for task, group in groups.items()]
        order = [row for group in groups.values() for row in group]
        if tuple(order) != rows:
            alone = [x for part, group in zip(parts, groups.values(), strict=True) for x in part.chunk(len(group), 1)]
            parts = [alone[order.index(row)] for row in rows]
        return torch.cat(parts, dim=1)


class Projection(Portable):
    """One or two 1x1 convolutions with BatchNorm for each pair, from the features of its target or source.

    Args:
        context: the kind that owns it.
        role: which features feed a pair, "target" (queries) or "source" (keys, values).
        layers: 1 (values) or 2 (queries, keys).
        affine: of every BatchNorm.
        last: "relu", "softplus" or "linear" (none), the activation of the last layer; others are ReLU.
    """

    def __init__(self, context: Context, role: str, layers: int, affine: bool = True, last: str = "relu") -> None:
        super().__init__()
        num_pairs, d = len(context.pairs), context.out_width
        self.role, self.last = role, last
        self.first = PairConvBN(num_pairs, context.width, d, affine)
        self.second = PairConvBN(num_pairs, d, d, affine) if layers == 2 else None

    def forward(self, context: Context, features: Mapping[str, Tensor], rows: tuple[int, ...]) -> Tensor:
        """Project features [B, C, H, W] per task to [B, n*d, H, W], rows in the given order."""
        first = context.from_each(
            self.role, features, rows, lambda x, group: self.first.convolve(x, group, grouped=False)
        )
        return self.finish(self.first.normalise(first, rows), rows)

    def apart(self, context: Context, features: Mapping[str, Tensor], rows: tuple[int, ...]) -> list[Tensor]:
        """As :meth:`forward`, one [B, d, H, W] for each row: what no batched product follows need not be joined."""
        maps: dict[int, Tensor] = {}
        for task, group in context.rows_by(rows, self.role).items():
            projected = self.finish(self.first(features[task], group, grouped=False), group)
            maps.update(zip(group, projected.chunk(len(group), dim=1), strict=True))
        return [maps[row] for row in rows]

    def finish(self, first: Tensor, rows: tuple[int, ...]) -> Tensor:
        """Everything after the first layer's BatchNorm."""
        if self.second is None:
            return self._activate(first)
        return self._activate(self.second(F.relu_(first), rows, grouped=True))

    def _activate(self, x: Tensor) -> Tensor:
        if self.last == "linear":
            return x
        if self.last == "relu":
            return F.relu_(x)
        # In ONNX Runtime the form in steps takes a third of the time of its own Softplus, and rounds alike.
        return F.relu(x) + (1 + (-x.abs()).exp()).log() if self.plain else F.softplus(x)


def to_tokens(x: Tensor, num_pairs: int) -> Tensor:
    """[B, n*d, H, W] to [B, n, H*W, d]; a view when ``x`` is channels-last."""
    batch, channels, height, width = x.shape
    tokens = x.permute(0, 2, 3, 1).reshape(batch, height * width, num_pairs, channels // num_pairs)
    return tokens.transpose(1, 2)


def to_maps(tokens: Tensor, height: int, width: int) -> list[Tensor]:
    """[B, n, H*W, d] to n maps [B, d, H, W], views in channels-last order."""
    return [rows.transpose(1, 2).unflatten(2, (height, width)) for rows in tokens.unbind(1)]
