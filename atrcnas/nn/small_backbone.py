"""A very small backbone: one map at stride 4 that sees 7 pixels, so that whatever lies further away must come from contexts.

With ``backbone.options.stages`` it has up to three more maps, at strides 8, 16 and 32, and tasks may part before each.

It also shows how a backbone of your own joins: a module named under ``plugins`` that registers it with timm.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

WIDTHS = (16, 32, 48, 64, 80)
default_cfgs = generate_default_cfgs({"atrcnas_small": {"url": ""}})


class SmallBackbone(nn.Module):
    """3x3 convolutions of stride 2, each with BatchNorm and ReLU.

    Args:
        in_chans: channels of the image.
        stages: how many convolutions, 2 to 5.

    Attributes:
        feature_info: what timm's feature extractor reads: channels, stride and module of each map.
    """

    def __init__(self, in_chans: int = 3, stages: int = 2) -> None:
        super().__init__()
        if not 2 <= stages <= len(WIDTHS):
            raise ValueError(f"stages: expected 2 to {len(WIDTHS)}, got {stages}")
        widths = (in_chans, *WIDTHS[:stages])
        for number, (before, width) in enumerate(pairwise(widths), start=1):
            self.add_module(f"stage{number}", _halve(before, width))
        self.feature_info = [
            {"num_chs": width, "reduction": 2**number, "module": f"stage{number}"}
            for number, width in enumerate(widths[2:], start=2)
        ]

    def forward(self, image: Tensor) -> Tensor:
        """Map [B, 3, H, W] to the last map, by default [B, 32, ceil(H/4), ceil(W/4)]."""
        for stage in self.children():
            image = stage(image)
        return image


def _halve(in_width: int, out_width: int) -> nn.Sequential:
    conv = nn.Conv2d(in_width, out_width, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_width), nn.ReLU(inplace=True))


@register_model
def atrcnas_small(pretrained: bool = False, stages: int = 2, **settings: Any) -> nn.Module:
    """What timm calls for this name; ``settings`` come from ``timm.create_model``."""
    return build_model_with_cfg(
        SmallBackbone,
        "atrcnas_small",
        pretrained,
        stages=stages,
        feature_cfg={"out_indices": tuple(range(stages - 1))},  # which of the maps in feature_info it gives by default
        kwargs_filter=("num_classes", "global_pool"),  # type: ignore[arg-type]  # of classifiers; timm means any number
        **settings,
    )
