"""timm's HRNet, made to take images of any size as the ATRC reference's does, and to enlarge as asked."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence

from timm.models.hrnet import HighResolutionModule
from torch import Tensor, nn

from atrcnas.ground.errors import ConfigError
from atrcnas.nn.blocks import resize


class _AnySizeModule(HighResolutionModule):
    """Its parallel branches and their exchange, where a coarser map need not fit a finer one.

    A map of stride 32 covers up to 31 pixels more than the image, so that enlarging it by 8 gives a map that may be
    larger than the one of stride 4. It is then resized to that one, bilinearly.

    Source: Wang et al., TPAMI 2020; sizes as in the public code of Bruggemann et al., ICCV 2021.
    """

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Map one [B, C, H, W] per branch to one per branch, of the same sizes."""
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        if len(maps) == 1:
            return maps
        return [self._exchange(row, maps, maps[i].shape[-2:]) for i, row in enumerate(self.fuse_layers)]

    def _exchange(self, row: nn.ModuleList, maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        given = (resize(layer(x), size) for layer, x in zip(row, maps, strict=True))
        return self.fuse_act(functools.reduce(operator.add, given))


def take_any_size(body: nn.Module) -> None:
    """Let every HRNet module in ``body`` take maps that do not fit each other; nothing else changes."""
    for module in body.modules():
        if type(module) is HighResolutionModule:
            # It has the same parts and weights; only how they are run differs, so nothing is rebuilt.
            module.__class__ = _AnySizeModule


def enlarge_bilinearly(body: nn.Module, name: str) -> None:
    """Let HRNet enlarge its coarser branches bilinearly.

    Raises:
        ConfigError: there are none.
    """
    enlarging = [module for module in body.modules() if isinstance(module, nn.Upsample)]
    if not enlarging:
        raise ConfigError(f"backbone.upsample: '{name}' enlarges no branches; 'bilinear' is for HRNet. Remove it.")
    for module in enlarging:
        module.mode, module.align_corners = "bilinear", False
