"""`atrcnas costs`: measure the kinds of a search space on this machine, and say how far the sum of them can be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from atrcnas.costs.table import BASE, MEASURES, MEMORY, CostTable, terms
from atrcnas.deploy.progress import shown
from atrcnas.deploy.timed_costs import timed
from atrcnas.engine.cost_table import image_size, pools_of
from atrcnas.engine.splits import open_splits
from atrcnas.ground.errors import ConfigError
from atrcnas.spec.experiment import Experiment


def cost_lines(
    experiment: Experiment,
    out: Path,
    runtime: str,
    device: str,
    size: tuple[int, int] | None,
    samples: int,
    checks: int,
) -> Iterator[str]:
    """Measure, write the table, and say what it holds.

    Raises:
        ConfigError: unknown runtime or device.
        ExportError: a network cannot be written in that form.
    """
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise ConfigError(f"--device: expected cpu, or cuda where there is a GPU, got '{device}'.")
    size = size or image_size(experiment, open_splits(experiment))
    table, accuracy = timed(
        experiment,
        size,
        runtime,
        device,
        samples,
        checks,
        progress=lambda configs: shown(configs, "networks", len(configs)),
    )
    table.save(out)
    yield f"{runtime} on {device}, {size[0]} x {size[1]}, {torch.get_num_threads()} threads; without contexts:"
    yield _line(table, BASE)
    yield "each kind of a pair, a target's fusing and label branch, on average; what is not shown costs next to nothing:"
    sorts: dict[str, list[str]] = {}
    for term in terms(pools_of(experiment)):
        sorts.setdefault(term.sort, []).append(term.name)
    for sort, names in sorts.items():
        means = {
            measure: {sort: sum(column.get(name, 0.0) for name in names) / len(names)}
            for measure, column in table.costs.items()
        }
        if any(means[measure][sort] > 1e-4 * table.costs[measure][BASE] for measure in means):
            yield _line(CostTable(means), sort)
    if accuracy.configs:
        ranks = f", Kendall tau {accuracy.tau:.2f}" if accuracy.configs > 1 else ""
        yield f"{accuracy.configs} other configs: predicted latency off by {accuracy.median_error:.1%} (median){ranks}"
    if accuracy.margin:
        yield f"a budget of latency is kept with {accuracy.margin:.1%} to spare, which covers 9 of 10 of them"
    yield f"costs: {out}"


def _line(table: CostTable, term: str) -> str:
    ms, count, parameters, memory = (table.costs[measure][term] for measure in (*MEASURES, MEMORY))
    return (
        f"  {term:32s} {ms:9.3f} ms {count / 1e6:10.2f} M multiply-adds {parameters / 1e3:9.1f} k parameters "
        f"{memory:9.2f} MB at the peak"
    )
