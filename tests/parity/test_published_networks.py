"""Whole networks of other task counts and image sizes against what the published code predicted (record_published.py)."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from cases import CASES, CHANNELS, FIXTURE, LABELS, Case, filled, image_of, sampled
from mti_names import names
from published import state_of
from safetensors.torch import load_file
from torch import Tensor

from atrcnas.nn.atrc_weights import load_network
from atrcnas.nn.net import MultiTaskNet, Outputs
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.model import BackboneSpec, ModelSpec
from atrcnas.spec.pairs import Pair, all_pairs
from atrcnas.spec.tasks import TASKS, Task

EXACT = {"rtol": 0.0, "atol": 1e-9}
BACKBONE = BackboneSpec(name="hrnet_w18_small_v2", upsample="bilinear")
CODES = {kind.reference_code: kind.name for kind in KINDS if kind.reference_code is not None}
THEIRS = [case for case in CASES if case.network in ("atrc", "baseline")]
PRESETS = [case for case in CASES if case.network in ("mti-net", "pad-net")]


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return load_file(FIXTURE)


def records(tasks: tuple[str, ...]) -> dict[str, Task]:
    found = {name: TASKS[name].with_options(CHANNELS[name] if TASKS[name].channels is None else None) for name in tasks}
    assert {name: (task.num_channels, task.num_labels) for name, task in found.items()} == {
        name: (CHANNELS[name], LABELS[name]) for name in tasks
    }
    return found


def atrc(case: Case) -> MultiTaskNet:
    """Filled through the reader of published checkpoints."""
    kinds = {Pair(t, s): (CODES[code],) for t, row in case.genotype.items() for s, code in row.items()}
    plain = case.network == "baseline"
    model = ModelSpec(refine=not plain)
    candidates = dict.fromkeys(all_pairs(case.tasks, (4,)), ("none",)) if plain else kinds
    net = MultiTaskNet(records(case.tasks), candidates, BACKBONE, model).double().eval()
    state = state_of(net, case.tasks)
    load_network(net, {name: filled(name, x.shape) if x.is_floating_point() else x for name, x in state.items()})
    return net


@torch.no_grad()
def distilling(case: Case) -> MultiTaskNet:
    """The preset of that name, filled by published names."""
    config = ContextConfig.load(case.network)
    kinds = config.kinds(case.tasks, case.everyone)
    model = ModelSpec(**config.model.given())
    candidates = {pair: (kind,) for pair, kind in kinds.items()}
    net = MultiTaskNet(records(case.tasks), candidates, BACKBONE, model, records(case.auxiliary)).double().eval()
    ours = names(net)
    biases = {name: mean for name, mean in ours.items() if name.endswith("last_layer.0.bias")}
    number = sum(value.numel() for value in net.state_dict().values() if value.is_floating_point())
    assert sum(x.numel() for name, x in ours.items() if name not in biases) == number, "every tensor has a name"
    for name, x in ours.items():
        if name not in biases:
            x.copy_(filled(name, x.shape))
    for name, mean in biases.items():
        mean -= filled(name, mean.shape)
    return net


def check(case: Case, outputs: Outputs, recorded: dict[str, Tensor]) -> None:
    got = {f"{case.name}.{task}": x for task, x in outputs.predictions.items()}
    for (task, _), logits in outputs.labels.items():
        full = F.interpolate(logits, size=case.size, mode="bilinear", align_corners=False)
        got[f"{case.name}.labels.{task}"] = full
    got |= {f"{case.name}.initial.{task}.{level}": x for (task, level), x in outputs.initial.items()}
    expected = {name: x for name, x in recorded.items() if name.startswith(f"{case.name}.")}
    assert got.keys() == expected.keys()
    for name, x in expected.items():
        torch.testing.assert_close(sampled(got[name]), x, **EXACT)


@pytest.mark.parametrize("case", THEIRS, ids=lambda case: case.name)
def test_network_of_atrc_predicts_what_the_published_one_does(case: Case, recorded: dict[str, Tensor]) -> None:
    with torch.no_grad():
        check(case, atrc(case)(image_of(case)), recorded)


@pytest.mark.parametrize("case", PRESETS, ids=lambda case: case.name)
def test_preset_predicts_what_the_published_network_does(case: Case, recorded: dict[str, Tensor]) -> None:
    with torch.no_grad():
        check(case, distilling(case)(image_of(case)), recorded)


def test_fixture_stays_small_and_none_of_it_is_constant(recorded: dict[str, Tensor]) -> None:
    assert FIXTURE.stat().st_size < 400_000
    assert all(x.std() > 1e-3 for name, x in recorded.items() if x.numel() > x.shape[1])
