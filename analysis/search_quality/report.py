"""Put the tables of docs/search-quality.md and its figures together from the CSVs: `python -m analysis.search_quality.report`."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis.contextbench import other_images
from analysis.pages import SEARCH_QUALITY, write
from analysis.places import FIGURES
from analysis.search_quality.draw import draw
from analysis.search_quality.judge import latency_limit, training_seeds
from analysis.search_quality.limits import best_allowed, limits_for
from analysis.search_quality.results import (
    against_best,
    agreement,
    at_limits,
    lookups,
    of_main_table,
    references,
    supernets,
    trained,
)
from analysis.search_quality.tables import QUESTIONS
from atrcnas.contextbench.bench import Bench, load
from atrcnas.plots import canvas

BY_COSTS = "the best config that the predicted costs, with their margin, allow"
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)  # of the configs, that a limit lets through
SHOWN_COSTS = (2, 4, 8, 16, 32, 64)


def markdown(
    bench: Bench,
    searches: pd.DataFrame,
    by_trials: pd.DataFrame,
    known: pd.DataFrame,
    taus: pd.DataFrame,
    main_table: pd.DataFrame,
    limit: float | None = None,
) -> Iterator[str]:
    """All tables."""
    seeds = training_seeds(bench)
    yield f"Judged by {len(bench.rows)} trained rows, {len(seeds)} seeds of which are complete."
    if limit is not None:
        yield f"The limit is {limit:.2f} times the baseline's latency. {_kept_to(searches)}"
    yield from _table(
        "with a supernet | searches | steps | cost, trainings | Delta_m, % | regret: mean; median (range) | "
        "percentile: median (lowest) | pairs committed | undecided",
        (_supernet(str(name), rows) for name, rows in searches.groupby("method", sort=False)),
    )
    yield from _table(
        "with a supernet, seed by seed | more regret | p-value | corrected for their number",
        (
            f"{name} | {row['more']:.2f} | {row['p_value']:.3f} | {row['corrected']:.3f}"
            for name, row in against_best(searches).iterrows()
        ),
    )
    themselves = trained(bench, searches, limit)
    yield from _table(
        f"the found configs, trained themselves | searches | Delta_m, % | over {themselves['rival'].iloc[0]} everywhere",
        (
            f"{name} | {row['searches']} | {row['delta_m']:.1f} | {row['over']:+.1f} ± {row['spread']:.1f}"
            for name, row in themselves.iterrows()
        ),
    )
    if not main_table.empty:
        yield from _table(
            "searches of the main table | searches | Delta_m, % | regret: mean; median (range)",
            (
                f"{name} | {len(rows)} | {rows['delta_m'].median():.1f} | {_regret(rows['regret'])}"
                for name, rows in main_table.groupby("system", sort=False)
            ),
        )
    costs = " | ".join(f"{cost}" for cost in SHOWN_COSTS)
    yield from _table(
        f"by trials: regret after so many trainings, median (5 to 95 %) | searches | {costs}",
        (_lookup(str(name), rows) for name, rows in by_trials.groupby("method", sort=False)),
    )
    yield from _table(
        "to compare with | Delta_m, % | regret | percentile",
        (
            f"{name} | {row['delta_m']:.1f} | {row['regret']:.2f} | {row['percentile']:.0f}"
            for name, row in known.iterrows()
        ),
    )
    if limit is not None:
        yield from _table(
            "limit, times the baseline's latency | configs within it | the best, % | the best kind everywhere, % | the median, %",
            (
                f"{limit:.2f} | {row['configs']} | {row['best']:.1f} | {row['kind']:.1f} ({row['name']}) | {row['median']:.1f}"
                for limit, row in at_limits(bench, SHARES).iterrows()
            ),
        )
    if taus.empty:
        return
    yield from _table(
        "Kendall's tau of a supernet's scores with the table | of | seeds | mean | lowest | highest",
        (
            f"{method} | {of} | {len(rows)} | {rows.mean():.2f} | {rows.min():.2f} | {rows.max():.2f}"
            for (method, of), rows in taus.groupby(["method", "of"], sort=False)["tau"]
        ),
    )


def _kept_to(searches: pd.DataFrame) -> str:
    over = searches.loc[searches["over"] > 0, "over"]
    kept = (
        f"{len(searches) - len(over)} of {len(searches)} searches with a supernet kept to it, as their config was timed"
    )
    return f"{kept}." if over.empty else f"{kept}; the others are over it by at most {over.max():.1%}."


def _supernet(name: str, rows: pd.DataFrame) -> str:
    middle = rows[["cost", "delta_m", "regret", "percentile", "committed", "undecided"]].median()
    steps = ", ".join(map(str, sorted(set(rows["steps"]))))
    return (
        f"{name} | {len(rows)} | {steps} | {middle['cost']:.1f} | {middle['delta_m']:.1f} | "
        f"{_regret(rows['regret'])} | "
        f"{middle['percentile']:.0f} ({rows['percentile'].min():.0f}) | "
        f"{rows['committed'].mean():.1f} of 4 | {rows['undecided'].mean():.1f}"
    )


def _regret(values: pd.Series) -> str:
    return f"{values.mean():.2f}; {values.median():.2f} ({values.min():.2f} to {values.max():.2f})"


def _lookup(name: str, rows: pd.DataFrame) -> str:
    at = rows.set_index("cost")
    cells = (
        f"{at.loc[cost, 'regret_50']:.2f} ({at.loc[cost, 'regret_5']:.2f} to {at.loc[cost, 'regret_95']:.2f})"
        for cost in SHOWN_COSTS
    )
    return f"{name} | {rows['searches'].iloc[0]} | {' | '.join(cells)}"


def _table(head: str, rows: Iterator[str]) -> Iterator[str]:
    yield ""
    yield f"| {head} |"
    yield "|---" * (head.count("|") + 1) + "|"
    yield from (f"| {row} |" for row in rows)


def main() -> None:
    for question in QUESTIONS:
        path = question.searches
        if not (path.is_file() and question.lookups.is_file()):
            continue
        bench = load(question.table)
        limit = latency_limit(bench) if question.within_latency else None
        searches, by_trials = supernets(bench, path, limit), lookups(question.lookups)
        named = {} if limit is None else {BY_COSTS: best_allowed(limits_for(question, bench), bench)}
        known = references(bench, limit, named)
        half = "" if limit is None else f", configs up to {limit:.2f} times the baseline's latency"
        figure = draw(f"Regret against cost, {question.table}{half}", searches, by_trials, known["regret"].iloc[-1])
        print(canvas.save(figure, FIGURES / f"{question.name}.png"))
        main_table = of_main_table(bench, question.table) if limit is None else pd.DataFrame()
        lines = markdown(bench, searches, by_trials, known, agreement(bench, path), main_table, limit)
        write(SEARCH_QUALITY, question.name.replace("_", "-"), "\n".join(lines))
    write(SEARCH_QUALITY, "other-images", "\n".join(other_images.lines()))


if __name__ == "__main__":
    main()
