"""The published network twice over, without our loader: its state written out by hand, and its forward pass by name.

Task names in the keys stand for themselves; ``order`` is the order in which the published code lists the tasks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analysis.bench.reference import ReferenceRefiner
from atrcnas.nn.blocks import ConvBN, PairConvBN
from atrcnas.nn.net import IMAGENET_MEAN, IMAGENET_STD, MultiTaskNet
from atrcnas.spec.kinds import NONE
from atrcnas.spec.pairs import Pair

State = dict[str, Tensor]
Kinds = Mapping[Pair, str]


def randomise(net: nn.Module, seed: int) -> None:
    """BatchNorms that are neither identities nor zero, and logits that differ: every tensor has a say in predictions."""
    torch.manual_seed(seed)
    for name, value in net.state_dict().items():
        if name.endswith(("running_var", ".var")):
            nn.init.uniform_(value, 0.5, 1.5)
        elif value.ndim == 1:
            nn.init.normal_(value, 0.5 if name.endswith((".weight", ".scale")) else 0.0, 0.1)
        elif value.ndim == 4 and name.startswith(("heads.", "labels.")):
            nn.init.normal_(value, 0.0, 0.1)


# Our network's state, under the published names.


def state_of(net: MultiTaskNet, order: Sequence[str]) -> State:
    """Everything a published checkpoint holds under ``state_dict``; ``net`` must list its tasks in ``order``."""
    state: State = {f"backbone.{key}": value for key, value in net.backbone.body.state_dict().items()}
    for task in sorted(order):
        state |= _conv_bn(net.stems["4"][task], f"head.bottleneck.{task}")
    for task, (hidden, logits) in sorted(net.labels["4"].items()):
        state |= _conv_bn(hidden, f"head.aux_conv.{task}")
        state |= {
            f"head.aux_logits.{task}.weight": logits.weight.data,
            f"head.aux_logits.{task}.bias": logits.bias.data,
        }
    state |= relations_of(net, order)
    for task in sorted(order):
        conv = net.heads[task].body[0]
        state[f"head.final_logits.{task}.weight"], state[f"head.final_logits.{task}.bias"] = conv.weight, conv.bias
    state["criterion.loss_dict.edge.aux.class_weight"] = torch.tensor([0.2, 0.8])
    return {key: value.detach().clone() for key, value in state.items()}


def relations_of(net: MultiTaskNet, order: Sequence[str]) -> State:
    """Contexts target by target and source by source, then their fusion."""
    refiner, state = net.refiners["4"], {}
    above = "head.atrc_module"
    for target, source in itertools.product(order, order):
        pair = Pair(target, source)
        (kind,) = refiner.candidates[pair]
        if kind == NONE:
            continue
        context, block = refiner.contexts[f"{kind}_"], f"{above}.cp_blocks.{target}.{source}"
        row = context.pairs.index(pair)
        for ours, theirs in (("query", "query_project"), ("key", "key_project")):
            state |= _row(getattr(context, ours).first, row, f"{block}.{theirs}.0")
            state |= _row(getattr(context, ours).second, row, f"{block}.{theirs}.1")
        state |= _row(context.value.first, row, f"{block}.value_project")
    for target in order:
        fuse = refiner.fuse[target]
        if fuse.project is not None:
            assert fuse.pairs == [Pair(target, source) for source in order if Pair(target, source) in fuse.pairs]
            state |= _conv_bn(fuse.project, f"{above}.out_proj.{target}")
        if fuse.refine is not None:
            state |= _conv_bn(fuse.refine[0], f"{above}.bottleneck.{target}.0")
    return state


def _conv_bn(block: ConvBN, name: str) -> State:
    conv, norm = block[0], block[1]
    return {
        f"{name}.conv.weight": conv.weight,
        f"{name}.bn.weight": norm.weight,
        f"{name}.bn.bias": norm.bias,
        f"{name}.bn.running_mean": norm.running_mean,
        f"{name}.bn.running_var": norm.running_var,
        f"{name}.bn.num_batches_tracked": torch.tensor(40000),
    }


def _row(stacked: PairConvBN, row: int, name: str) -> State:
    d = stacked.out_width
    return {
        f"{name}.conv.weight": stacked.weight[row * d : row * d + d],
        f"{name}.bn.weight": stacked.scale[row * d : row * d + d],
        f"{name}.bn.bias": stacked.shift[row * d : row * d + d],
        f"{name}.bn.running_mean": stacked.mean[row * d : row * d + d],
        f"{name}.bn.running_var": stacked.var[row * d : row * d + d],
        f"{name}.bn.num_batches_tracked": torch.tensor(40000),
    }


# The published forward pass, from such a state alone.


@torch.no_grad()
def predict(state: State, kinds: Kinds, order: Sequence[str], image: Tensor) -> dict[str, Tensor]:
    """Task -> [B, C, H, W] for an image [B, 3, H, W] in [0, 1] of any size, in evaluation mode."""
    state = {key: value.double() for key, value in state.items()}
    # Rounded to float32, as a network's own are.
    mean, std = (torch.tensor(values).double().view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    maps = hrnet(below(state, "backbone."), (image - mean) / std)
    joined = torch.cat([_resize(x, maps[0]) for x in maps], dim=1)
    features = {task: _relu_conv_bn(state, f"head.bottleneck.{task}.", joined) for task in order}
    labels = {}
    for task in order:
        if f"head.aux_logits.{task}.bias" in state:
            hidden = _relu_conv_bn(state, f"head.aux_conv.{task}.", joined)
            labels[task] = _biased(state, f"head.aux_logits.{task}.", hidden)
    width = next(iter(features.values())).shape[1]
    candidates = {Pair(t, s): (kinds[Pair(t, s)],) for t, s in itertools.product(order, order)}
    relations = ReferenceRefiner(candidates, width, width // 2, dropout=0.05).double().eval()
    relations.load_state_dict(below(state, "head.atrc_module."))
    refined = relations(features, labels)
    return {task: _resize(_biased(state, f"head.final_logits.{task}.", refined[task]), image) for task in order}


def below(state: Mapping[str, Tensor], prefix: str) -> State:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def hrnet(state: State, x: Tensor) -> list[Tensor]:
    """HRNet as used for dense prediction (Wang et al., TPAMI 2020): four maps, strides 4 to 32."""
    x = _norm(state, "bn1", _conv(state, "conv1", x, 2)).relu()
    x = _norm(state, "bn2", _conv(state, "conv2", x, 2)).relu()
    maps = [_blocks(state, "layer1", x, 3)]
    for stage in (2, 3, 4):
        maps = [_transit(state, f"transition{stage - 1}.{i}", i, maps) for i in range(stage)]
        for module in _count(state, f"stage{stage}"):
            prefix = f"stage{stage}.{module}"
            maps = [_blocks(state, f"{prefix}.branches.{i}", x, 2) for i, x in enumerate(maps)]
            maps = [_meet(state, f"{prefix}.fuse_layers.{i}", i, maps) for i in range(stage)]
    return maps


def _transit(state: State, name: str, branch: int, maps: list[Tensor]) -> Tensor:
    if f"{name}.0.0.weight" in state:  # a new branch, from the coarsest
        return _norm(state, f"{name}.0.1", _conv(state, f"{name}.0.0", maps[-1], 2)).relu()
    if f"{name}.0.weight" in state:  # another width
        return _norm(state, f"{name}.1", _conv(state, f"{name}.0", maps[branch])).relu()
    return maps[branch]


def _blocks(state: State, name: str, x: Tensor, num_convs: int) -> Tensor:
    for block in _count(state, name):
        at, y = f"{name}.{block}", x
        for i in range(1, num_convs + 1):
            y = _norm(state, f"{at}.bn{i}", _conv(state, f"{at}.conv{i}", y))
            y = y.relu() if i < num_convs else y
        if f"{at}.downsample.0.weight" in state:
            x = _norm(state, f"{at}.downsample.1", _conv(state, f"{at}.downsample.0", x))
        x = (x + y).relu()
    return x


def _meet(state: State, name: str, branch: int, maps: list[Tensor]) -> Tensor:
    total = maps[branch]
    for j, x in enumerate(maps):
        if j > branch:
            x = _norm(state, f"{name}.{j}.1", _conv(state, f"{name}.{j}.0", x))
            x = F.interpolate(x, scale_factor=2 ** (j - branch), mode="bilinear", align_corners=False)
            total = total + _resize(x, maps[branch])  # it may be larger, since strides round up
        elif j < branch:
            for k in range(branch - j):
                x = x.relu() if k else x
                x = _norm(state, f"{name}.{j}.{k}.1", _conv(state, f"{name}.{j}.{k}.0", x, 2))
            total = total + x
    return total.relu()


def _count(state: State, name: str) -> Iterator[int]:
    return itertools.takewhile(lambda i: any(key.startswith(f"{name}.{i}.") for key in state), itertools.count())


def _conv(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)


def _norm(state: State, name: str, x: Tensor) -> Tensor:
    parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, *parts)


def _relu_conv_bn(state: State, prefix: str, x: Tensor) -> Tensor:
    return _norm(state, f"{prefix}bn", _conv(state, f"{prefix}conv", x)).relu()


def _biased(state: State, prefix: str, x: Tensor) -> Tensor:
    return F.conv2d(x, state[f"{prefix}weight"], state[f"{prefix}bias"])


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
