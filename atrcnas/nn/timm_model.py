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
    try:
        return _described(name, {**settings, **options})
    except Exception as error:  # a model's own constructor, perhaps a plugin's, fails in its own way
        try:
            _described(name, settings)
        except Exception as without:
            raise ConfigError(
                f"backbone.name: '{name}' cannot give feature maps ({_reason(without)}). Choose another."
            ) from without
        raise ConfigError(
            f"backbone.options{_blamed(name, settings, options)} ({_reason(error)}). Remove it, or change its value."
        ) from error


def _described(name: str, settings: Mapping[str, Any]) -> Any:
    def described() -> Any:
        return timm.create_model(name, features_only=True, **settings).feature_info

    try:
        with torch.device("meta"):
            return described()
    except RuntimeError:  # perhaps of a constructor that reads values, as those of RegNets in older versions of timm
        with torch.random.fork_rng(devices=[]):
            return described()


def _blamed(name: str, settings: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """The first option without which the model can be built; all of them if there is none."""
    for key, value in options.items():
        try:
            _described(name, {**settings, **{other: options[other] for other in options if other != key}})
        except Exception:  # then this one alone is not to blame
            continue
        return f".{key}: '{name}' does not take {key}: {show(value)}"
    return f": '{name}' does not take {show(dict(options))}"


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
        # In its own format, not that in which the model's authors published them, as older versions of timm assume.
        overlay = {"file": weights, "custom_load": False}
        body = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, features_only=True, **settings)
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
    known = {key.replace(".", "_") for key in given}
    for key in body.state_dict():
        if flat(body, key) not in known and not key.endswith("num_batches_tracked"):
            raise KeyError(f"'{key}' is missing")


def flat(body: nn.Module, key: str) -> str:
    """A name in a feature extractor, comparable with the whole model's when its dots are underscores too."""
    # Some extractors wrap the model, others write "stages_0" for "stages.0".
    wrapped = [name for name, _ in body.named_children()] == ["model"]
    return (key.removeprefix("model.") if wrapped else key).replace(".", "_")
