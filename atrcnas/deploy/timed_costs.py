"""The latency of every kind of every pair on this machine, in the form that will run."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau
from torch import Tensor

from atrcnas.costs.fitting import Config, bare, design, draw, fit
from atrcnas.costs.table import MEMORY, CostTable
from atrcnas.deploy.export import export
from atrcnas.deploy.formats import DEPLOY_FORMATS
from atrcnas.deploy.loading import load_exported
from atrcnas.engine.cost_table import counts, memory, num_labels, pools_of
from atrcnas.engine.networks import fixed_network
from atrcnas.engine.recalibrate import give_statistics
from atrcnas.ground.errors import ConfigError
from atrcnas.nn.fold import fold_batch_norm
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment

Run = Callable[[Tensor], Any]
WARM_UP = 3
ENOUGH = 10  # networks to tell what 9 of 10 cost


@dataclass(frozen=True)
class Accuracy:
    """How well the sum of terms predicts configs that it was not fitted to.

    Attributes:
        configs: number of them.
        median_error: median of the relative errors.
        tau: Kendall's rank correlation.
        margin: by what share 9 of 10 of them cost at most more than predicted, >= 0; a budget is kept with that to
            spare. 0 of fewer than 10 configs.
    """

    configs: int
    median_error: float
    tau: float
    margin: float


def runtimes() -> tuple[str, ...]:
    """Forms of a network whose latency can be measured."""
    return ("eager", "compiled", *(form.runtime for form in DEPLOY_FORMATS))


def timed(
    experiment: Experiment,
    size: tuple[int, int],
    runtime: str = "eager",
    device: str = "cpu",
    samples: int = 40,
    checks: int = 10,
    repeats: int = 20,
    progress: Callable[[Sequence[Config]], Iterable[Config]] = iter,
) -> tuple[CostTable, Accuracy]:
    """Measure networks of many configs and divide what they cost among the terms.

    Each is timed in turns with the network without contexts, so that a change of the machine's pace meets both.

    Args:
        experiment: tasks, backbone, model and search space.
        size: height and width of the image.
        runtime: one of :func:`runtimes`.
        device: "cpu" or "cuda"; where eager and compiled networks run.
        samples: configs that terms are fitted to, at least.
        checks: further configs to compare with.
        repeats: timed passes per config.
        progress: shows how far the loop over the configs is.

    Raises:
        ConfigError: unknown runtime.
        ExportError: a network cannot be written in that form.
    """
    if runtime not in runtimes():
        raise ConfigError(f"--runtime: expected one of {', '.join(runtimes())}, got '{runtime}'.")
    pools, labels = pools_of(experiment), num_labels(experiment)
    fitted = design(pools, labels, seed=0, at_least=samples)
    others = draw(pools, checks, seed=1)
    configs = fitted + others
    order = list(range(len(configs)))
    random.Random(0).shuffle(order)  # a machine that warms up meets all kinds alike
    image = torch.rand(1, 3, *size, device=device, generator=torch.Generator(device).manual_seed(0))
    without = runner(_network(experiment, bare(pools)), image, runtime)
    latency, against = dict[int, float](), []
    for place, _ in zip(order, progress([configs[place] for place in order]), strict=True):
        ours, base = in_turns(runner(_network(experiment, configs[place]), image, runtime), without, image, repeats)
        latency[place] = ours / base
        against.append(base)
    milliseconds = [latency[place] * float(np.median(against)) for place in range(len(configs))]
    values = {"latency_ms": milliseconds[: len(fitted)], **counts(experiment, size, fitted)}
    table = fit(pools, labels, fitted, values)
    accuracy = _accuracy(table, others, milliseconds[len(fitted) :])
    return CostTable({**table.costs, MEMORY: memory(experiment, size)}, {"latency_ms": accuracy.margin}), accuracy


def _network(experiment: Experiment, config: Config) -> MultiTaskNet:
    return fixed_network(experiment.replace(backbone={"weights": "none"}), ContextConfig.from_kinds(config))


def runner(net: MultiTaskNet, image: Tensor, runtime: str) -> Run:
    """A fixed network in the form of one of :func:`runtimes`, for images of the shape and device of ``image``.

    Raises:
        ExportError: the network cannot be written in that form.
    """
    give_statistics(net, torch.rand(2, *image.shape[1:]))
    size = (image.shape[2], image.shape[3])
    if runtime not in ("eager", "compiled"):
        return _deployed(net, size, next(form.name for form in DEPLOY_FORMATS if form.runtime == runtime))
    folded = fold_batch_norm(net.to(image.device), size)
    return torch.compile(folded) if runtime == "compiled" else folded


def _deployed(net: MultiTaskNet, size: tuple[int, int], suffix: str) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"network{suffix}"
        export(net, size, path, tolerance=1e-2)  # what is timed need not be exact
        return load_exported(path, trusted=True).run


def in_turns(ours: Run, base: Run, image: Tensor, repeats: int) -> tuple[float, float]:
    """Median milliseconds of each, for one image [1, 3, H, W]."""
    taken: tuple[list[float], list[float]] = ([], [])
    with torch.inference_mode():
        for _ in range(WARM_UP + repeats):
            for run, seconds in zip((ours, base), taken, strict=True):
                begin = time.perf_counter()
                run(image)
                if image.is_cuda:
                    torch.cuda.synchronize(image.device)
                seconds.append(time.perf_counter() - begin)
    first, second = (1e3 * float(np.median(seconds[WARM_UP:])) for seconds in taken)
    return first, second


def _accuracy(table: CostTable, configs: list[Config], measured: list[float]) -> Accuracy:
    if not configs:
        return Accuracy(0, np.nan, np.nan, 0.0)
    predicted = np.array([table.predict(config, "latency_ms") for config in configs])
    above = np.array(measured) / predicted - 1
    return Accuracy(
        len(configs),
        median_error=float(np.median(np.abs(predicted - measured) / measured)),
        tau=float(kendalltau(predicted, measured).statistic) if len(configs) > 1 else np.nan,
        margin=max(float(np.quantile(above, 0.9)), 0.0) if len(configs) >= ENOUGH else 0.0,
    )
