"""Any timm backbone as a feature pyramid: those maps of strides 4, 8, 16 and 32 that it has."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from timm.models import FeatureInfo
from torch import Tensor, nn

from atrcnas.ground.errors import ConfigError
from atrcnas.nn import hrnet, small_backbone, timm_model  # noqa: F401 - the second registers itself with timm
from atrcnas.nn.blocks import resize
from atrcnas.nn.training_rules import TrainingRules, training_rules
from atrcnas.spec.pairs import BASE_LEVEL, LEVELS

# Settings timm needs to give the native scales, by prefix of the name.
_SETTINGS: dict[str, dict[str, Any]] = {
    "hrnet": {"feature_location": ""},  # otherwise the wide classification features
    "vit": {"dynamic_img_size": True, "dynamic_img_pad": True},
    "deit": {"dynamic_img_size": True, "dynamic_img_pad": True},
    "swin": {"strict_img_size": False},
}
# Sizes to try a model with: one that no stride divides, and about one that every stride is made to divide.
_ODD, _EVEN = (65, 97), (96, 32)


class _Manner(NamedTuple):
    """How a model treats images.

    Attributes:
        channels_last: its maps come as [B, H, W, C].
        pads: it needs images of a multiple of its coarsest stride.
        only_size: the only (height, width) it takes; None if it takes any.
    """

    channels_last: bool
    pads: bool
    only_size: tuple[int, int] | None


class Backbone(nn.Module):
    """A timm feature extractor.

    Strides round up: an image of any size gives a map of ceil(size / level) at each level. Most convolutional models
    do so themselves and see the image as it is. For the others (patches that must fit: ConvNeXt, transformers) it is
    padded with zeros to a multiple of the coarsest stride, and the maps are cut.

    Plain transformers have one stride; four of their blocks, evenly spaced, are resized to the four strides, each value
    staying where its patch is, whatever the side of a patch. A model of your own joins by timm's registry: import a
    module that calls ``timm.models.register_model`` under ``plugins`` (``small_backbone.py`` is a complete one); it
    needs a map of stride 4 and may lack the other strides.

    Args:
        name: timm model name.
        weights: "none", "hub" (timm downloads) or a local ``.safetensors``/``.pth`` file under timm's names.
        freeze: keep weights and BatchNorm statistics.
        upsample: how HRNet enlarges its coarser branches: "nearest" (timm) or "bilinear" (the ATRC reference).
        options: further keyword arguments of that timm model.

    Attributes:
        widths: level -> channels, of the levels the model has.
        strides: level -> stride of the model's own map that it is made from.

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
        info = cast(FeatureInfo, self.body.feature_info)
        self.widths = dict(zip(indices, info.channels(), strict=True))
        self.strides = dict(zip(indices, info.reduction(), strict=True))
        hrnet.take_any_size(self.body)
        if upsample == "bilinear":
            hrnet.enlarge_bilinearly(self.body, name)
        self.name, self.options = name, dict(options)
        self.timm_names = {key: timm_model.flat(self.body, key) for key, _ in self.body.named_parameters()}
        self.manner = self._probe(name, _as_size(options.get("img_size")))
        self.freeze = freeze
        self.requires_grad_(not freeze)

    @torch.no_grad()
    def _probe(self, name: str, size: tuple[int, int] | None) -> _Manner:
        """Try small images until one is taken; the last of ``size``, if given.

        Raises:
            ConfigError: none is taken, or the maps are not as declared.
        """
        self.body.eval()
        reason, stride = "", max(self.strides.values())
        even = tuple(-(-side // stride) * stride for side in _EVEN)
        for attempt in (_ODD, even, size) if size else (_ODD, even):
            try:
                maps = self.body(torch.zeros(2, 3, *attempt))
            except (AssertionError, RuntimeError, ValueError) as error:
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                continue
            channels_last = self._channels_last(name, maps)
            sizes = [tuple(x.shape[1:3] if channels_last else x.shape[2:]) for x in maps]
            if attempt != _ODD or sizes == list(_sizes(attempt, self.widths).values()):
                return _Manner(channels_last, attempt == even, attempt if attempt == size else None)
        raise ConfigError(
            f"backbone.name: '{name}' does not take images of any size ({reason}). Set backbone.options.img_size to "
            "the one size of all images, if the model has that option, or choose another."
        )

    def _channels_last(self, name: str, maps: Sequence[Tensor]) -> bool:
        widths = list(self.widths.values())
        for channel_axis in (1, 3):
            if [x.shape[channel_axis] for x in maps if x.ndim == 4] == widths:
                return channel_axis == 3
        shapes = [tuple(x.shape) for x in maps]
        raise ConfigError(f"backbone.name: '{name}' gives maps {shapes}, expected channels {widths}. Choose another.")

    def training_rules(self) -> TrainingRules:
        """How the model's authors tell its parameters apart in training."""
        known = {name: self.timm_names[self._in_body(name)] for name, _ in self.named_parameters()}
        return training_rules(self.name, self.options, known)

    def _in_body(self, name: str) -> str:
        """What the body of a plain backbone calls a parameter."""
        return name.removeprefix("body.")

    def _take_after(self, whole: Backbone) -> None:
        """Say of itself what ``whole`` does, whose modules it has taken."""
        self.widths, self.strides, self.manner, self.freeze = whole.widths, whole.strides, whole.manner, whole.freeze
        self.name, self.options, self.timm_names = whole.name, whole.options, whole.timm_names

    def train(self, mode: bool = True) -> Backbone:
        """Training mode, except that a frozen backbone stays in evaluation mode."""
        return super().train(mode and not self.freeze)

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Map [B, 3, H, W] (ImageNet-normalised) to level -> [B, C, ceil(H/level), ceil(W/level)]."""
        padded = self._padded(image)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            maps = self.body(padded)
        return self._pyramid(maps, padded.shape[-2:], image.shape[-2:])

    def _padded(self, image: Tensor) -> Tensor:
        """The image as the body takes it."""
        given = image.shape[-2:]
        if self.manner.only_size not in (None, tuple(given)):
            raise ConfigError(
                f"backbone.options.img_size: the backbone takes only images of {self.manner.only_size}, got "
                f"{tuple(given)}. Set it to the images' size, or choose a backbone of any size."
            )
        if not self.manner.pads:
            return image
        stride = max(self.strides.values())
        return F.pad(image, (0, -given[1] % stride, 0, -given[0] % stride))

    def _pyramid(self, maps: Sequence[Tensor], padded: Sequence[int], given: Sequence[int]) -> dict[int, Tensor]:
        """The body's maps of an image of size ``padded``, in form and cut to the size ``given``."""
        if self.manner.channels_last:
            maps = [x.permute(0, 3, 1, 2) for x in maps]
        kept = _sizes(given, self.widths)
        return {
            level: _on_pixels(x, stride, level, padded)[..., : kept[level][0], : kept[level][1]]
            for (level, stride), x in zip(self.strides.items(), maps, strict=True)
        }


def _on_pixels(x: Tensor, stride: int, level: int, size: Sequence[int]) -> Tensor:
    """A map [B, C, h, w] of ``stride`` over an image of ``size``, at ``level``, each value where it was."""
    if stride == level:
        return resize(x, _sizes(size, (level,))[level])
    # Only a whole number of pixels keeps them there, so there may be more patches first, like those at the edge.
    step = level // math.gcd(level, stride)
    more = [-side % step for side in x.shape[-2:]]
    if any(more):
        x = F.pad(x, (0, more[1], 0, more[0]), mode="replicate")
    return resize(x, [side * stride // level for side in x.shape[-2:]])


def _sizes(size: Sequence[int], levels: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Level -> (height, width) of its map."""
    return {level: (-(-size[0] // level), -(-size[1] // level)) for level in levels}


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
