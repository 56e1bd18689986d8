"""The parts of the page of one run, as plain values for the template."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from atrcnas.ground.errors import AtrcnasError
from atrcnas.ground.files import dump_yaml
from atrcnas.plots.curves import Panels, smoothed
from atrcnas.plots.encoder_tree import branches_of
from atrcnas.plots.probabilities import decidedness
from atrcnas.report.answer import answer
from atrcnas.report.charts import Chart, Curve, chart
from atrcnas.report.encoder import TreeDrawing, tree_drawing
from atrcnas.report.gallery import Gallery
from atrcnas.report.heatmap import Fact, HeatMap, heat_map
from atrcnas.report.reading import RunView
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.tables import Series
from atrcnas.spec.branches import Branches

BLUE, ORANGE = "#0072b2", "#d55e00"  # Okabe and Ito's, as in all figures
_COLOURS, _DASHES = (BLUE, ORANGE), ("", "6 3")
_MANY_POINTS = 20


@dataclass(frozen=True)
class Section:
    """One run on the page.

    Attributes:
        name: of its folder.
        answer: in a few sentences.
        encoder: as a tree; None where all tasks share all of it.
        heat_map: None before there is a choice.
        charts: by heading.
        gallery: None before an evaluation.
        scores: task, figure and value.
        costs: of the network and of the run.
        undecided: pairs, with the lead of their best kind; None where no search says so.
        environment: versions, device and threads.
        commands: that reproduce the run.
        files: name -> text of what they need.
        problems: files that cannot be read.
    """

    name: str
    answer: str
    encoder: TreeDrawing | None
    heat_map: HeatMap | None
    charts: dict[str, list[Chart]]
    gallery: Gallery | None
    scores: list[tuple[str, str, str]]
    costs: list[Fact]
    undecided: list[Fact] | None
    environment: list[Fact]
    commands: list[str]
    files: dict[str, str]
    problems: list[str]


def section(view: RunView, number: int) -> Section:
    """The parts of one run.

    Args:
        view: the run.
        number: of the run on the page.
    """
    problems = list(view.problems)

    def whole(make: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return make()
        except AtrcnasError as error:
            if str(error) not in problems:
                problems.append(str(error))
            return otherwise

    commands, files = _reproduce(view)
    return Section(
        name=view.name,
        answer=whole(lambda: answer(view), "The choice of this run cannot be read."),
        encoder=whole(lambda: _encoder(view), None),
        heat_map=whole(lambda: heat_map(view, number), None),
        charts={heading: charts for heading, charts in _charts(view).items() if charts},
        gallery=view.gallery,
        scores=_scores(view.results or {}),
        costs=_costs(view.results or {}),
        undecided=_undecided(view),
        environment=[Fact(name, _said(value)) for name, value in view.environment.items() if value is not None],
        commands=commands,
        files=files,
        problems=problems,
    )


def _encoder(view: RunView) -> TreeDrawing | None:
    """The tree of the answer, or that of the experiment where the answer does not say."""
    branches = None if view.contexts is None else branches_of(view.contexts)
    if branches is None and view.experiment is not None:
        branches = Branches.of(view.experiment.model.branches, view.experiment.all_tasks)
    return None if branches is None else tree_drawing(branches)


def _charts(view: RunView) -> dict[str, list[Chart]]:
    return {
        "Scores while training": _panel_charts(view.scores),
        "Losses and schedules": _panel_charts(view.losses),
        "How the search decided": _decidedness(view.chances) + _budget(view.budget),
    }


def _panel_charts(panels: Panels | None) -> list[Chart]:
    if panels is None:
        return []
    charts = []
    for key, heading in panels.titles.items():
        title, _, note = heading.replace("\n", " ", heading.count("\n") - 1).partition("\n")
        styles = zip(panels.phases.items(), _COLOURS, _DASHES, strict=False)
        phases = [_curves(phase, found[key], key[2], *style) for (phase, found), *style in styles if key in found]
        ends = (0.0, 1.0) if key[2] == "committed_share" else None
        charts.append(chart(title, [curve for curves in phases for curve in curves], note, ends))
    return charts


def _curves(phase: str, series: Series, name: str, colour: str, dash: str) -> list[Curve]:
    if name != "loss" or len(series.steps) < _MANY_POINTS:
        return [Curve(phase, series.steps, series.values, colour, dash)]
    smooth = smoothed(pd.Series(series.values)).to_numpy(float)
    return [
        Curve("", series.steps, series.values, colour, faint=True),
        Curve(phase, series.steps, smooth, colour, dash),
    ]


def _decidedness(chances: pd.DataFrame | None) -> list[Chart]:
    if chances is None:
        return []
    entropy, share = decidedness(chances)
    curves = [
        Curve("mean entropy, 1 = undecided", entropy.index.to_numpy(float), entropy.to_numpy(float), BLUE),
        Curve("share of committed pairs", share.index.to_numpy(float), share.to_numpy(float), ORANGE, "6 3"),
    ]
    return [chart("All pairs", curves, ends=(0.0, 1.0))]


def _budget(budget: pd.DataFrame | None) -> list[Chart]:
    """The best score by what it cost, of a search by trials."""
    if budget is None or budget["trial"].nunique() < 2:
        return []
    steps = budget["step"].to_numpy(float)
    if len(np.unique(steps)) < 2:
        steps = budget["trial"].to_numpy(float)
    curves = [
        Curve("of each config", steps, budget["score"].to_numpy(float), ORANGE, faint=True),
        Curve("best so far", steps, budget["best"].to_numpy(float), BLUE),
    ]
    return [chart("Score of the configs", curves, "over training steps of all trials, ↑ higher is better")]


def _scores(results: dict[str, Any]) -> list[tuple[str, str, str]]:
    reasons = results.get("undefined", {})
    return [
        (task, name, f"{value:.4f}" if math.isfinite(value) else str(reasons.get(f"{task}.{name}", "not finite")))
        for task, figures in results.get("scores", {}).items()
        for name, value in figures.items()
    ]


def _costs(results: dict[str, Any]) -> list[Fact]:
    costs = results.get("costs")
    if not costs:
        return []
    where = f"{costs['latency_ms']['device']}, {costs['latency_ms']['threads']} threads"
    facts = [
        Fact("parameters", f"{costs['parameters'] / 1e6:.3f} M"),
        Fact("multiply-adds", f"{costs['multiply_adds'] / 1e9:.3f} G at {'x'.join(map(str, costs['image_size']))}"),
        Fact("latency", f"{costs['latency_ms']['median']:.1f} ms ({where})"),
    ]
    for form, latency in costs.get("latency_ms_deployed", {}).items():
        facts.append(Fact(f"latency, {form}", f"{latency['median']:.1f} ms ({latency['threads']} threads)"))
    seconds = results.get("seconds", {})
    return facts + [Fact(f"{stage}", f"{spent:.0f} s") for stage, spent in seconds.items()]


def _said(value: Any) -> str:
    """A command line as it was typed, anything else as it is."""
    return shlex.join(["atrcnas", *map(str, value)]) if isinstance(value, list) else str(value)


def _undecided(view: RunView) -> list[Fact] | None:
    found = view.contexts.provenance.undecided if view.contexts else None
    if found is None:
        return None
    ranked = sorted(found.items(), key=lambda item: item[1])
    return [Fact(pair, f"the best kind leads by {lead:.2f}") for pair, lead in ranked]


def _reproduce(view: RunView) -> tuple[list[str], dict[str, str]]:
    """Commands, and the files that they need, in a new folder."""
    if view.experiment is None:
        return [], {}
    name = shlex.quote(f"runs/{view.experiment.name}-again")
    files = {"experiment.yaml": dump_yaml(view.experiment.dump())}
    if RunFolder(view.folder.root).begun("search"):
        return [f"atrcnas run experiment.yaml --run {name}"], files
    if view.contexts is not None:
        files["contexts.yaml"] = dump_yaml(view.contexts.dump())
        return [f"atrcnas retrain experiment.yaml --contexts contexts.yaml --run {name}"], files
    return [f"atrcnas run experiment.yaml --run {name}"], files
