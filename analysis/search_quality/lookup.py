"""Searches by trials, each trial answered by a table of ContextBench instead of a training.

python -m analysis.search_quality.lookup                 every method
python -m analysis.search_quality.lookup asha tpe
python -m analysis.search_quality.lookup --table rooms-small-wide
python -m analysis.search_quality.lookup --latency       among the faster half of the configs

A search is told what one training seed of the table measured, at the length it asked for: of the config itself, or of
the rows of its targets where it was not trained with that seed. What it found is judged by the mean over the other
training seeds. Writes analysis/results/search_lookup.csv (_wide.csv, _latency.csv): regret by cost, over the searches.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.search_quality.judge import Judge, latency_limit, trained_with, training_seeds
from analysis.search_quality.limits import limits_for
from analysis.search_quality.tables import add_question, asked_question
from atrcnas.contextbench.bench import Bench, load
from atrcnas.contextbench.table import LENGTHS, spell
from atrcnas.costs.choosing import Limits
from atrcnas.launch.ask_tell import Sample, Trial, Trials
from atrcnas.launch.proposals import choose
from atrcnas.spec.recipe import TrialsSpec
from atrcnas.spec.strategies import STRATEGIES

COSTS = range(1, 65)  # trainings of full length
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FULL_STEPS = 400


@dataclass(frozen=True)
class Method:
    """A strategy with its settings.

    Attributes:
        strategy: the word in ``search.strategy``.
        searches: how many; fewer where NNI's proposals are slow.
        begun: configs for each training of full length that is paid for.
        options: of ``search.trials``, where they are not the defaults.
    """

    strategy: str
    searches: int = 1000
    begun: float = 1.0
    options: Mapping[str, int] = field(default_factory=dict)


METHODS = {
    "random": Method("random"),
    "evolution": Method("evolution"),
    "asha": Method("asha", begun=1.5),
    "asha, two halvings": Method("asha", begun=2.0, options={"halvings": 2}),
    "tpe": Method("tpe"),
    "rl": Method("rl", searches=100),
}


@dataclass
class Notebook:
    """A journal in memory."""

    path: Path = Path("table")
    header: Mapping[str, Any] = field(default_factory=lambda: {"at_once": 1})
    entries: list[dict[str, Any]] = field(default_factory=list)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add an entry."""
        self.entries.append(dict(entry))


class Course:
    """Cost so far, in trainings, and the config that would be the answer."""

    def __init__(self) -> None:
        self.spent, self.best, self.points = 0.0, None, list[tuple[float, Mapping[str, str]]]()

    def hear(self, trial: Trial) -> None:
        """Count a trial; the answer is the best of those that trained longest."""
        self.spent += trial.steps / FULL_STEPS
        if self.best is None or (trial.share, trial.score) > (self.best.share, self.best.score):
            self.best = trial
        self.points.append((self.spent, self.best.sample))


def explore(
    method: Method, seed: int, tables: Mapping[float, Mapping[str, float]], bench: Bench, limits: Limits | None = None
) -> Course:
    """One search; ``tables`` holds share of the training -> config -> score."""
    course, number = Course(), round(max(COSTS) * method.begun)
    names = {str(pair): pair for pair in bench.pools}

    def make(_: int, sample: Sample, share: float, before: float) -> Future[dict[str, Any]]:
        done: Future[dict[str, Any]] = Future()
        config = spell({names[pair]: kind for pair, kind in sample.items()}, bench.pools)
        steps = round(FULL_STEPS * (share - before))
        fields = {"steps": steps, "seconds": 0.0, "seed": 0, "folder": "", "share": share}
        done.set_result({"sample": dict(sample), "score": tables[share][config], **fields})
        return done

    trials = Trials(Notebook(), make, number, course.hear, limits, bench.pools)  # type: ignore[arg-type]
    pools = {str(pair): tuple(pool) for pair, pool in bench.pools.items()}
    choose(STRATEGIES[method.strategy], "auto").explore(
        pools, trials, TrialsSpec(number=number, **method.options), seed
    )
    trials.finish()
    return course


def answers(method: Method, bench: Bench, searches: int, limits: Limits | None = None) -> Iterator[pd.DataFrame]:
    """Of each search, regret and percentile of its answer at every cost."""
    limit = latency_limit(bench) if limits else None
    known = training_seeds(bench)
    tables = {
        seed: {share: trained_with(bench, seed, length).to_dict() for length, share in LENGTHS.items()}
        for seed in known
    }
    judges = {seed: Judge(bench, [other for other in known if other != seed], limit) for seed in known}
    for number in range(searches):
        told = known[number % len(known)]
        course = explore(method, number, tables[told], bench, limits)
        spent = np.array([cost for cost, _ in course.points])
        last = [np.searchsorted(spent, cost + 1e-9, side="right") - 1 for cost in COSTS]
        found = [judges[told].of_sample(course.points[place][1]) for place in last if place >= 0]
        yield pd.DataFrame(found, index=pd.Index([cost for cost, place in zip(COSTS, last, strict=True) if place >= 0]))


def summary(name: str, searches: list[pd.DataFrame]) -> pd.DataFrame:
    """Quantiles over the searches at every cost."""
    joined = pd.concat(searches)
    rows = joined["regret"].groupby(level=0).quantile(QUANTILES).unstack()
    rows.columns = [f"regret_{100 * quantile:.0f}" for quantile in QUANTILES]
    rows["percentile"] = joined["percentile"].groupby(level=0).median()
    rows.insert(0, "searches", len(searches))
    rows.insert(0, "method", name)
    return rows.rename_axis("cost").reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=list(METHODS), metavar="METHOD", help=", ".join(METHODS))
    parser.add_argument("--searches", type=int, help="of each method")
    add_question(parser)
    parser.add_argument("--out", type=Path, help="[default: the file of the question]")
    args = parser.parse_args()
    question = asked_question(args)
    bench, out = load(question.table), args.out or question.lookups
    limits = limits_for(question, bench) if question.within_latency else None
    tables = [pd.read_csv(out)] if out.is_file() else []
    for name in args.methods:
        found = summary(name, list(answers(METHODS[name], bench, args.searches or METHODS[name].searches, limits)))
        tables = [table[table["method"] != name] for table in tables] + [found]
        pd.concat(tables).to_csv(out, index=False, float_format="%.6g")
        print(f"{name}: {len(found)} rows", file=sys.stderr)


if __name__ == "__main__":
    main()
