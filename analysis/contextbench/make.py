"""Train the configs of a ContextBench table, one row after the other.

python -m analysis.contextbench.make rooms-small                     on every core
python -m analysis.contextbench.make rooms-small --workers 1 --rows 85
python -m analysis.contextbench.make camvid-small --root PATH/TO/camvid_small

Started again it goes on where it was, and several processes may work on one table: each row is claimed by a lock that
ends with its process. Rows come in this order: for each seed the baseline and the factored design (every row of every
target), then the other configs in random order, each with one seed, then, if they are to have more, with a second one,
and so on. Which tables there are says :mod:`atrcnas.contextbench.designs`; photographs are read from `--root`.
"""

from __future__ import annotations

import argparse
import fcntl
import multiprocessing
import os
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from analysis.contextbench.one_run import FIXED, contexts_of, rendered, run
from analysis.filling import read
from atrcnas.contextbench.bench import table_path
from atrcnas.contextbench.designs import Design, design
from atrcnas.contextbench.table import BASELINE, Pools, all_configs, columns, factored
from atrcnas.data.caching import Cached
from atrcnas.runs.tables import Table
from atrcnas.spec.experiment import Experiment

Entry = tuple[str, int]
_APPEND = 10**6  # the byte that is locked while a row is written; those before it claim the entries of the plan


def plan(pools: Pools, asked: Design) -> list[Entry]:
    """Every (config, seed) in the order of training."""
    seeds, first = range(asked.seeds), [BASELINE, *factored(pools)]
    others = sorted(set(all_configs(pools)) - set(first)) if asked.others != 0 else []
    random.Random(0).shuffle(others)
    turns = range(asked.seeds if asked.others is None else 1)
    later = [
        (config, seeds[(place + turn) % len(seeds)])
        for turn in turns
        for place, config in enumerate(others[: asked.others])
    ]
    return [(config, seed) for seed in seeds for config in first] + later


def trained_by(table: str, root: Path | None = None) -> Experiment:
    """The experiment of a table as its rows are trained; photographs are read from ``root``."""
    experiment = design(table).experiment(table, FIXED)
    if root is None:
        return experiment
    return experiment.replace(data={"options": {**experiment.data.options, "root": str(root)}})


class Claims:
    """Byte locks on a file beside the table: they end with their process, however it ends."""

    def __init__(self, table: Path) -> None:
        table.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(table.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o666)

    def claim(self, place: int) -> bool:
        """Whether this entry of the plan is now ours."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError:
            return False
        return True

    def release(self, place: int) -> None:
        """Leave an entry to others."""
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    def begin_append(self) -> None:
        """Wait until no other process is writing."""
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, _APPEND)


class Writer:
    """The table on disk, shared by several processes."""

    def __init__(self, path: Path, experiment: Experiment) -> None:
        self.columns = columns(experiment.predicted_tasks())
        self.path, self.table, self.claims = path, Table(path, self.columns), Claims(path)

    def done(self) -> set[Entry]:
        """What is trained."""
        rows = read(self.path, self.columns)
        return set(zip(rows["config"], rows["seed"], strict=True))

    def append(self, row: dict[str, object]) -> None:
        """Add a row in one write, behind the last whole line."""
        self.claims.begin_append()
        try:
            if not self.path.is_file():
                self.table.begin()
            self.table.cut(self.path.read_bytes().rfind(b"\n") + 1)
            self.table.append([tuple(row[name] for name in self.columns)])
        finally:
            self.claims.release(_APPEND)

    def left(self, entries: Sequence[Entry]) -> Iterator[Entry]:
        """Entries that nobody has trained or is training, each claimed until the next one is asked for."""
        done = self.done()
        for place, entry in enumerate(entries):
            if entry in done or not self.claims.claim(place):
                continue
            try:
                done = self.done()  # another process may have let go of it a moment ago
                if entry not in done:
                    yield entry
            finally:
                self.claims.release(place)


def work(experiment: Experiment, out: Path, entries: Sequence[Entry], data: tuple[Cached, Cached]) -> None:
    """Train what is left, on one thread."""
    torch.set_num_threads(1)
    writer, pools = Writer(out, experiment), experiment.search_space().pools(experiment.tasks)
    for config, seed in writer.left(entries):
        row = run(experiment.replace(seed=seed), contexts_of(config, pools), data)
        writer.append({"config": config, "seed": seed, **row})
        print(f"{len(writer.done())} of {len(entries)}: {config} seed {seed}, {row['seconds']} s", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", help="one of those in designs.py, such as rooms-small")
    parser.add_argument("--out", type=Path, help="the file [default: the one in the package]")
    parser.add_argument("--root", type=Path, help="folder of the photographs [default: that of the experiment]")
    parser.add_argument("--rows", type=int, help="stop at so many entries of the plan [default: all]")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes of one thread each")
    args = parser.parse_args()
    experiment = trained_by(args.table, args.root)
    pools = experiment.search_space().pools(experiment.tasks)
    entries = plan(pools, design(args.table))[: args.rows]
    out = args.out or table_path(experiment.name)
    # Forked processes share what was rendered.
    processes = multiprocessing.get_context("fork")
    given = (experiment, out, entries, rendered(experiment))
    workers = [processes.Process(target=work, args=given) for _ in range(args.workers)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sys.exit(max(abs(worker.exitcode or 0) for worker in workers))


if __name__ == "__main__":
    main()
