"""What timm knows of how a backbone is trained: the order of its layers, and what takes no weight decay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import timm
import torch
from timm.models import group_parameters


class TrainingRules(NamedTuple):
    """What timm knows of how a model is trained.

    Attributes:
        depths: parameter -> layers from its own to the last one, 1 for the last; None if the model does not say.
        undecayed: parameters besides norms and biases that take no weight decay, such as position embeddings.
    """

    depths: dict[str, int] | None
    undecayed: frozenset[str]


def training_rules(name: str, options: Mapping[str, Any], known: Mapping[str, str]) -> TrainingRules:
    """Ask the whole model, since extractors do not keep the answers.

    Args:
        name: timm model name.
        options: the user's keyword arguments to timm.
        known: parameter -> its name in the whole model, with underscores for dots, as far as it is one of that model's.
    """
    with torch.device("meta"):
        whole: Any = timm.create_model(name, **options)
    names = {key.replace(".", "_"): key for key, _ in whole.named_parameters()}
    own = {key: names[flat] for key, flat in known.items() if flat in names}
    exempt = set(whole.no_weight_decay()) if hasattr(whole, "no_weight_decay") else set()
    undecayed = frozenset(key for key, theirs in own.items() if theirs in exempt)
    if not hasattr(whole, "group_matcher") or len(own) < len(known):
        return TrainingRules(None, undecayed)
    layer = group_parameters(whole, whole.group_matcher(coarse=False), reverse=True)
    order = sorted({layer[theirs] for theirs in own.values()}, reverse=True)
    return TrainingRules({key: order.index(layer[theirs]) + 1 for key, theirs in own.items()}, undecayed)
