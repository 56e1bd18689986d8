"""What is about to be trained, where and on what: said once when a stage starts."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch

from atrcnas.engine.branch_choice import BranchChoice
from atrcnas.engine.costs import counted, multiply_adds
from atrcnas.engine.splits import Splits
from atrcnas.engine.training import Training
from atrcnas.nn.branch_supernet import BranchSupernet
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.net import MultiTaskNet
from atrcnas.runs.folder import RunFolder
from atrcnas.spec.branches import Branches
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.kinds import NONE

Fact = tuple[str, str]


def briefing(experiment: Experiment, folder: RunFolder, training: Training, splits: Splits) -> list[Fact]:
    """Names and values, in the order in which they are shown.

    Args:
        experiment: of the stage.
        folder: of the run.
        training: brought to the last checkpoint.
        splits: of its data.
    """
    net, recipe, size = training.weights.net, training.recipe, _training_size(experiment, splits)
    parameters = sum(parameter.numel() for parameter in net.parameters())
    costs = f"{parameters / 1e6:.2f} M parameters, {training_multiply_adds(net, size) / 1e9:.2f} G multiply-adds"
    helping = f", helped by {', '.join(experiment.auxiliary_tasks)}" if experiment.auxiliary_tasks else ""
    begun = f", from step {training.step + 1} on" if training.step else ""
    return [
        ("run", str(folder.root)),
        ("device", _device(experiment, training)),
        ("data", f"{experiment.data.name}: {_shares(splits)}"),
        ("tasks", ", ".join(experiment.tasks) + helping),
        ("pairs", _pairs(net)),
        *_budget(training),
        ("network", f"{experiment.backbone.name}: {costs} for an image of {size[0]} x {size[1]}"),
        *_branches(experiment, training),
        ("steps", f"{recipe.steps} of {recipe.batch_size} images{begun}"),
    ]


def training_multiply_adds(net: MultiTaskNet, size: tuple[int, int]) -> int:
    """Multiply-adds of the forward pass of one image of ``size`` = (height, width), in a supernet with every kind and copy."""
    tasks, encoder = len(net.all_tasks), net.backbone
    copies = torch.full((len(encoder.copies), tasks, tasks), 1 / tasks) if isinstance(encoder, BranchSupernet) else None
    if not net.searching and copies is None:
        return multiply_adds(net, size)
    shapes = copy.deepcopy(net).to("meta").eval()  # without values, the count is quick
    even = Mixture.from_weights({pair: dict.fromkeys(kinds, 1 / len(kinds)) for pair, kinds in net.candidates.items()})
    mixture = replace(even, weights=even.weights.to("meta"), copies=copies)
    image = torch.empty(1, 3, *size, device="meta", dtype=next(shapes.parameters()).dtype)
    with torch.no_grad():
        return counted(lambda: shapes(image, mixture=mixture))


def _budget(training: Training) -> list[Fact]:
    """In how many pairs each kind fits at once, the rarest last; nothing without a budget."""
    pressure = None if training.choice is None else training.choice.pressure
    if pressure is None:
        return []
    pools = pressure.sampler.pools
    offered = Counter(kind for pool in pools.values() for kind in pool)
    room = pressure.limits.room(pools)
    short = {kind: number for kind, number in room.items() if number < offered[kind] and kind != NONE}
    if not short:
        return [("budget", "fits each kind wherever it is offered")]
    first, *others = [
        f"{kind} in {number} of {offered[kind]}" for kind, number in sorted(short.items(), key=lambda entry: -entry[1])
    ]
    return [("budget", f"fits {', '.join([f'{first} pairs', *others])}; more with narrower maps (model.hidden)")]


def _training_size(experiment: Experiment, splits: Splits) -> tuple[int, int]:
    """Height and width of a training image: the crop, or else the first image's own."""
    augment = experiment.data.augment
    if augment is not None and augment.crop_size is not None:
        return augment.crop_size
    height, width = splits.train[splits.weights[0]].image.shape[:2]
    return int(height), int(width)


def _branches(experiment: Experiment, training: Training) -> list[Fact]:
    """Where tasks part in the encoder, or may part; nothing where they share all of it."""
    if isinstance(training.choice, BranchChoice):
        return [("branches", f"searched from {', '.join(training.choice.branches.points)} on")]
    tree = Branches.of(experiment.model.branches, experiment.all_tasks)
    return [] if tree.together else [("branches", tree.key)]


def _device(experiment: Experiment, training: Training) -> str:
    device, world = training.fabric.device, training.fabric.world_size
    several = f", {world} processes" if world > 1 else ""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}{several}, precision {experiment.precision}"
    asked = "" if experiment.devices == "cpu" or torch.cuda.is_available() else " (no GPU found)"
    threads = torch.get_num_threads()
    return f"CPU{asked}, {threads} thread{'s' if threads > 1 else ''}{several}"


def _shares(splits: Splits) -> str:
    parts: Sequence[tuple[int, str]] = (
        (len(splits.weights), "images to train on"),
        (len(splits.logits), "for the logits"),
        (len(splits.selection), "to choose by"),
        (len(splits.val), "to report on" if splits.selection else "to choose by and report on"),
    )
    return ", ".join(f"{number} {what}" for number, what in parts if number)


def _pairs(net: MultiTaskNet) -> str:
    """How many, and of what is chosen or what they have."""
    pools = net.candidates
    if not net.searching:
        used = sum(kinds != ("none",) for kinds in pools.values())
        return f"{len(pools)}, {used} of them with a context"
    sizes = sorted({len(kinds) for kinds in pools.values()})
    return f"{len(pools)}, each with a choice of {' to '.join(str(size) for size in dict.fromkeys((sizes[0], sizes[-1])))} kinds"
