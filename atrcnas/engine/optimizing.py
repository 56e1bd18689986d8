"""Optimisers and learning rate schedules of the weights; registered in spec/optimizers.py."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from atrcnas.spec.optimizers import AdamwOptions, CosineOptions, NoOptions, SgdOptions
from atrcnas.spec.recipe import TrainSpec

Groups = list[dict[str, Any]]


def parameter_groups(net: nn.Module, recipe: TrainSpec) -> Groups:
    """Torch's parameter groups: backbone and new layers, each with and without weight decay.

    Args:
        net: its trained parameters below ``backbone.`` learn at ``backbone_rate`` times the rate; parameters with one
            dimension or none (norms and biases) are not decayed unless ``decay_norms`` is on.
        recipe: rates and decay.

    Returns:
        Groups with ``params``, ``lr``, ``base_lr`` (which a schedule scales) and ``weight_decay``.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = recipe.learning_rate * (recipe.backbone_rate if name.startswith("backbone.") else 1.0)
        decay = recipe.weight_decay if recipe.decay_norms or parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "base_lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def sgd(groups: Groups, recipe: TrainSpec, options: SgdOptions) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    return torch.optim.SGD(groups, recipe.learning_rate, momentum=recipe.momentum, nesterov=options.nesterov)


def adamw(groups: Groups, recipe: TrainSpec, options: AdamwOptions) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019)."""
    return torch.optim.AdamW(groups, recipe.learning_rate, betas=options.betas, eps=options.eps)


def poly(share: float, recipe: TrainSpec, _: NoOptions) -> float:
    """``(1 - share) ** poly_power``."""
    return float((1 - share) ** recipe.poly_power)


def cosine(share: float, _: TrainSpec, options: CosineOptions) -> float:
    """Half a cosine from 1 to ``final`` (Loshchilov and Hutter, ICLR 2017)."""
    return options.final + (1 - options.final) * (1 + math.cos(math.pi * share)) / 2


def constant(share: float, recipe: TrainSpec, _: NoOptions) -> float:
    """1."""
    return 1.0
