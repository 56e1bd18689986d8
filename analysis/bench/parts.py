"""Where the fixed network's step spends its time, beside the reference structure: `python -m analysis.bench.parts`.

Task features and label branches are the same convolutions in both; only the contexts differ.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn

from analysis.bench.heads import GivenFeatures, Setup, in_reference_structure, neck_features, network
from analysis.bench.measure import Step, interleaved
from analysis.bench.rows import PRESET, channels_last, preset
from atrcnas.engine.devices import keep_freed_memory
from atrcnas.spec.pairs import BASE_LEVEL


def backward(outs: list[Tensor]) -> None:
    torch.autograd.backward(outs, [torch.ones_like(out) for out in outs])


def steps_of(heads: GivenFeatures, x: Tensor) -> dict[str, Step]:
    """Forward and backward of each part alone."""

    def each(modules: nn.ModuleDict) -> dict[str, Tensor]:
        return {task: module(x) for task, module in modules.items()}

    own, labels = (
        {task: out.detach().requires_grad_() for task, out in maps.items()}
        for maps in (heads.task_features(x), each(heads.labels))
    )
    return {
        "task features": lambda turn: backward(list(heads.task_features(x).values())),
        "label branches": lambda turn: backward(list(each(heads.labels).values())),
        "contexts": lambda turn: backward(list(heads.refiner(own, labels, None, None).values())),
        "prediction heads": lambda turn: backward(
            [head({BASE_LEVEL: own[task]}) for task, head in heads.heads.items()]
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    setup = Setup()
    net = network(setup, preset(setup, PRESET))
    x = neck_features(setup, net)
    ours, reference = steps_of(GivenFeatures(net), channels_last(x)), steps_of(in_reference_structure(net), x)
    print(f"{'part (ms, forward and backward)':34s} {'ours':>8s} {'reference':>10s}")
    for part in ours:
        taken = interleaved({"ours": ours[part], "reference": reference[part]}, "cpu", args.repeats, warmup=2)
        print(f"{part:34s} {1e3 * taken['ours']['median_s']:8.1f} {1e3 * taken['reference']['median_s']:10.1f}")


if __name__ == "__main__":
    main()
