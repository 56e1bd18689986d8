"""Searches among the faster half of a table's configs: the budget, as users give it."""

from __future__ import annotations

from analysis.search_quality.judge import Judge, latency_limit
from analysis.search_quality.tables import Question
from atrcnas.contextbench.bench import Bench, load
from atrcnas.contextbench.table import parse, spell
from atrcnas.costs.choosing import Limits
from atrcnas.costs.fitting import bare
from atrcnas.costs.table import BASE, CostTable
from atrcnas.engine.cost_table import pools_of

LATENCY = "latency_ms"


def budget(question: Question) -> list[str]:
    """What a search within the latency changes in the experiment; nothing without one."""
    if not question.within_latency:
        return []
    limits = limits_for(question, load(question.table))
    return [f"search.budget={{{LATENCY}: {limits.largest[LATENCY]:.5g}}}", f"search.costs={question.costs}"]


def limits_for(question: Question, bench: Bench) -> Limits:
    """The limit in the milliseconds of the costs, which were measured at another time than the table's configs.

    The network without contexts, which both have, says how they compare.
    """
    costs = CostTable.load(question.costs, pools_of(bench.experiment))
    without = spell(bare(bench.pools), bench.pools)
    share = latency_limit(bench) / bench.ranking().loc[without, "latency_ratio"]
    return Limits(costs, {LATENCY: share * costs.costs[LATENCY][BASE]})


def best_allowed(limits: Limits, bench: Bench) -> str:
    """The best config that a search can answer with: it is within the limits as predicted, with the costs' margin."""
    delta_m = Judge(bench).delta_m
    allowed = [config for config in delta_m.index if not limits.excess(parse(config, bench.pools))]
    return str(delta_m[allowed].idxmax())
