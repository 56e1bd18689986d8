"""Search `rooms-small` with a supernet, method after method, seed after seed.

python -m analysis.search_quality.run --minutes 9                    what is left, as far as it gets
python -m analysis.search_quality.run --strategy paired --seed 3     one search

Started again it goes on where it was. Each search adds a row to analysis/results/search_quality.csv; what `rows` and
`oneshot-random` scored goes to search_quality_scores.csv.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from analysis.search_quality.supernets import METHODS, Found, run
from analysis.search_quality.tables import COLUMNS, RESULTS, SCORES, scores_of
from atrcnas.runs.tables import Table, read_table

STEPS = 400
SUPERNETS = Path("runs/search_quality")


def left(out: Path, methods: list[str], seeds: list[int]) -> Iterator[tuple[str, int]]:
    """Searches without a row, a seed of every method before the next seed."""
    done = set[tuple[str, int]]()
    if out.is_file():
        rows = read_table(out, COLUMNS)
        done = set(zip(rows["method"], rows["seed"], strict=True))
    for seed, method in itertools.product(seeds, methods):
        if (method, seed) not in done:
            yield method, seed


def write(out: Path, method: str, seed: int, found: Found) -> None:
    """Add a search to both tables."""
    scores = Table(scores_of(out), SCORES)
    for table in (Table(out, COLUMNS), scores):
        if not table.path.is_file():
            table.begin()
    scores.append((method, seed, config, *by.values(), score) for config, by, score in found.scores)
    row = (method, seed, found.steps, found.seconds, found.config, found.committed, found.undecided)
    Table(out, COLUMNS).append([row])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategy", choices=list(METHODS), help="[default: all]")
    parser.add_argument("--seed", type=int, help="[default: 0 to 9]")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no search after so many")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("overrides", nargs="*", help="key=value, changes of the experiment; take another --out then")
    args = parser.parse_args()
    torch.set_num_threads(1)
    began, methods = time.monotonic(), [args.strategy] if args.strategy else list(METHODS)
    overrides = [f"search.steps={STEPS}", f"search.validate_every={STEPS}", *args.overrides]
    for method, seed in left(args.out, methods, [args.seed] if args.seed is not None else list(range(10))):
        if time.monotonic() - began > 60 * args.minutes:
            break
        found = run(method, seed, SUPERNETS / args.out.stem / str(seed), overrides)
        write(args.out, method, seed, found)
        print(f"{method} seed {seed}: {found.config}, {found.seconds} s", file=sys.stderr)


if __name__ == "__main__":
    main()
