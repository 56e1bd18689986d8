"""PAD-Net's distillation and MTI-Net's feature propagation against the reference's numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from make_fixtures import DATA, PAD_TARGET, PROPAGATED, below
from safetensors.torch import load_file
from torch import Tensor, nn

from atrcnas.nn.blocks import ConvBN, Residual
from atrcnas.nn.propagate import Propagate
from atrcnas.nn.relations import ContextRefiner
from atrcnas.spec.pairs import Pair

EXACT = {"rtol": 0.0, "atol": 1e-9}
TASKS: list[str] = json.loads((DATA / "meta.json").read_text(encoding="utf-8"))["tasks"]
WIDTH = 16


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(DATA / "propagation.safetensors")


@torch.no_grad()
def fill(module: nn.Module, state: dict[str, Tensor], prefix: str) -> None:
    own = module.state_dict(keep_vars=True)
    for key, value in below(state, prefix).items():
        own[key].copy_(value)


@torch.no_grad()
def fill_conv_bn(block: ConvBN, state: dict[str, Tensor], conv: str, norm: str) -> None:
    fill(block[0], state, f"{conv}.")
    fill(block.norm, state, f"{norm}.")


def fill_block(block: Residual, state: dict[str, Tensor], prefix: str) -> None:
    fill_conv_bn(block.body[0], state, f"{prefix}conv1", f"{prefix}bn1")
    fill_conv_bn(block.body[1], state, f"{prefix}conv2", f"{prefix}bn2")
    if isinstance(block.shortcut, ConvBN):
        fill_conv_bn(block.shortcut, state, f"{prefix}downsample.0", f"{prefix}downsample.1")


def test_propagation_equals_the_reference(golden: dict[str, Tensor]) -> None:
    state = below(golden, "state.")
    propagate = Propagate(TASKS, WIDTH).double().eval()
    fill_block(propagate.mask[0], state, "non_linear.0.")
    fill_block(propagate.mask[1], state, "non_linear.1.")
    fill(propagate.mask[2], state, "non_linear.2.")
    fill_block(propagate.reduce, state, "dimensionality_reduction.")
    for task in TASKS:
        fill(propagate.excite[task].gate, state, f"se.{task}.squeeze.")
    out = propagate(below(golden, "features."))
    for task in PROPAGATED:
        torch.testing.assert_close(out[task], golden[f"out.{task}"], **EXACT)


def distil(features: dict[str, Tensor], state: dict[str, Tensor], target: str) -> Tensor:
    pairs = {Pair(target, source): ("none",) if source == target else ("mti",) for source in TASKS}
    refiner = ContextRefiner(pairs, WIDTH, fuse="sum", refine=False).double()
    context = refiner.contexts["mti_"]
    with torch.no_grad():
        for row, pair in enumerate(context.pairs):
            context.weight[row, 0] = state[f"{pair.source}.attention.0.weight"]
            context.weight[row, 1] = state[f"{pair.source}.conv.weight"]
    return refiner(features)[target]


def test_distillation_equals_the_reference(golden: dict[str, Tensor]) -> None:
    record = load_file(DATA / "distillation.safetensors")
    out = distil(below(golden, "features."), below(record, "state."), PAD_TARGET)
    torch.testing.assert_close(out, record["out"], **EXACT)


@pytest.mark.parametrize("target", TASKS)
def test_distillation_of_every_target_where_the_golden_files_are(golden_dir: Path | None, target: str) -> None:
    if golden_dir is None:
        pytest.skip("no shared/golden here")
    whole = load_file(golden_dir / "mti.safetensors")
    out = distil(below(whole, "pad.in.features_"), below(whole, f"pad.state.self_attention.{target}."), target)
    torch.testing.assert_close(out, whole[f"pad.out.{target}"], **EXACT)
