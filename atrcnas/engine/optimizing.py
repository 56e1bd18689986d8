"""Optimisers and learning rate schedules of the weights; registered in spec/optimizers.py."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from atrcnas.ground.errors import ConfigError
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.optimizers import AdamwOptions, CosineOptions, NoOptions, SgdOptions
from atrcnas.spec.recipe import TrainSpec

Groups = list[dict[str, Any]]


def parameter_groups(net: nn.Module, recipe: TrainSpec) -> Groups:
    """Torch's parameter groups: layers of the backbone and new layers, each with and without weight decay.

    Args:
        net: its trained parameters below ``backbone.`` learn at ``backbone_rate`` times the rate, and at ``layer_decay``
            times that of the layer after theirs; unless ``decay_norms`` is on, parameters with one dimension or none
            (norms and biases), and those that the backbone's authors exempt, are not decayed.
        recipe: rates and decay.

    Returns:
        Groups with ``params``, ``lr``, ``base_lr`` (which a schedule scales) and ``weight_decay``.

    Raises:
        ConfigError: with ``layer_decay``, the backbone does not say which layer comes after which.
    """
    factors, undecayed = _of_backbone(net, recipe)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = recipe.learning_rate * factors.get(name, 1.0)
        decayed = recipe.decay_norms or (parameter.ndim > 1 and name not in undecayed)
        groups.setdefault((rate, recipe.weight_decay if decayed else 0.0), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "base_lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def _of_backbone(net: nn.Module, recipe: TrainSpec) -> tuple[dict[str, float], set[str]]:
    """Backbone parameter -> multiple of the learning rate; and those that its authors do not decay."""
    factors = {name: recipe.backbone_rate for name, _ in net.named_parameters() if name.startswith("backbone.")}
    if not isinstance(net, MultiTaskNet) or (recipe.layer_decay == 1 and recipe.decay_norms):
        return factors, set()
    rules = net.backbone.training_rules()
    if recipe.layer_decay != 1:
        if rules.depths is None:
            raise ConfigError(
                f"layer_decay: expected 1 with backbone '{net.backbone.name}', which does not say which of its layers "
                f"comes after which (timm's group_matcher), got {recipe.layer_decay}. Set backbone_rate instead."
            )
        for name, depth in rules.depths.items():
            factors[f"backbone.{name}"] *= recipe.layer_decay**depth
    return factors, {f"backbone.{name}" for name in rules.undecayed}


def sgd(groups: Groups, recipe: TrainSpec, options: SgdOptions) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    return torch.optim.SGD(groups, recipe.learning_rate, momentum=recipe.momentum, nesterov=options.nesterov)


def adamw(groups: Groups, recipe: TrainSpec, options: AdamwOptions) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019)."""
    return torch.optim.AdamW(groups, recipe.learning_rate, betas=options.betas, eps=options.eps, fused=True)


def poly(share: float, recipe: TrainSpec, _: NoOptions) -> float:
    """``(1 - share) ** poly_power``."""
    return float((1 - share) ** recipe.poly_power)


def cosine(share: float, _: TrainSpec, options: CosineOptions) -> float:
    """Half a cosine from 1 to ``final`` (Loshchilov and Hutter, ICLR 2017)."""
    return options.final + (1 - options.final) * (1 + math.cos(math.pi * share)) / 2


def constant(share: float, recipe: TrainSpec, _: NoOptions) -> float:
    """1."""
    return 1.0
