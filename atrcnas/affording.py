"""Commands that ask what something costs before it is done: plan, costs, pareto."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atrcnas.arguments import ExperimentArg, Overrides, RunOption
from atrcnas.asked import load


def plan(
    experiment: ExperimentArg,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    like: Annotated[
        str | None,
        typer.Option(help="Hours on a device that is not at hand, by counting alone: 'H100: 45 TFLOP/s sustained'."),
    ] = None,
) -> None:
    """Say what an experiment will cost, by trying a few steps: time, memory, disk, and what would be cheaper."""
    import json
    from dataclasses import asdict

    from atrcnas.planning.cheaper import savings
    from atrcnas.planning.elsewhere import elsewhere
    from atrcnas.planning.job import BUDGET_S
    from atrcnas.planning.job import plan as plan_job
    from atrcnas.planning.lines import lines

    spec, _ = load(experiment, overrides, None)
    if like is not None:
        there = elsewhere(spec, like)
        typer.echo(json.dumps(there.dump(), indent=2) if as_json else "\n".join(there.lines()))
        return
    found = plan_job(spec)
    cheaper = savings(spec, found, BUDGET_S / 2)
    if as_json:
        typer.echo(json.dumps({**found.dump(), "cheaper": [asdict(one) for one in cheaper]}, indent=2))
    else:
        for line in lines(found, cheaper):
            typer.echo(line)


def costs(
    experiment: ExperimentArg,
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Table to write, for search.costs.")] = Path("costs.csv"),
    runtime: Annotated[
        str, typer.Option(help="eager, compiled, or that of a deploy format: onnxruntime, ...")
    ] = "eager",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    size: Annotated[tuple[int, int] | None, typer.Option(help="Height and width. [default: the data set's]")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Networks that costs are fitted to, at least.")] = 40,
    checks: Annotated[int, typer.Option(min=0, help="Further networks to compare the fit with.")] = 10,
) -> None:
    """Measure what each kind of each pair costs on this machine, for a search within a budget."""
    from atrcnas.costs_job import cost_lines
    from atrcnas.spec.experiment import Experiment

    spec = Experiment.load(experiment, overrides or [])
    for line in cost_lines(spec, out, runtime, device, size, samples, checks):
        typer.echo(line)


def pareto(
    experiment: ExperimentArg,
    overrides: Overrides = None,
    run: RunOption = None,
    budgets: Annotated[
        str | None, typer.Option(help="Limits, such as latency_ms=8,10,12. [default: points over the whole front]")
    ] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="Also train the chosen networks.")] = False,
) -> None:
    """Find the best config at every cost from one search by rows; writes RUN/pareto."""
    from atrcnas.pareto_job import pareto_lines

    spec, folder = load(experiment, overrides, run)
    for line in pareto_lines(spec, folder, budgets, retrain):
        typer.echo(line)
