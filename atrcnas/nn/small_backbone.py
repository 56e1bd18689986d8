"""A very small backbone: one map at stride 4 that sees 7 pixels, so that whatever lies further away must come from contexts.

It also shows how a backbone of your own joins: a module named under ``plugins`` that registers it with timm.
"""

from __future__ import annotations

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

WIDTHS = (16, 32)
default_cfgs = generate_default_cfgs({"atrcnas_small": {"url": ""}})


class SmallBackbone(nn.Module):
    """Two 3x3 convolutions of stride 2, each with BatchNorm and ReLU.

    Args:
        in_chans: channels of the image.

    Attributes:
        feature_info: what timm's feature extractor reads: channels, stride and module of each map.
    """

    def __init__(self, in_chans: int = 3) -> None:
        super().__init__()
        half, quarter = WIDTHS
        self.stage1 = _halve(in_chans, half)
        self.stage2 = _halve(half, quarter)
        self.feature_info = [{"num_chs": quarter, "reduction": 4, "module": "stage2"}]

    def forward(self, image: Tensor) -> Tensor:
        """Map [B, 3, H, W] to [B, 32, ceil(H/4), ceil(W/4)]."""
        return self.stage2(self.stage1(image))


def _halve(in_width: int, out_width: int) -> nn.Sequential:
    conv = nn.Conv2d(in_width, out_width, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_width), nn.ReLU(inplace=True))


@register_model
def atrcnas_small(pretrained: bool = False, **settings: Any) -> nn.Module:
    """What timm calls for this name; ``settings`` come from ``timm.create_model``."""
    return build_model_with_cfg(
        SmallBackbone,
        "atrcnas_small",
        pretrained,
        feature_cfg={"out_indices": (0,)},  # which of the maps in feature_info it gives by default
        kwargs_filter=("num_classes", "global_pool"),  # type: ignore[arg-type]  # of classifiers; timm means any number
        **settings,
    )
