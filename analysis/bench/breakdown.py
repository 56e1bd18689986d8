"""Where the time of a soft search step goes, by part and by operator: `python -m analysis.bench.breakdown`.

Backward operators count for the part whose forward operator they belong to.
"""

from __future__ import annotations

import os

# The profiler would otherwise talk on stderr.
os.environ.setdefault("KINETO_LOG_LEVEL", "9")

from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

from analysis.bench.heads import GivenFeatures, Setup, neck_features, network
from analysis.bench.measure import begin
from analysis.bench.rows import channels_last, training_step
from atrcnas.engine.loop import MARK
from atrcnas.launch.profiling import by_part, mark
from atrcnas.nn.blocks import PairConvBN
from atrcnas.nn.contexts.base import Context, Projection
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.space import SearchSpace

OTHER = "mixing, sampler, accumulation"


def part_of(name: str, module: nn.Module) -> str | None:
    """The part a module's operators belong to, None for what its parent's do."""
    if isinstance(module, Context):
        return f"attention {name.rsplit('.', 1)[-1].removesuffix('_')}"
    if isinstance(module, Projection | PairConvBN):
        return f"projections {name.split('.')[2].removesuffix('_')}"
    place = name.split(".")
    if name.startswith("refiner.fuse.") and len(place) == 3:
        return "fuse"
    if name == "stems":
        return "task features (3x3)"
    tops = {"labels": "label branches", "heads": "prediction heads"}
    return tops.get(place[0]) if len(place) == 2 else None


def main() -> None:
    args = begin(__doc__, steps=5)
    setup = Setup()
    pools = SearchSpace.load("atrc").pools(setup.tasks)
    net, sampler = network(setup, pools), Sampler(pools)
    heads = GivenFeatures(net)
    mark(heads, part_of)
    step = training_step(heads, channels_last(neck_features(setup, net)), sampler)
    step(0)
    step(1)
    with profile(activities=[ProfilerActivity.CPU]) as record:
        for turn in range(args.steps):
            with record_function(MARK + OTHER):
                step(turn)
    totals = by_part(record.events(), lambda event: event.self_cpu_time_total, OTHER)
    whole = sum(sum(ways.values()) for ways in totals.values())
    print(f"{whole / 1000 / args.steps:.1f} ms per step under the profiler, {args.threads} threads")
    for part, ways in sorted(totals.items(), key=lambda item: -sum(item[1].values())):
        milliseconds = [ways[way] / 1000 / args.steps for way in ("forward", "backward")]
        print(f"{part:32s} {100 * sum(ways.values()) / whole:5.1f} %  {milliseconds[0]:7.2f} {milliseconds[1]:7.2f} ms")
    print(record.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=60))


if __name__ == "__main__":
    main()
