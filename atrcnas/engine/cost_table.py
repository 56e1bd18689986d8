"""The costs that a search keeps to: from a table that was measured, or counted here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from atrcnas.costs.choosing import Limits
from atrcnas.costs.fitting import Config, alone, bare, design, fit, groups_of
from atrcnas.costs.table import BASE, CostTable
from atrcnas.data.loading import validation_loader
from atrcnas.engine.costs import multiply_adds, parameters, peak_memory
from atrcnas.engine.networks import fixed_network
from atrcnas.engine.splits import Splits
from atrcnas.ground.errors import RunError
from atrcnas.nn.backbone import Backbone
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.pairs import Pair

ROUNDING = 0.01  # of counts that were fitted, and written with six digits


def limits_of(experiment: Experiment, splits: Splits) -> Limits | None:
    """What ``search.budget`` allows; None without one. Costs are read from ``search.costs``, or counted.

    Raises:
        ConfigError: no config is within it.
        RunError: ``search.costs`` cannot be read, or is of another search space.
    """
    if not experiment.search.budget:
        return None
    limits = Limits(
        table_of(experiment, splits), {str(name): limit for name, limit in experiment.search.budget.items()}
    )
    limits.check(pools_of(experiment))
    return limits


def table_of(experiment: Experiment, splits: Splits) -> CostTable:
    """Multiply-adds and parameters, counted for a validation image, and the latencies that ``search.costs`` names.

    Latencies may be those of another image size, that of the network when deployed.

    Raises:
        RunError: ``search.costs`` cannot be read, or is of another search space or network.
    """
    measured = _measured(experiment)
    counted = counted_table(experiment, image_size(experiment, splits))
    if measured is None:
        return counted
    _check_network(experiment, counted, measured)
    return CostTable({**counted.costs, "latency_ms": measured.costs["latency_ms"]}, measured.margin)


def _measured(experiment: Experiment) -> CostTable | None:
    if experiment.search.costs is None:
        return None
    path = Path(experiment.search.costs)
    if not path.is_file():
        raise RunError(
            f"search.costs: expected a table of costs, found no file {path}. Run `atrcnas costs EXPERIMENT --out {path}` on "
            "the machine that will run the network."
        )
    return CostTable.load(path, pools_of(experiment))


def _check_network(experiment: Experiment, counted: CostTable, measured: CostTable) -> None:
    """Refuse a table with the parameters of another network, without contexts or with the last kind everywhere."""
    for place in (0, -1):
        config = {pair: pool[place] for pair, pool in pools_of(experiment).items()}
        here, there = (table.predict(config, "parameters") for table in (counted, measured))
        if abs(there / here - 1) > ROUNDING:
            raise RunError(
                f"{experiment.search.costs}: expected costs of this network, of {here:.5g} parameters, got those of one of "
                f"{there:.5g}: of another width or backbone. Run `atrcnas costs EXPERIMENT --out "
                f"{experiment.search.costs}` for this one."
            )


def counted_table(experiment: Experiment, size: tuple[int, int]) -> CostTable:
    """Multiply-adds at an image size and parameters of every term; no tensor has values."""
    pools, labels = pools_of(experiment), num_labels(experiment)
    configs = design(pools, labels, seed=0)
    return fit(pools, labels, configs, counts(experiment, size, configs))


def counts(experiment: Experiment, size: tuple[int, int], configs: Sequence[Config]) -> dict[str, list[float]]:
    """Multiply-adds at an image size and parameters of configs; the backbone, which all share, is built and counted once."""
    whole = without_values(experiment, configs[0])
    with torch.no_grad():
        maps = whole.backbone.eval()(torch.empty(1, 3, *size, device="meta"))
    computed = _Computed(whole.backbone, maps)
    nets = [without_values(experiment, config, cast(Backbone, computed)) for config in configs]
    after = [(multiply_adds(net, size), parameters(net)) for net in nets]
    behind = (multiply_adds(whole, size) - after[0][0], parameters(whole) - after[0][1])
    return {
        "multiply_adds": [float(behind[0] + one) for one, _ in after],
        "parameters": [float(behind[1] + one) for _, one in after],
    }


def memory(experiment: Experiment, size: tuple[int, int]) -> dict[str, float]:
    """By how much each kind of a pair, alone in the network, raises the peak of memory at an image size, MB.

    Not a measure that adds up: what several kinds need is not needed at once. Terms that pairs share have no entry of
    their own; terms whose parts have the same shapes are counted once.
    """
    pools, labels = pools_of(experiment), num_labels(experiment)
    base = peak_memory(without_values(experiment, bare(pools)), size)
    more = {
        group: peak_memory(without_values(experiment, config), size) - base
        for group, config in alone(pools, labels).items()
    }
    return {BASE: base} | {term.name: more[group] for term, group in groups_of(pools, labels).items() if group in more}


class _Computed(nn.Module):
    """In place of a backbone: its maps, which are the same for every config."""

    def __init__(self, backbone: Backbone, maps: dict[int, Tensor]) -> None:
        super().__init__()
        self.widths, self.maps = backbone.widths, maps

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        return self.maps


def without_values(experiment: Experiment, config: Config, backbone: Backbone | None = None) -> MultiTaskNet:
    """The fixed network of a config on the meta device."""
    with torch.random.fork_rng(devices=()), torch.device("meta"):
        contexts = ContextConfig.from_kinds(config)
        return fixed_network(experiment.replace(backbone={"weights": "none"}), contexts, backbone)


def pools_of(experiment: Experiment) -> dict[Pair, tuple[str, ...]]:
    """The pools of an experiment's search space."""
    return experiment.search_space().pools(experiment.tasks, experiment.all_tasks)


def num_labels(experiment: Experiment) -> dict[str, int]:
    """Channels of each task's label map."""
    return {name: task.num_labels for name, task in experiment.resolved_tasks().items()}


def image_size(experiment: Experiment, splits: Splits) -> tuple[int, int]:
    """Height and width of the first validation image, as it goes into the network."""
    batch = next(iter(validation_loader(experiment.replace(data={"workers": 0}), splits.val, 1, samples=[0])))
    height, width = batch.sizes[0]
    return height, width
