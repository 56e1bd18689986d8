"""Cut the committed parity fixtures out of the golden files recorded from the reference implementations.

    python tests/parity/make_fixtures.py GOLDEN_DIR

Nothing is computed or rounded: tensors are copied (float64), and only what is redundant is left out.

- ``contexts``: all four attention kinds, one pair each, with state before and running statistics after one training
  step; the evaluation output of the first sample.
- ``label_probability``: the spatial softmax; of its image only where a pixel is not all 255.
- ``relations``: first sample of the batch (evaluation mode, so samples do not mix); the fixed module whole, of the
  supernet the targets in ``SEARCH_TARGETS`` (targets do not share weights).
- ``propagation``: first sample; MTI-Net's propagation whole, but only the ``PROPAGATED`` outputs.
- ``distillation``: first sample, same features; PAD-Net's distillation for ``PAD_TARGET``.

A convolution and its BatchNorm are one tensor [out, in + columns], ``NAME.conv_bn4`` (weight, bias, mean, var) or
``NAME.conv_bn2`` (mean, var), because a safetensors header spends more on five names than on their numbers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

State = dict[str, Tensor]

DATA = Path(__file__).parent / "data"
ATTENTION = ("global", "local", "tlabel", "slabel")
PROBABILITY = {"tlabel": "target_prob", "slabel": "source_prob"}
SEARCH_TARGETS = ("semseg", "depth")
PAD_TARGET = "semseg"
PROPAGATED = ("semseg", "edge")
_BATCHNORM = ("bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")


def below(state: Mapping[str, Tensor], prefix: str) -> State:
    """The entries under ``prefix``, without it."""
    return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}


def pack(state: Mapping[str, Tensor], prefix: str) -> State:
    """One tensor for each 1x1 convolution and BatchNorm under ``prefix``."""
    packed: State = {}
    for key in sorted(state):
        if key.startswith(prefix) and key.endswith("conv.weight"):
            name = key.removesuffix("conv.weight")
            columns = [state[name + part] for part in _BATCHNORM if name + part in state]
            packed[f"{name}conv_bn{len(columns)}"] = torch.cat([state[key].flatten(1), torch.stack(columns, 1)], dim=1)
    return packed


def unpack(packed: Mapping[str, Tensor]) -> State:
    """The inverse of :func:`pack`: state under the reference's names; other tensors are left out."""
    state: State = {}
    for key, value in packed.items():
        name, found, columns = key.rpartition("conv_bn")
        if found:
            width = value.shape[1] - int(columns)
            state[name + "conv.weight"] = value[:, :width, None, None]
            for part, column in zip(_BATCHNORM[-int(columns) :], value[:, width:].unbind(1), strict=True):
                state[name + part] = column
    return state


def cut_contexts(golden: Mapping[str, Tensor], meta: Mapping[str, object]) -> State:
    """Inputs, outputs, gradients, state of each attention kind; statistics [d, 2] (mean, var) after the step."""
    cut: State = {}
    for kind in ATTENTION:
        kept = ["source", "target", "cotangent", "out_train", "out_eval", "grad_source", "grad_target"]
        kept += [PROBABILITY[kind]] if kind in PROBABILITY else []
        cut |= {f"{kind}.{name}": golden[f"{kind}.{name}"] for name in kept}
        cut[f"{kind}.out_eval"] = cut[f"{kind}.out_eval"][:1]
        cut |= pack(golden, f"{kind}.state.")
        for key in sorted(golden):
            if key.startswith(f"{kind}.state_eval.") and key.endswith("running_mean"):
                name = key.removesuffix("bn.running_mean").replace(".state_eval.", ".after.")
                cut[name + "mean_var"] = torch.stack([golden[key], golden[key.replace("_mean", "_var")]], dim=1)
    return cut


def cut_label_probability(golden: Mapping[str, Tensor], meta: Mapping[str, object]) -> State:
    """Logits, probabilities, and where the image is not all 255, bool at image size."""
    valid = ~(golden["image"] == 255).all(1, keepdim=True)
    return {"pred": golden["pred"], "prob": golden["prob"], "valid": valid}


def cut_relations(golden: Mapping[str, Tensor], meta: Mapping[str, list[str]]) -> State:
    """Both modules read the same features and label logits."""
    cut: State = {"search.entropy_mean": golden["search.entropy_mean"]}
    for task in meta["tasks"]:
        for name in ("feats", "aux"):
            if not torch.equal(golden[f"fixed.{name}.{task}"], golden[f"search.{name}.{task}"]):
                raise ValueError(f"{name}.{task}: the fixed and the search module were given different inputs.")
            cut[f"{name}.{task}"] = golden[f"fixed.{name}.{task}"][:1]
        cut[f"fixed.out.{task}"] = golden[f"fixed.out.{task}"][:1]
        for source in meta["tasks"]:
            cut[f"search.arch.{task}.{source}"] = golden[f"search.state.cp_blocks.{task}.{source}.arch_param"]
    cut |= pack(golden, "fixed.state.")
    for target in SEARCH_TARGETS:
        for mixture in ("out_argmax", "out_soft_temp0.7"):
            cut[f"search.{mixture}.{target}"] = golden[f"search.{mixture}.{target}"][:1]
        for part in ("cp_blocks", "out_proj", "bottleneck"):
            cut |= pack(golden, f"search.state.{part}.{target}.")
    return cut


def cut_propagation(golden: Mapping[str, Tensor], meta: Mapping[str, list[str]]) -> State:
    """Features of all tasks, all weights, some outputs."""
    cut: State = {f"features.{task}": golden[f"fpm.in.features_{task}"][:1] for task in meta["tasks"]}
    cut |= {f"out.{task}": golden[f"fpm.out.{task}"][:1] for task in PROPAGATED}
    return cut | {
        f"state.{key}": value for key, value in below(golden, "fpm.state.").items() if "num_batches_tracked" not in key
    }


def cut_distillation(golden: Mapping[str, Tensor], meta: Mapping[str, list[str]]) -> State:
    """One target; its features are those of the propagation."""
    for task in meta["tasks"]:
        if not torch.equal(golden[f"pad.in.features_{task}"], golden[f"fpm.in.features_{task}"]):
            raise ValueError(f"features_{task}: the distillation and the propagation were given different inputs.")
    state = below(golden, f"pad.state.self_attention.{PAD_TARGET}.")
    return {"out": golden[f"pad.out.{PAD_TARGET}"][:1], **{f"state.{key}": value for key, value in state.items()}}


CUTS: dict[str, tuple[str, Callable[..., State]]] = {
    "contexts": ("contexts", cut_contexts),
    "label_probability": ("label_probability", cut_label_probability),
    "relations": ("modules", cut_relations),
    "propagation": ("mti", cut_propagation),
    "distillation": ("mti", cut_distillation),
}


def cut(name: str, golden_dir: Path) -> State:
    """The fixture ``name``, cut again."""
    golden, cutter = CUTS[name]
    meta = json.loads((golden_dir / "meta.json").read_text(encoding="utf-8"))
    cut_out = cutter(load_file(golden_dir / f"{golden}.safetensors"), meta)
    return {key: cut_out[key].contiguous().clone() for key in sorted(cut_out)}


def main(golden_dir: Path) -> None:
    """Write all fixtures, and the module's kinds beside them."""
    meta = json.loads((golden_dir / "meta.json").read_text(encoding="utf-8"))
    (DATA / "meta.json").write_text(json.dumps({key: meta[key] for key in ("tasks", "genotype")}, indent=1) + "\n")
    for name in CUTS:
        save_file(cut(name, golden_dir), DATA / f"{name}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
