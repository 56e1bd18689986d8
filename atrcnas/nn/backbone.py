"""Any timm backbone as a feature pyramid with strides 4, 8, 16 and 32."""

from __future__ import annotations

import difflib
import logging
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from atrcnas.ground.errors import CheckpointError, ConfigError
from atrcnas.nn.heads import resize
from atrcnas.spec.pairs import LEVELS

# Settings timm needs to give the four native scales, by prefix of the name.
_SETTINGS: dict[str, dict[str, Any]] = {
    "hrnet": {"feature_location": ""},  # otherwise the wide classification features
    "vit": {"dynamic_img_size": True, "dynamic_img_pad": True},
    "deit": {"dynamic_img_size": True, "dynamic_img_pad": True},
    "swin": {"strict_img_size": False},
}
# A size that is square in no way and fits no pretraining; the network pads images to multiples of 32.
_PROBE = (2, 3, 64, 96)


class Backbone(nn.Module):
    """A timm feature extractor.

    Plain transformers have one stride; four of their blocks, evenly spaced, are resized to the four strides.

    Args:
        name: timm model name.
        weights: "none", "hub" (timm downloads) or a local ``.safetensors``/``.pth`` file under timm's names.
        freeze: keep weights and BatchNorm statistics.
        upsample: how HRNet enlarges its coarser branches: "nearest" (timm) or "bilinear" (the ATRC reference).

    Attributes:
        widths: level -> channels.

    Raises:
        ConfigError: timm does not know the model, it has no strides 4 to 32, takes images of one size only, or has no
            branches to enlarge bilinearly.
        CheckpointError: the weight file is missing, damaged or of another model, or cannot be downloaded.
    """

    def __init__(self, name: str, weights: str = "none", freeze: bool = False, upsample: str = "nearest") -> None:
        super().__init__()
        settings = next((extra for prefix, extra in _SETTINGS.items() if name.startswith(prefix)), {})
        indices = _level_indices(name, settings)
        self.body = _create(name, weights, {**settings, "out_indices": indices})
        self.widths = dict(zip(LEVELS, self.body.feature_info.channels(), strict=True))
        if upsample == "bilinear":
            _enlarge_bilinearly(self.body, name)
        self.channels_last = self._probe(name)
        self.freeze = freeze
        self.requires_grad_(not freeze)

    @torch.no_grad()
    def _probe(self, name: str) -> bool:
        """Try one small image; whether the maps come as [B, H, W, C].

        Raises:
            ConfigError: the model takes images of one size only, or its maps are not as declared.
        """
        self.body.eval()
        try:
            maps = self.body(torch.zeros(_PROBE))
        except (AssertionError, RuntimeError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ConfigError(
                f"backbone.name: '{name}' does not take images of any size ({reason}). Choose another."
            ) from error
        widths = list(self.widths.values())
        for channel_axis in (1, 3):
            if [x.shape[channel_axis] for x in maps if x.ndim == 4] == widths:
                return channel_axis == 3
        shapes = [tuple(x.shape) for x in maps]
        raise ConfigError(f"backbone.name: '{name}' gives maps {shapes}, expected channels {widths}. Choose another.")

    def train(self, mode: bool = True) -> Backbone:
        """Training mode, except that a frozen backbone stays in evaluation mode."""
        return super().train(mode and not self.freeze)

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Map [B, 3, H, W] (ImageNet-normalised; H and W multiples of 32) to level -> [B, C, H/level, W/level]."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            maps = self.body(image)
        if self.channels_last:
            maps = [x.permute(0, 3, 1, 2) for x in maps]
        height, width = image.shape[-2:]
        return {level: resize(x, (height // level, width // level)) for level, x in zip(LEVELS, maps, strict=True)}


def _level_indices(name: str, settings: dict[str, Any]) -> tuple[int, ...]:
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ConfigError(f"backbone.name: timm {timm.__version__} has no model '{name}'.{hint}")
    with torch.device("meta"):
        try:
            info = timm.create_model(name, features_only=True, **settings).feature_info
        except (RuntimeError, TypeError, ValueError) as error:
            raise ConfigError(f"backbone.name: '{name}' cannot give feature maps ({error}). Choose another.") from error
    reductions = info.reduction()
    if len(set(reductions)) == 1:
        depth = len(info.info)
        return tuple(depth * (i + 1) // len(LEVELS) - 1 for i in range(len(LEVELS)))
    if not set(LEVELS) <= set(reductions):
        raise ConfigError(f"backbone.name: '{name}' has strides {reductions}, expected {list(LEVELS)}. Choose another.")
    return tuple(len(reductions) - 1 - reductions[::-1].index(level) for level in LEVELS)


def _create(name: str, weights: str, settings: dict[str, Any]) -> nn.Module:
    # timm lists the classifier's tensors as unexpected; what matters, missing ones, is checked below.
    logging.getLogger("timm.models._builder").setLevel(logging.ERROR)
    if weights == "none":
        return timm.create_model(name, features_only=True, **settings)
    if weights == "hub":
        return _download(name, settings)
    if not Path(weights).is_file():
        raise CheckpointError(
            f"backbone.weights: expected 'none', 'hub' or a file, got '{weights}', which does not exist. Check the path."
        )
    try:
        # Read before timm does, which in some versions would unpickle.
        given = timm.models.load_state_dict(weights, weights_only=True)
        body = timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay={"file": weights}, features_only=True, **settings
        )
        _check_complete(body, given)
        return body
    except Exception as error:  # a damaged or forged file can fail anywhere in the readers
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"backbone.weights: {weights} does not hold weights of '{name}' ({reason}). "
            "Expected a file under timm's names for this model."
        ) from error


def _download(name: str, settings: dict[str, Any]) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=True, features_only=True, **settings)
    except Exception as error:  # what the download raises differs between versions of three libraries
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"backbone.weights: cannot get the weights of '{name}' from timm's hub ({reason}). Check the connection, "
            "or set backbone.weights to a local file or to none."
        ) from error


def _enlarge_bilinearly(body: nn.Module, name: str) -> None:
    enlarging = [module for module in body.modules() if isinstance(module, nn.Upsample)]
    if not enlarging:
        raise ConfigError(f"backbone.upsample: '{name}' enlarges no branches; 'bilinear' is for HRNet. Remove it.")
    for module in enlarging:
        module.mode, module.align_corners = "bilinear", False


def _check_complete(body: nn.Module, given: dict[str, Tensor]) -> None:
    """Timm loads what it finds and leaves the rest random; a part of a network is refused here.

    Raises:
        KeyError: naming the first tensor that the file does not hold.
    """
    # timm's feature extractors may write "stages_0" for "stages.0".
    known = {key.replace(".", "_") for key in given}
    for key in body.state_dict():
        if key.replace(".", "_") not in known and not key.endswith("num_batches_tracked"):
            raise KeyError(f"'{key}' is missing")
