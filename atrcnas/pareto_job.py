"""`atrcnas pareto`: the front of score against cost, all of it from one search by rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from atrcnas.costs.choosing import Limits
from atrcnas.costs.front import Point, front
from atrcnas.costs.table import MEASURES
from atrcnas.engine.cost_table import pools_of, table_of
from atrcnas.engine.networks import searched_config
from atrcnas.engine.retrain import retrain
from atrcnas.engine.splits import open_splits
from atrcnas.ground.errors import ConfigError
from atrcnas.ground.files import write_text
from atrcnas.launch.ask_tell import digest
from atrcnas.launch.journal import Journal
from atrcnas.launch.search import search
from atrcnas.plots.registry import PLOTS
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.results import read_results
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.pairs import Pair

POINTS = 5


def pareto_lines(experiment: Experiment, run: Path, budgets: str | None, train: bool) -> Iterator[str]:
    """Search by rows if that has not been done, and write the front and the contexts of its points.

    Args:
        experiment: with ``search.costs`` where latency is meant.
        run: run folder; its ``search`` is continued, ``pareto`` gets pareto.csv, pareto.png and contexts-NAME.yaml,
            and with ``train`` run folders NAME; another config has another name.
        budgets: such as ``latency_ms=8,10,12``; None: points spread over the front of the cheapest measure known.
        train: also retrain the chosen configs.

    Raises:
        AtrcnasError: see the message.
    """
    measure, largest = _parsed(experiment, budgets)
    table = table_of(experiment, open_splits(experiment))
    limits = [Limits(table, {measure: limit}) for limit in largest]
    for limit in limits:
        limit.check(pools_of(experiment), "--budgets ")
    plain = experiment.replace(search={"strategy": "rows", "cost_weight": {}})
    search(plain, run, resume=RunFolder(run).begun("search"))
    points = _front(RunFolder(run), lambda kinds: table.predict(kinds, measure))
    folder = run / "pareto"
    found = [_best(points, limit, measure) for limit in limits] if limits else _spread(points)
    chosen = list({tuple(point.kinds.items()): point for point in found}.values())
    _write(folder / "front.csv", [{measure: point.cost, "score": point.score} for point in points])
    rows: list[dict[str, object]] = []
    for point in chosen:
        name = digest({str(pair): kind for pair, kind in point.kinds.items()})
        file = folder / f"contexts-{name}.yaml"
        contexts = searched_config(plain, point.kinds, 0, score=point.score)
        contexts.save(file)
        rows.append({"contexts": file.name, measure: point.cost, "score": point.score})
        yield f"{measure} {point.cost:.4g}: score {point.score:.4f}, {file}"
        if train:
            retrain(plain, contexts, folder / name, resume=True)
            rows[-1] |= _scores(folder / name)
        _write(folder / "chosen.csv", rows)
    (figure,) = PLOTS["pareto"].write(run, run / "plots")
    yield f"front: {folder / 'front.csv'}"
    yield f"plot: {figure}"


def _parsed(experiment: Experiment, budgets: str | None) -> tuple[str, list[float]]:
    if experiment.search.budget:
        raise ConfigError(
            "search.budget: expected none, since the front answers for every cost, got "
            f"{dict(experiment.search.budget)}. Leave it out (search.budget={{}}), and name limits by --budgets."
        )
    if budgets is None:
        return ("multiply_adds" if experiment.search.costs is None else "latency_ms"), []
    measure, _, numbers = budgets.partition("=")
    try:
        largest = [float(number) for number in numbers.split(",")]
    except ValueError:
        largest = []
    if measure not in MEASURES or not largest or min(largest) <= 0:
        raise ConfigError(
            f"--budgets: expected one of {', '.join(MEASURES)} with limits, such as latency_ms=8,10,12, got '{budgets}'."
        )
    if measure == "latency_ms" and experiment.search.costs is None:
        raise ConfigError(
            "--budgets latency_ms: expected search.costs, measured on the machine that will run the network, got none. "
            "Run `atrcnas costs EXPERIMENT --out costs.csv` there, and add search.costs=costs.csv."
        )
    return measure, largest


def _front(folder: RunFolder, cost: Callable[[Mapping[Pair, str]], float]) -> list[Point]:
    """From every row of every target that the search has scored."""
    rows: dict[str, dict[tuple[str, ...], tuple[dict[Pair, str], float]]] = {}
    for entry in Journal(folder.journal, {}).entries:
        for target, score in entry["by_target"].items():
            parsed = {Pair.parse(pair): kind for pair, kind in entry["sample"].items()}
            own = {pair: kind for pair, kind in parsed.items() if pair.target == target}
            rows.setdefault(target, {})[tuple(own.values())] = (own, score)
    return front([list(scored.values()) for scored in rows.values()], cost)


def _best(points: list[Point], limit: Limits, measure: str) -> Point:
    within = [point for point in points if point.cost <= limit.allowed[measure]]
    if not within:
        least = points[0].cost * limit.largest[measure] / limit.allowed[measure]
        raise ConfigError(
            f"--budgets {measure}={limit.largest[measure]:g}: expected at least {least:.4g}, for the cheapest config that was "
            "scored. Raise it, or score more rows (search.trials.number) in another --run."
        )
    return within[-1]


def _spread(points: list[Point]) -> list[Point]:
    """Points at even distances of cost, from the cheapest to the best."""
    costs = np.linspace(points[0].cost, points[-1].cost, POINTS)
    places = dict.fromkeys(
        int(np.searchsorted([point.cost for point in points], cost + 1e-9, "right")) - 1 for cost in costs
    )
    return [points[place] for place in places]


def _scores(run: Path) -> dict[str, float]:
    """What the retrained network scored."""
    found = read_results(run)
    return {f"{task}.{name}": value for task, figures in found["scores"].items() for name, value in figures.items()}


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    write_text(path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g", lineterminator="\n"))
