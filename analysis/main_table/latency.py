"""Time the networks of a main table in turns, so that a change of the machine's pace meets all alike.

python -m analysis.main_table.latency rooms-small [--rounds 200]

One image, one thread; a median per network, as an exported file in ONNX Runtime and eager in PyTorch. Processor time of that
thread, which other programs on the machine do not interrupt. Only shapes matter for time: weights are as
they start. Writes analysis/results/main_table_latency_SETTING.csv anew.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.filling import read
from analysis.main_table.rows import kinds_of, rows_of
from analysis.main_table.settings import SETTINGS, Setting
from analysis.main_table.systems import BASELINE, DRAWN, SINGLE, System, group_of, systems
from atrcnas.runs.tables import Columns, Table
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment

FORM: Columns = {"system": str, "config": str, "runtime": str, "latency_ms": float, "low": float, "high": float}
RUNTIMES = ("onnxruntime", "eager")
WARM_UP = 5
LATENCY = "main_table_latency"


def networks(setting: Setting) -> Iterator[tuple[str, str]]:
    """Each network of the table once, without the random ones: its system and config."""
    rows = rows_of(setting)
    named = rows[~rows["system"].map(group_of).isin((*DRAWN, SINGLE))]
    yield from named[["system", "config"]].drop_duplicates().itertuples(index=False, name=None)


def contexts_of(system: System, config: str, experiment: Experiment) -> ContextConfig:
    """The context config of a row."""
    return system.contexts or ContextConfig.from_kinds(kinds_of(config, experiment.tasks))


def measure(setting: Setting, rounds: int) -> list[tuple[object, ...]]:
    """A row per network and runtime: the median, and the range of the middle 80 %, milliseconds."""
    import torch

    from atrcnas.deploy.export import export
    from atrcnas.deploy.loading import load_exported
    from atrcnas.engine.networks import fixed_network, with_model_of
    from atrcnas.engine.recalibrate import give_statistics
    from atrcnas.nn.fold import fold_batch_norm, inference_copy

    torch.set_num_threads(1)
    experiment = setting.experiment(["backbone.weights=none"])
    known, (height, width) = systems(setting), setting.image_size
    image, runs = torch.rand(1, 3, height, width), {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, config) in enumerate(networks(setting)):
            changed = experiment.replace(**known[name].changes)
            contexts = contexts_of(known[name], config, changed)
            net = fixed_network(with_model_of(changed, contexts), contexts)
            give_statistics(net, torch.rand(2, 3, height, width))
            path = Path(folder) / f"{number}.onnx"
            export(net, (height, width), path, tolerance=1e-2)  # what is timed need not be exact
            runs[name, config, "onnxruntime"] = load_exported(path, trusted=True).run
            runs[name, config, "eager"] = fold_batch_norm(inference_copy(net), (height, width))
            print(f"{name} {config}", file=sys.stderr, flush=True)
    taken: dict[tuple[str, str, str], list[float]] = {key: [] for key in runs}
    with torch.inference_mode():
        for _ in range(WARM_UP + rounds):
            for key, run in runs.items():
                run(image)  # what others left in the processor's caches is not what a network in use finds there
                began = time.thread_time()
                run(image)
                taken[key].append(1e3 * (time.thread_time() - began))
    return [
        (*key, *(round(float(np.quantile(values[WARM_UP:], share)), 4) for share in (0.5, 0.1, 0.9)))
        for key, values in taken.items()
    ]


def by_system(setting: Setting) -> pd.DataFrame:
    """Median latency of each system (rows) and runtime (columns), ms: the mean over the configs its searches found."""
    by = read(setting.file(LATENCY), FORM).groupby(["system", "runtime"], sort=False)["latency_ms"]
    return by.mean().unstack("runtime").reindex(columns=list(RUNTIMES))


def slowest(setting: Setting, runtime: str) -> pd.Series:
    """Median latency of the slowest network of each system, ms; empty before anything is timed."""
    table = read(setting.file(LATENCY), FORM)
    return table[table["runtime"] == runtime].groupby("system")["latency_ms"].max()


def lines(setting: Setting) -> Iterator[str]:
    """Each system's latency, and how many times the baseline's it is."""
    table = by_system(setting)
    if table.empty:
        yield "Not measured yet."
        return
    yield "| | ONNX Runtime, ms | of the baseline | PyTorch, ms | of the baseline |"
    yield "|---|---|---|---|---|"
    for name, row in table.iterrows():
        cells = [f"{row[key]:.2f} | {row[key] / table.loc[BASELINE, key]:.2f}" for key in RUNTIMES]
        yield f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("setting", choices=list(SETTINGS))
    parser.add_argument("--rounds", type=int, default=200)
    args = parser.parse_args()
    setting = SETTINGS[args.setting]
    Table(setting.file(LATENCY), tuple(FORM)).begin(measure(setting, args.rounds))


if __name__ == "__main__":
    main()
