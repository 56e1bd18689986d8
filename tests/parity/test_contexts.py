"""Each attention kind against the reference's numbers: outputs, gradients, running statistics, label probabilities."""

from __future__ import annotations

import pytest
import torch
from make_fixtures import ATTENTION, DATA, PROBABILITY, below, unpack
from safetensors.torch import load_file
from torch import Tensor

from atrcnas.ground.registry import resolve
from atrcnas.nn.atrc_weights import load_context
from atrcnas.nn.contexts.base import Context, ContextInputs, spatial_softmax
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.pairs import Pair

EXACT = {"rtol": 0.0, "atol": 1e-9}
LAYERS = {
    "query_project.0": "query.first",
    "query_project.1": "query.second",
    "key_project.0": "key.first",
    "key_project.1": "key.second",
    "value_project": "value.first",
}


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(DATA / "contexts.safetensors")


def build(kind: str, record: dict[str, Tensor]) -> Context:
    module = resolve(KINDS[kind].module)([Pair("a", "b")], 12, 6, searching=False).double()
    load_context(module, 0, unpack(record), "state.")
    return module


def inputs_of(kind: str, record: dict[str, Tensor], batch: int = 2) -> tuple[ContextInputs, Tensor, Tensor]:
    target, source = (record[name][:batch].clone().requires_grad_() for name in ("target", "source"))
    labels = {}
    if kind in PROBABILITY:
        probability = record[PROBABILITY[kind]][:batch]
        logits = probability.log().reshape(batch, -1, *target.shape[2:])  # whose spatial softmax it is
        labels = {"a" if kind == "tlabel" else "b": logits}
    return ContextInputs({"a": target, "b": source}, labels, None), target, source


@pytest.mark.parametrize("kind", ATTENTION)
def test_training_step_equals_the_reference(golden: dict[str, Tensor], kind: str) -> None:
    record = below(golden, f"{kind}.")
    context = build(kind, record).train()
    inputs, target, source = inputs_of(kind, record)
    (out,) = context(inputs, (0,))
    out.backward(record["cotangent"])
    torch.testing.assert_close(out, record["out_train"], **EXACT)
    torch.testing.assert_close(target.grad, record["grad_target"], **EXACT)
    torch.testing.assert_close(source.grad, record["grad_source"], **EXACT)
    for theirs, ours in LAYERS.items():
        layer = context.get_submodule(ours)
        torch.testing.assert_close(torch.stack([layer.mean, layer.var], 1), record[f"after.{theirs}.mean_var"], **EXACT)


@pytest.mark.parametrize("kind", ATTENTION)
def test_evaluation_equals_the_reference(golden: dict[str, Tensor], kind: str) -> None:
    record = below(golden, f"{kind}.")
    context = build(kind, record).eval()
    with torch.no_grad():
        for theirs, ours in LAYERS.items():
            layer = context.get_submodule(ours)
            layer.mean.copy_(record[f"after.{theirs}.mean_var"][:, 0])
            layer.var.copy_(record[f"after.{theirs}.mean_var"][:, 1])
    inputs, _, _ = inputs_of(kind, record, batch=1)
    torch.testing.assert_close(context(inputs, (0,))[0], record["out_eval"], **EXACT)


def test_fixture_covers_every_kind_the_reference_has_and_one_module_each() -> None:
    coded = {kind.name for kind in KINDS if kind.reference_code}
    assert coded == set(ATTENTION)


def test_label_probabilities_equal_the_reference_with_partly_and_wholly_ignored_images() -> None:
    record = load_file(DATA / "label_probability.safetensors")
    share = record["valid"].double().mean((1, 2, 3))
    assert 0 < share[0] < 1, "the first image is partly ignored"
    assert share[1] == 0, "the second image is wholly ignored"
    logits = record["pred"].clone()
    out = spatial_softmax(logits, record["valid"][..., ::4, ::4])
    torch.testing.assert_close(out, record["prob"], **EXACT)
    assert torch.equal(logits, record["pred"]), "the logits were written to"
