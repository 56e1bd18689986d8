"""One training or search: the engine's own step and scores on a data set rendered once, without a run folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from atrcnas.contextbench.table import BASELINE, LENGTHS, Pools, parse
from atrcnas.data.caching import Cached
from atrcnas.data.loading import training_loader, validation_loader
from atrcnas.engine.choice import Choice
from atrcnas.engine.costs import multiply_adds
from atrcnas.engine.devices import connect
from atrcnas.engine.gradient_search import search_batches, search_training
from atrcnas.engine.label_states import label_states
from atrcnas.engine.networks import fixed_network, with_model_of
from atrcnas.engine.retrain import fixed_training
from atrcnas.engine.scores import Scores
from atrcnas.engine.splits import Splits, open_splits
from atrcnas.engine.step import take_step
from atrcnas.engine.training import Training
from atrcnas.objectives.objective import Objective
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment

Row = dict[str, float | int]
# How every stored row is trained: on all training images, on one thread.
FIXED = ("data.selection=0", "data.workers=0", "devices=cpu")


def rendered(experiment: Experiment) -> tuple[Cached, Cached]:
    """The training and the validation split, in memory."""
    splits = open_splits(experiment)
    kept = Cached(splits.train, 2**40), Cached(splits.val, 2**40)
    for split in kept:
        for index in range(len(split)):
            _ = split[index]
    return kept


def contexts_of(config: str, pools: Pools) -> ContextConfig:
    """The context config of a row."""
    return ContextConfig.load(config) if config == BASELINE else ContextConfig.from_kinds(parse(config, pools))


class Prepared(NamedTuple):
    """The training of a fixed network, or of a search, before its first step, with its batches."""

    experiment: Experiment
    splits: Splits
    training: Training
    batches: Iterator[Any]

    def step(self) -> float:
        """Take a step; CPU seconds."""
        began = time.process_time()
        take_step(self.training, next(self.batches))
        return time.process_time() - began


def prepare(experiment: Experiment, contexts: ContextConfig, data: tuple[Cached, Cached]) -> Prepared:
    """Build the fixed network of a context config and its training from scratch, on data that was rendered."""
    experiment = with_model_of(experiment, contexts)
    recipe = experiment.retrain
    splits = replace(open_splits(experiment), train=data[0], val=data[1])
    net = fixed_network(experiment, contexts)
    objective = Objective(experiment.resolved_tasks(), label_states(experiment, splits.train, splits.weights))
    training = fixed_training(net, objective, experiment, connect(experiment))
    batches = training_loader(experiment, splits.train, splits.weights, recipe.batch_size, recipe.steps)
    return Prepared(experiment, splits, training, iter(batches))


def prepare_search(experiment: Experiment, data: tuple[Cached, Cached]) -> tuple[Prepared, Choice]:
    """Build the experiment's search by gradient, on data that was rendered, and what holds its choice."""
    splits = replace(open_splits(experiment, experiment.search.held_out), train=data[0], val=data[1])
    training, choice = search_training(experiment, splits, connect(experiment))
    return Prepared(experiment, splits, training, iter(search_batches(experiment, splits, {}))), choice


def run(
    experiment: Experiment,
    contexts: ContextConfig,
    data: tuple[Cached, Cached],
    lengths: Mapping[str, float] = LENGTHS,
) -> Row:
    """Train the fixed network from scratch; score it on the validation split after these shares of the steps.

    Returns:
        Scores, losses (of the final predictions, weighted as in training), multiply-adds of one image, and CPU seconds
        of the training steps.
    """
    prepared = prepare(experiment, contexts, data)
    training, steps = prepared.training, experiment.retrain.steps
    stops = {round(share * steps): length for length, share in lengths.items()}
    row: Row = {"multiply_adds": multiply_adds(training.weights.net, prepared.splits.val[0].image.shape[:2])}
    seconds = 0.0
    while training.step < steps:
        seconds += prepared.step()
        if training.step in stops:
            row |= validate(prepared, stops[training.step])
    return {**row, "seconds": round(seconds, 2)}


@torch.no_grad()
def validate(prepared: Prepared, length: str, samples: Sequence[int] | None = None) -> Row:
    """As the engine validates, with the losses besides; ``length`` ends the names of the figures; all samples if None."""
    experiment, splits, training, _ = prepared
    training.settle()
    net, tasks = training.weights.evaluated.eval(), training.tasks
    scores, losses, images = Scores(tasks, training.fabric.device), dict.fromkeys(tasks, 0.0), 0
    for batch in validation_loader(experiment, splits.val, experiment.retrain.batch_size, samples=samples):
        predictions = net(batch.image, batch.image_valid).predictions
        scores.update(predictions, batch)
        _, parts = training.objective(predictions, {}, {}, batch.targets, batch.valid)
        images += len(batch.names)
        for name in tasks:
            losses[name] += float(parts[name]) * len(batch.names)
    net.train()
    figures = scores.compute()
    row: Row = {f"{name}.{task.score}.{length}": figures[name][task.score] for name, task in tasks.items()}
    return row | {f"{name}.loss.{length}": loss / images for name, loss in losses.items()}
