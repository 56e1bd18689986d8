"""The encoder as a tree over tasks: a trunk, and after each branching point a copy of what follows for each group of tasks.

Source: branched encoders as in Bruggemann et al., BMVC 2020. Differs: the copies begin with the same values.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from atrcnas.ground.errors import ConfigError
from atrcnas.nn.backbone import Backbone
from atrcnas.nn.encoder_parts import Part, Reached, parts_of, points_of, run_part
from atrcnas.spec.branches import Branches
from atrcnas.spec.model import BackboneSpec

Group = tuple[str, ...]


def build_encoder(backbone: BackboneSpec, branches: Mapping[str, Sequence[Sequence[str]]], tasks: Group) -> Backbone:
    """The backbone, or a tree of it where tasks part.

    Args:
        backbone: what every task's path through the tree is.
        branches: as in ``model.branches``.
        tasks: all of them, auxiliary ones too.

    Raises:
        ConfigError: see :class:`Backbone`, :func:`parts_of` and :meth:`Branches.of`.
        CheckpointError: see :class:`Backbone`.
    """
    whole = Backbone(**backbone.model_dump())
    if not branches:
        return whole
    parts = parts_of(whole.body, backbone.name)
    try:
        tree = Branches.of(branches, tasks, points_of(parts))
    except ConfigError as error:
        raise ConfigError(f"model.{error}") from error
    return whole if tree.together else EncoderTree(whole, parts, tree)


class EncoderTree(Backbone):
    """A backbone of which each group of tasks has its own copy from a branching point on.

    What all tasks share lies in ``body``, and what a group has to itself in ``branches`` under the names of its tasks; in
    both a module has timm's own name.

    Args:
        whole: gives modules and weights to trunk and branches alike; not to be used afterwards.
        parts: of its body, in order.
        tree: over all tasks; its points are those of ``parts``.
    """

    def __init__(self, whole: Backbone, parts: Sequence[Part], tree: Branches) -> None:
        nn.Module.__init__(self)
        self._take_after(whole)
        self.tasks, self.leaves = tree.tasks, tree.leaves
        self.steps: list[tuple[Part, Collection[Group]]] = []
        self.body, self.branches = nn.Module(), nn.ModuleDict()
        groups: Collection[Group] = (tree.tasks,)
        for part in parts:
            groups = groups if part.point is None else tree.groups(part.point)
            self.steps.append((part, groups))
            for group in groups:
                module = whole.body.get_submodule(part.module)
                _put(self._home(group), part.module, module if group == tree.tasks else copy.deepcopy(module))

    def _in_body(self, name: str) -> str:
        return name.removeprefix("body.") if name.startswith("body.") else name.split(".", 2)[2]

    def _home(self, group: Group) -> nn.Module:
        """What holds the modules of a group; an empty one at first."""
        if group == self.tasks:
            return self.body
        if branch_name(group) not in self.branches:
            self.branches[branch_name(group)] = nn.Module()
        return self.branches[branch_name(group)]

    def forward(self, image: Tensor) -> list[dict[int, Tensor]]:  # type: ignore[override]  # one for each leaf
        """Map [B, 3, H, W] to the maps of :class:`Backbone`, for each of ``leaves``."""
        padded = self._padded(image)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            reached: dict[Group, Reached] = {self.tasks: (padded, [])}
            for part, groups in self.steps:
                reached = {group: self._run(part, group, _above(group, reached)) for group in groups}
        return [self._pyramid(reached[leaf][1], padded.shape[-2:], image.shape[-2:]) for leaf in self.leaves]

    def _run(self, part: Part, group: Group, reached: Reached) -> Reached:
        return run_part(self._home(group).get_submodule(part.module), part.gives, reached)


class PerLeaf(nn.Module):
    """A copy of a module for each leaf of a tree, in ``branches``."""

    def __init__(self, module: nn.Module, leaves: Collection[Group]) -> None:
        super().__init__()
        self.branches = nn.ModuleDict({branch_name(leaf): copy.deepcopy(module) for leaf in leaves})


def branch_name(group: Group) -> str:
    """Under which a group's modules are kept."""
    return "+".join(group)


def shared_names(name: str, state: Collection[str], groups: Collection[str]) -> list[str]:
    """Where a network whose tasks part later, or not at all, may hold the tensor ``name`` of a branched one.

    Args:
        name: in a state dict.
        state: names in the state dict of the other network.
        groups: its branches.

    Returns:
        Names in ``state``, at most one if that is a network of the same backbone.
    """
    before, branch, rest = name.partition(".branches.")
    group, _, inner = rest.partition(".")
    if not branch:
        return [name] if name in state else []
    within = [one for one in groups if set(group.split("+")) <= set(one.split("+"))]
    candidates = [
        *(f"{before}.branches.{one}.{inner}" for one in within),
        f"{before}.body.{inner}",
        f"{before}.{inner}",
    ]
    return [one for one in candidates if one in state]


def _above(group: Group, reached: Mapping[Group, Reached]) -> Reached:
    """What the group has in common with others so far."""
    return next(found for others, found in reached.items() if set(group) <= set(others))


def _put(home: nn.Module, name: str, module: nn.Module) -> None:
    """Add a module under a name with dots."""
    *above, last = name.split(".")
    for part in above:
        if not hasattr(home, part):
            home.add_module(part, nn.Module())
        home = home.get_submodule(part)
    home.add_module(last, module)
