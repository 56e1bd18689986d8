"""Search the space of a ContextBench table with a supernet, method after method, seed after seed.

python -m analysis.search_quality.run --minutes 9                    what is left, as far as it gets
python -m analysis.search_quality.run --strategy paired --seed 3     one search
python -m analysis.search_quality.run --table rooms-small-wide       in the wider pool
python -m analysis.search_quality.run --latency                      among the faster half of the configs

Started again it goes on where it was. Each search adds a row to analysis/results/search_quality.csv (_wide.csv,
_latency.csv); what `rows` and `oneshot-random` scored goes to a file beside it, ending in _scores.csv.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from analysis.filling import begun, fill
from analysis.search_quality.limits import budget
from analysis.search_quality.supernets import METHODS, run
from analysis.search_quality.tables import COLUMNS, SCORES, add_question, asked_question, scores_of

STEPS = 400
SUPERNETS = Path("runs/search_quality")


def plan(methods: Sequence[str], seeds: Sequence[int]) -> list[tuple[str, int]]:
    """A seed of every method before the next seed."""
    return [(method, seed) for seed, method in itertools.product(seeds, methods)]


def search(method: str, seed: int, table: str, out: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Search once; what it scored is added to the table beside ``out``."""
    found = run(table, method, seed, SUPERNETS / out.stem / str(seed), overrides)
    scores = ((method, seed, config, *by.values(), score) for config, by, score in found.scores)
    begun(scores_of(out), SCORES).append(scores)
    return vars(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_question(parser)
    parser.add_argument("--strategy", choices=list(METHODS), help="[default: all]")
    parser.add_argument("--seed", type=int, help="[default: 0 to 9]")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no search after so many")
    parser.add_argument("--out", type=Path, help="[default: the file of the question]")
    parser.add_argument("overrides", nargs="*", help="key=value, changes of the experiment; take another --out then")
    args = parser.parse_args()
    torch.set_num_threads(1)
    question = asked_question(args)
    overrides = [f"search.steps={STEPS}", f"search.validate_every={STEPS}", *budget(question), *args.overrides]
    methods, seeds = (
        [args.strategy] if args.strategy else list(METHODS),
        range(10) if args.seed is None else [args.seed],
    )
    out = args.out or question.searches
    measure = functools.partial(search, table=question.table, out=out, overrides=overrides)
    for row in fill(out, COLUMNS, plan(methods, seeds), measure, args.minutes):
        print(f"{row['method']} seed {row['seed']}: {row['config']}, {row['seconds']} s", file=sys.stderr)


if __name__ == "__main__":
    main()
