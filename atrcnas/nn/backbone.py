"""Any timm backbone as a feature pyramid: the maps it has of strides 4, 8, 16 and 32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from atrcnas.ground.errors import ConfigError
from atrcnas.nn import small_backbone, timm_model  # noqa: F401 - the first registers itself with timm
from atrcnas.nn.heads import resize
from atrcnas.spec.pairs import BASE_LEVEL, LEVELS

# Settings timm needs to give the native scales, by prefix of the name.
_SETTINGS: dict[str, dict[str, Any]] = {
    "hrnet": {"feature_location": ""},  # otherwise the wide classification features
    "vit": {"dynamic_img_size": True, "dynamic_img_pad": True},
    "deit": {"dynamic_img_size": True, "dynamic_img_pad": True},
    "swin": {"strict_img_size": False},
}
# A size that is square in no way and fits no pretraining; the network pads images to multiples of 32.
_PROBE = (64, 96)


class Backbone(nn.Module):
    """A timm feature extractor.

    Plain transformers have one stride; four of their blocks, evenly spaced, are resized to the four strides. A model
    of your own joins by timm's registry: import a module that calls ``timm.models.register_model`` under ``plugins``
    (``small_backbone.py`` is a complete one); it needs a map of stride 4, the other strides it may lack.

    Args:
        name: timm model name.
        weights: "none", "hub" (timm downloads) or a local ``.safetensors``/``.pth`` file under timm's names.
        freeze: keep weights and BatchNorm statistics.
        upsample: how HRNet enlarges its coarser branches: "nearest" (timm) or "bilinear" (the ATRC reference).
        options: further keyword arguments of that timm model.

    Attributes:
        widths: level -> channels, of the levels the model has.

    Raises:
        ConfigError: timm does not know the model or one of its options, it has no map of stride 4, takes images of one
            size only, or has no branches to enlarge bilinearly.
        CheckpointError: the weight file is missing, damaged or of another model, or cannot be downloaded.
    """

    def __init__(
        self,
        name: str,
        weights: str = "none",
        freeze: bool = False,
        upsample: str = "nearest",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        settings = next((extra for prefix, extra in _SETTINGS.items() if name.startswith(prefix)), {})
        options = options or {}
        indices = _levels(name, settings, options)
        self.body = timm_model.create(name, weights, {**settings, **options, "out_indices": tuple(indices.values())})
        self.widths = dict(zip(indices, self.body.feature_info.channels(), strict=True))
        if upsample == "bilinear":
            _enlarge_bilinearly(self.body, name)
        self.channels_last, self.only_size = self._probe(name, _as_size(options.get("img_size")))
        self.freeze = freeze
        self.requires_grad_(not freeze)

    @torch.no_grad()
    def _probe(self, name: str, size: tuple[int, int] | None) -> tuple[bool, tuple[int, int] | None]:
        """Try one small image, and if that is refused, one of ``size``.

        Returns:
            Whether the maps come as [B, H, W, C], and the only size there is.

        Raises:
            ConfigError: the model takes neither, or its maps are not as declared.
        """
        self.body.eval()
        for height, width in (_PROBE, size) if size else (_PROBE,):
            try:
                maps = self.body(torch.zeros(2, 3, height, width))
                break
            except (AssertionError, RuntimeError, ValueError) as error:
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        else:
            raise ConfigError(
                f"backbone.name: '{name}' does not take images of any size ({reason}). Set backbone.options.img_size to "
                "the one size of all images, if the model has that option, or choose another."
            )
        only_size = None if (height, width) == _PROBE else size
        widths = list(self.widths.values())
        for channel_axis in (1, 3):
            if [x.shape[channel_axis] for x in maps if x.ndim == 4] == widths:
                return channel_axis == 3, only_size
        shapes = [tuple(x.shape) for x in maps]
        raise ConfigError(f"backbone.name: '{name}' gives maps {shapes}, expected channels {widths}. Choose another.")

    def train(self, mode: bool = True) -> Backbone:
        """Training mode, except that a frozen backbone stays in evaluation mode."""
        return super().train(mode and not self.freeze)

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Map [B, 3, H, W] (ImageNet-normalised; H and W multiples of 32) to level -> [B, C, H/level, W/level]."""
        if self.only_size not in (None, tuple(image.shape[-2:])):
            raise ConfigError(
                f"backbone.options.img_size: the backbone takes images of {self.only_size} alone, got "
                f"{tuple(image.shape[-2:])}. Set it to the images' size, or choose a backbone of any size."
            )
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            maps = self.body(image)
        if self.channels_last:
            maps = [x.permute(0, 3, 1, 2) for x in maps]
        height, width = image.shape[-2:]
        return {level: resize(x, (height // level, width // level)) for level, x in zip(self.widths, maps, strict=True)}


def _as_size(option: Any) -> tuple[int, int] | None:
    """Timm's ``img_size``, one number or two, as (height, width)."""
    if option is None:
        return None
    return (option, option) if isinstance(option, int) else (option[0], option[1])


def _levels(name: str, settings: dict[str, Any], options: Mapping[str, Any]) -> dict[int, int]:
    """Level -> index among the model's maps."""
    found = timm_model.features(name, settings, options)
    reductions = found.reduction()
    if BASE_LEVEL in reductions:
        return {level: len(reductions) - 1 - reductions[::-1].index(level) for level in LEVELS if level in reductions}
    if len(set(reductions)) == 1:
        depth = len(found.info)
        return {level: depth * (i + 1) // len(LEVELS) - 1 for i, level in enumerate(LEVELS)}
    raise ConfigError(
        f"backbone.name: '{name}' has strides {reductions}, expected {BASE_LEVEL} among them. Choose another."
    )


def _enlarge_bilinearly(body: nn.Module, name: str) -> None:
    enlarging = [module for module in body.modules() if isinstance(module, nn.Upsample)]
    if not enlarging:
        raise ConfigError(f"backbone.upsample: '{name}' enlarges no branches; 'bilinear' is for HRNet. Remove it.")
    for module in enlarging:
        module.mode, module.align_corners = "bilinear", False
