"""Where the fixed network's time goes, beside the reference structure: `python -m analysis.bench.parts`.

Training steps of both, ours in inference (BatchNorm folded), and the multiply-adds of one forward pass: the multi-task
baseline has task features and prediction heads alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from analysis.bench.counting import multiply_adds
from analysis.bench.heads import PRESET, GivenFeatures, Setup, in_reference_structure, neck_features, network, preset
from analysis.bench.measure import Step, backward, begin, inference, interleaved
from analysis.bench.rows import channels_last
from atrcnas.nn.fold import fold_batch_norm
from atrcnas.spec.pairs import BASE_LEVEL


def forward_of(heads: GivenFeatures, x: Tensor) -> dict[str, Step]:
    """Forward of each part alone, without gradients."""
    with torch.inference_mode():
        own = heads.task_features(x)
        labels = {task: branch(x) for task, branch in heads.labels.items()}

    return {
        "task features": inference(lambda: heads.task_features(x)),
        "label branches": inference(lambda: [branch(x) for branch in heads.labels.values()]),
        "contexts": inference(lambda: heads.refiner(own, labels, None, None)),
        "prediction heads": inference(lambda: [head({BASE_LEVEL: own[task]}) for task, head in heads.heads.items()]),
    }


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
    args = begin(__doc__, repeats=15)
    setup = Setup()
    net = network(setup, preset(setup, PRESET))
    x = neck_features(setup, net)
    ours, reference = steps_of(GivenFeatures(net), channels_last(x)), steps_of(in_reference_structure(net), x)
    deployed = forward_of(GivenFeatures(fold_batch_norm(net)), channels_last(x.detach()))
    print(f"{'':18s}{'step, ms':>10s}{'reference':>11s}{'inference, ms':>15s}{'G multiply-adds':>17s}")
    for part in ours:
        steps = {"ours": ours[part], "reference": reference[part], "deployed": deployed[part]}
        taken = interleaved(steps, "cpu", args.repeats, warmup=2)
        step, other, forward = (1e3 * taken[name]["median_s"] for name in steps)
        print(f"{part:18s}{step:10.1f}{other:11.1f}{forward:15.1f}{multiply_adds(deployed[part]) / 1e9:17.2f}")


if __name__ == "__main__":
    main()
