"""The supernet of a search of branches: a copy of each encoder segment for each task, which every task may use."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from atrcnas.nn.backbone import Backbone
from atrcnas.nn.encoder_parts import Part, Reached, State, maps_of, run_part


class Segment(nn.Module):
    """The part of an encoder between two branching points.

    Args:
        body: of the backbone; its modules are taken, not copied.
        parts: in order.
    """

    def __init__(self, body: nn.Module, parts: Sequence[Part]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(body.get_submodule(part.module) for part in parts)
        self.gives = tuple(part.gives for part in parts)
        self.names = tuple(part.module for part in parts)

    def forward(self, state: State) -> Reached:
        """Map what the segment before gave to what the next one reads, and the maps of the backbone on the way."""
        reached: Reached = state, []
        for part, gives in zip(self.parts, self.gives, strict=True):
            reached = run_part(part, gives, reached)
        return reached


class BranchSupernet(Backbone):
    """A backbone with T copies of each segment from the first searched point on; what lies before is shared.

    Each task goes through it by itself: what a segment gives is the sum of what its copies give, by the task's weights of
    them. Copies without weight are not computed. The last BatchNorm of a copy has no scale and shift of its own, so that
    the weights alone say how much of each copy there is.

    Args:
        whole: gives modules and weights to all copies alike; not to be used afterwards.
        parts: of its body, in order.
        points: that are searched, in order.
        tasks: T names.

    Source: Bruggemann et al., BMVC 2020 (BMTAS). Differs: segments between any branching points; the copies begin with
    the same values.
    """

    def __init__(self, whole: Backbone, parts: Sequence[Part], points: Sequence[str], tasks: Sequence[str]) -> None:
        nn.Module.__init__(self)
        self._take_after(whole)
        self.tasks = tuple(tasks)
        pieces: list[list[Part]] = [[]]
        for part in parts:
            if part.point in points:
                pieces.append([])
            pieces[-1].append(part)
        trunk, *segments = (Segment(whole.body, piece) for piece in pieces)
        self.trunk = trunk
        for segment in segments:
            _without_scale(segment)
        self.copies = nn.ModuleList(
            nn.ModuleList([segment, *(copy.deepcopy(segment) for _ in self.tasks[1:])]) for segment in segments
        )

    def forward(self, image: Tensor, weights: Tensor) -> list[dict[int, Tensor]]:  # type: ignore[override]
        """Map [B, 3, H, W] to the maps of :class:`Backbone`, for each of ``tasks``.

        Args:
            image: normalised.
            weights: [L, T, T] of copy i (column) for task t (row), for each segment.
        """
        padded = self._padded(image)
        active = weights.detach().ne(0).tolist()  # the host must know what to compute
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            begun: Reached = self.trunk(padded)
            found = [self._path(begun, place, weights, active) for place in range(len(self.tasks))]
        return [self._pyramid(maps, padded.shape[-2:], image.shape[-2:]) for maps in found]

    @property
    def segments(self) -> Sequence[Sequence[Segment]]:
        """For each segment its copies, one per task."""
        return cast(Sequence[Sequence[Segment]], self.copies)

    def entering(self, image: Tensor) -> list[State]:
        """What each segment reads, of an image [B, 3, H, W] that goes through the first copies."""
        state, _ = self.trunk(self._padded(image))
        states: list[State] = []
        for copies in self.segments:
            states.append(state)
            state, _ = copies[0](state)
        return states

    def _in_body(self, name: str) -> str:
        holder, _, within = name.partition(".parts.")
        index, _, rest = within.partition(".")
        segment = cast(Segment, self.get_submodule(holder))
        return f"{segment.names[int(index)]}.{rest}".rstrip(".")

    def _path(self, begun: Reached, place: int, weights: Tensor, active: Sequence[list[list[bool]]]) -> list[Tensor]:
        """The maps of one task."""
        state, maps = begun
        for copies, shares, used in zip(self.segments, weights[:, place], active, strict=True):
            taken = [i for i, computed in enumerate(used[place]) if computed]
            given = [copies[i](state) for i in taken]
            own = [shares[i] for i in taken]
            state = _mixed(own, [after for after, _ in given])
            maps = [*maps, *_mixed_maps(own, [found for _, found in given])]
        return maps


def _without_scale(segment: nn.Module) -> None:
    norms = [module for module in segment.modules() if isinstance(module, nn.BatchNorm2d) and module.affine]
    for norm in norms[-1:]:
        nn.init.ones_(norm.weight)
        nn.init.zeros_(norm.bias)
        norm.requires_grad_(False)


def _mixed(shares: Sequence[Tensor], given: Sequence[State]) -> State:
    """The weighted sum of what several copies give."""
    sums = _mixed_maps(shares, [maps_of(one) for one in given])
    return sums if isinstance(given[0], list) else sums[0]


def _mixed_maps(shares: Sequence[Tensor], given: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    return [
        torch.stack([share * one for share, one in zip(shares, maps, strict=True)]).sum(0)
        for maps in zip(*given, strict=True)
    ]
