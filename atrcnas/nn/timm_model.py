"""Building a timm feature extractor, and every way in which that can fail, in the user's words."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from atrcnas.ground.errors import CheckpointError, ConfigError
from atrcnas.spec.schema import show


def features(name: str, settings: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Timm's description of the maps a model can give: ``reduction()``, ``channels()``, ``info``.

    Args:
        name: timm model name.
        settings: our own keyword arguments to timm.
        options: the user's; they win.

    Raises:
        ConfigError: timm does not know the model, it gives no maps, or it does not take an option.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ConfigError(f"backbone.name: timm {timm.__version__} has no model '{name}'.{hint}")
    found = _described(name, settings, f"backbone.name: '{name}' cannot give feature maps", "Choose another")
    so_far = dict(settings)
    for key, value in options.items():
        so_far[key] = value
        what = f"backbone.options.{key}: '{name}' does not take {key}: {show(value)}"
        found = _described(name, so_far, what, "Remove it, or change its value")
    return found


def _described(name: str, settings: Mapping[str, Any], what: str, way_out: str) -> Any:
    with torch.device("meta"):
        try:
            return timm.create_model(name, features_only=True, **settings).feature_info
        except Exception as error:  # a model's own constructor, perhaps a plugin's, fails in its own way
            raise ConfigError(f"{what} ({_reason(error)}). {way_out}.") from error


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def create(name: str, weights: str, settings: dict[str, Any]) -> nn.Module:
    """The feature extractor itself, with its weights.

    Args:
        name: timm model name.
        weights: "none", "hub" or a file.
        settings: keyword arguments to timm.

    Raises:
        CheckpointError: the weight file is missing, damaged or of another model, or cannot be downloaded.
    """
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
        raise CheckpointError(
            f"backbone.weights: {weights} does not hold weights of '{name}' ({_reason(error)}). "
            "Expected a file under timm's names for this model."
        ) from error


def _download(name: str, settings: dict[str, Any]) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=True, features_only=True, **settings)
    except Exception as error:  # what the download raises differs between versions of three libraries
        raise CheckpointError(
            f"backbone.weights: cannot get the weights of '{name}' from timm's hub ({_reason(error)}). Check the connection, "
            "or set backbone.weights to a local file or to none."
        ) from error


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
