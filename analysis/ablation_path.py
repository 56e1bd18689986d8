"""From no contexts to a config, one pair at a time, each time the pair that helps most: what each step is worth.

python -m analysis.ablation_path local.global/global.local --out analysis/results/ablation_path.csv
python -m analysis.ablation_path RUN --out analysis/results/ablation_path.csv

A config of `rooms-small` is looked up in ContextBench: networks trained from scratch, Delta_m put together from the rows of
both targets over all trainings that have them. A run keeps the weights it was trained with; it is scored on what choices
are made on. Each step counts from the network with no contexts at the beginning of the path: in percentage points of
Delta_m over the multi-task baseline in ContextBench, in percent of that network's own scores in a run. Writes the table
and, beside it, the figure.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from atrcnas.contextbench import Bench, load
from atrcnas.contextbench.table import parse, spell
from atrcnas.objectives.gain import multi_task_gain
from atrcnas.plots import canvas
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.tables import Columns, Table, read_table
from atrcnas.spec.kinds import NONE
from atrcnas.spec.pairs import Pair

FORM: Columns = {"source": str, "step": int, "pair": str, "kind": str, "gain": float, "error": float}
TRAINED, INHERITED = "trained from scratch", "inherited weights"
Kinds = Mapping[Pair, str]
Steps = list[tuple[Pair | None, float]]


def greedy(answer: Kinds, value: Callable[[Kinds], float]) -> Steps:
    """The pair that was added at each step, None at the beginning, and the value then.

    Args:
        answer: kinds at the end of the path; pairs of kind ``none`` are no steps.
        value: of a config; higher is better.
    """
    now: dict[Pair, str] = dict.fromkeys(answer, NONE)
    steps: Steps = [(None, value(now))]
    left = [pair for pair, kind in answer.items() if kind != NONE]
    while left:
        values = {pair: value({**now, pair: answer[pair]}) for pair in left}
        best = max(left, key=values.__getitem__)
        now[best] = answer[best]
        left.remove(best)
        steps.append((best, values[best]))
    return steps


def of_table(bench: Bench, answer: Kinds) -> pd.DataFrame:
    """The path by trained rows; ``error`` is the standard error of a difference to the beginning."""
    delta_m = bench.ranking()["delta_m"]
    start = delta_m[spell(dict.fromkeys(answer, NONE), bench.pools)]
    seeds = bench.contexts.index.get_level_values("seed").nunique()
    error = float(bench.noise()["delta_m.full"]) * (2 / seeds) ** 0.5
    steps = greedy(answer, lambda kinds: float(delta_m[spell(kinds, bench.pools)] - start))
    return _rows(TRAINED, answer, steps, error)


def of_run(run: Path) -> pd.DataFrame:
    """The path by the weights of a run."""
    from atrcnas.engine.importance import ablation_of  # torch, which the tables and figures do without
    from atrcnas.engine.networks import load_network

    folder = RunFolder(run)
    ablation, _ = ablation_of(folder.load_experiment(), load_network(folder))
    answer = ablation.kinds
    reference = ablation.scores(dict.fromkeys(answer, NONE))

    def value(kinds: Kinds) -> float:
        return multi_task_gain(ablation.scores(kinds), reference, ablation.tasks.values())

    return _rows(INHERITED, answer, greedy(answer, value), 0.0)


def _rows(source: str, answer: Kinds, steps: Steps, error: float) -> pd.DataFrame:
    rows = [
        (source, number, str(pair or ""), answer[pair] if pair else "", gain, error if pair else 0.0)
        for number, (pair, gain) in enumerate(steps)
    ]
    return pd.DataFrame(rows, columns=list(FORM))


def lines(table: pd.DataFrame) -> Iterator[str]:
    """The table of :func:`main`, in Markdown."""
    yield "| | step | pair | kind | gain over no contexts, % |"
    yield "|---|---|---|---|---|"
    for row in table.sort_values("source", ascending=False, kind="stable").itertuples():
        error = f" ± {row.error:.1f}" if row.error else ""
        yield f"| {row.source} | {row.step} | {row.pair} | {row.kind} | {row.gain:+.1f}{error} |"


def draw(table: pd.DataFrame) -> Figure:
    """Delta_m along the paths, each step named by its pair and kind."""
    sources = [source for source in (TRAINED, INHERITED) if (table["source"] == source).any()]
    figure, panels = canvas.panels("From no contexts to the config, one pair at a time", len(sources), 2, (3.6, 2.6))
    for axes, source in zip(panels, sources, strict=True):
        path = table[table["source"] == source]
        axes.errorbar(path["step"], path["gain"], path["error"], fmt="o-", color=canvas.INK, capsize=2)
        names = ["no\ncontexts", *(f"{row.pair}\n{row.kind}" for row in path.iloc[1:].itertuples())]
        axes.set_xticks(path["step"], [name.replace("<-", "\n<- ") for name in names])
        axes.set_title(source)
        axes.set_ylabel("gain in Delta_m over no contexts, %")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("answer", help="a config of rooms-small as ContextBench spells it, or a run folder")
    parser.add_argument("--out", type=Path, required=True, help="table; a path of the same source is replaced in it")
    args = parser.parse_args()
    run, bench = Path(args.answer), load("rooms-small")
    found = of_run(run) if run.is_dir() else of_table(bench, parse(args.answer, bench.pools))
    others = read_table(args.out, FORM) if args.out.is_file() else found.iloc[:0]
    table = pd.concat([others[others["source"] != found["source"].iloc[0]], found])
    Table(args.out, FORM).begin(table.itertuples(index=False, name=None))
    with canvas.styled():
        print(canvas.save(draw(table), args.out.with_suffix(".png")))


if __name__ == "__main__":
    main()
