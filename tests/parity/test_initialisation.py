"""How the published networks start: logits almost zero, contexts silent, everything else as PyTorch has it.

Expected spreads are of the distributions themselves: N(0, s) has s, xavier's uniform sqrt(2 / (fan in + fan out)), and
PyTorch's default for a convolution, uniform within 1 / sqrt(fan in), has 1 / sqrt(3 fan in).
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.model import BackboneSpec, ModelSpec
from atrcnas.spec.pairs import Pair
from atrcnas.spec.tasks import TASKS

SPREAD = {"rel": 0.06}
WIDTH = 64


@pytest.fixture(scope="module")
def net() -> MultiTaskNet:
    torch.manual_seed(0)
    tasks = {"normals": TASKS["normals"], "depth": TASKS["depth"]}
    kinds = {Pair(t, s): ("slabel" if t != s else "tlabel",) for t in tasks for s in tasks}
    return MultiTaskNet(tasks, kinds, BackboneSpec(name="test_resnet"), ModelSpec(width=WIDTH))


def spread(weight: Tensor) -> float:
    assert abs(weight.mean().item()) < 0.1 * weight.std().item()
    return weight.std().item()


def fans(weight: Tensor) -> tuple[int, int]:
    return weight.shape[1] * weight[0, 0].numel(), weight.shape[0] * weight[0, 0].numel()


def test_label_logits_start_almost_at_zero(net: MultiTaskNet) -> None:
    for hidden, logits in net.labels["4"].values():
        assert spread(logits.weight) == pytest.approx(0.01, **SPREAD)
        assert not logits.bias.any()
        assert spread(hidden[0].weight) == pytest.approx(1 / math.sqrt(3 * fans(hidden[0].weight)[0]), **SPREAD)


def test_fusion_and_refinement_start_as_pytorch_has_it_and_contexts_silent(net: MultiTaskNet) -> None:
    for fuse in net.refiners["4"].fuse.values():
        for conv in (fuse.project[0], fuse.refine[0][0]):
            assert spread(conv.weight) == pytest.approx(1 / math.sqrt(3 * fans(conv.weight)[0]), **SPREAD)
        assert not fuse.project.norm.weight.any()
        assert not fuse.project.norm.bias.any()


def test_projections_of_contexts_start_as_xavier_has_it(net: MultiTaskNet) -> None:
    for context in net.refiners["4"].contexts.values():
        for part in (context.query.first, context.query.second, context.key.first, context.value.first):
            for weight in part.weight.split(part.out_width):
                assert spread(weight) == pytest.approx(math.sqrt(2 / sum(fans(weight))), **SPREAD)


def test_task_features_start_as_pytorch_has_it_and_predictions_almost_at_zero(net: MultiTaskNet) -> None:
    for name, head in net.heads.items():
        stem = net.stems["4"][name][0].weight
        assert spread(stem) == pytest.approx(1 / math.sqrt(3 * fans(stem)[0]), **SPREAD)
        assert head.body[-1].weight.std().item() == pytest.approx(0.01, rel=0.25)  # few weights
        assert not head.body[-1].bias.any()
