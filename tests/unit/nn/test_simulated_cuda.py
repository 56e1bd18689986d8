"""Forward passes on simulated CUDA tensors: no device mix-up and no waiting for the device, seen without a GPU.

The tensors have shapes, types and a device but no values (PyTorch's FakeTensorMode), so whatever has to read a value
on the host cannot go on. Autograd's own CUDA threads need a driver; backward passes are left to tests/gpu.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from atrcnas import ContextConfig
from atrcnas.ground.registry import resolve
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.net import MultiTaskNet
from atrcnas.nn.relations import ContextRefiner
from atrcnas.objectives.objective import Objective
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.bundled import names
from atrcnas.spec.kinds import KINDS, NONE
from atrcnas.spec.model import BackboneSpec, ModelSpec
from atrcnas.spec.pairs import Pair, all_pairs
from atrcnas.spec.recipe import SearchSpec
from atrcnas.spec.space import SearchSpace
from atrcnas.spec.strategies import ESTIMATORS, STRATEGIES
from atrcnas.spec.tasks import TASKS, Task

pytestmark = pytest.mark.usefixtures("simulated_cuda")

Module = TypeVar("Module", bound=nn.Module)
Candidates = Mapping[Pair, tuple[str, ...]]
CUDA = torch.device("cuda")
SIZE = (60, 96)  # 60 is not a multiple of the network's stride: images are padded inside
TWO = ("semseg", "depth")
TINY = BackboneSpec(name="test_resnet")
# How often the host may read from the device in a search step: those that draw have to know what to compute.
READS = {"sampled": 1, "paired": 1}
# Every way to search by gradient.
WAYS = [(s.name, e.name) for s in STRATEGIES for e in ESTIMATORS if s.by_gradient and (s.noise or not e.draws)]


class DeviceWatch(TorchDispatchMode):
    """Refuses what PyTorch allows but what waits for the device: blocking copies, and indices that lie on the host."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        devices = {x.device.type for x in tree_leaves((args, kwargs, out)) if isinstance(x, Tensor) and x.ndim}
        if len(devices) > 1:
            sent = isinstance(out, Tensor) and out.device.type == "cuda" and kwargs.get("non_blocking")
            assert sent, f"{func.name()} of tensors on {devices} waits for the device"
        return out


@contextmanager
def simulated() -> Iterator[None]:
    with FakeTensorMode(), DeviceWatch():
        yield


def moved(module: Module) -> Module:
    """What ``module.to("cuda")`` moves, in place: parameters and buffers, and nothing that is kept beside them."""
    for part in module.modules():
        for own in (part._parameters, part._buffers):
            for name, real in own.items():
                if real is not None:
                    empty = torch.empty_strided(real.shape, real.stride(), dtype=real.dtype, device=CUDA)
                    own[name] = nn.Parameter(empty, real.requires_grad) if isinstance(real, nn.Parameter) else empty
    return module


def records(tasks: tuple[str, ...]) -> dict[str, Task]:
    return {name: TASKS[name].with_options(5 if TASKS[name].channels is None else None) for name in tasks}


def network(tasks: tuple[str, ...], candidates: Candidates, **model: Any) -> tuple[MultiTaskNet, Objective]:
    width = None if model.get("neck") == "pyramid" else 8
    states = {name: torch.randn(task.num_labels, 3) for name, task in records(tasks).items() if task.target == "vector"}
    net = MultiTaskNet(records(tasks), candidates, TINY, ModelSpec(**{"width": width, **model}))
    return net, Objective(records(tasks), states)


def losses(net: MultiTaskNet, objective: Objective, mixture: Mixture | None) -> tuple[Tensor, dict[str, Tensor]]:
    """And of each task, of a batch of bytes with padding, on the device."""

    def on_device(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(2, *shape, *SIZE, dtype=dtype, device=CUDA)

    truth = {
        "classes": lambda: on_device(dtype=torch.int64),
        "scalar": lambda: on_device(1),
        "vector": lambda: on_device(3),
    }
    targets = {name: truth[task.target]() for name, task in objective.tasks.items()}
    valid = {name: on_device(dtype=torch.bool) for name in targets}
    outputs = net(on_device(3, dtype=torch.uint8), on_device(1, dtype=torch.bool), mixture)
    loss: tuple[Tensor, dict[str, Tensor]]
    loss = objective(outputs.predictions, outputs.labels, outputs.initial, targets, valid)
    return loss


def check_fixed(net: MultiTaskNet, objective: Objective) -> None:
    for training in (True, False):
        net.train(training)
        assert losses(net, objective, None)[0].device.type == "cuda"


def reads_of_a_search_step(net: MultiTaskNet, objective: Objective, strategy: str, estimator: str) -> int:
    """How often the host reads from the device; it is answered as the same draw goes without one."""
    recipe = SearchSpec(strategy=strategy, estimator=estimator)
    sampler = Sampler(
        net.candidates, estimator="sampled" if estimator == "sampled" else "soft", noise=STRATEGIES[strategy].noise
    )
    way = resolve(ESTIMATORS[estimator].module)(sampler, recipe)
    drawn = [[sampler.kinds.index(min(kinds)) for kinds in mixture.active] for mixture in way.draw(0, 0.7)]
    answer = drawn if len(drawn) > 1 else drawn[0]
    with simulated(), patch.object(FakeTensor, "tolist", return_value=answer, autospec=True) as read:
        moved(net), moved(objective), moved(sampler), moved(way)
        mixtures = way.draw(0, 0.7)
        found = [losses(net, objective, mixture) for mixture in mixtures]
        term = way.term(0, mixtures, [parts for _, parts in found])
        loss = torch.stack([total for total, _ in found]).mean() + 0.1 * sampler.entropy()
        loss = loss if term is None else loss + term
        way.after_step(0)
    assert loss.device.type == sampler.committed.device.type == "cuda"
    return int(read.call_count)


def pools(*kinds: str) -> Candidates:
    """These kinds for every pair; those that do not fit the diagonal left out there."""
    return {
        pair: tuple(kind for kind in kinds if KINDS[kind].on_diagonal or not pair.on_diagonal) or (NONE,)
        for pair in all_pairs(TWO, (4,))
    }


@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "computed again"])
@pytest.mark.parametrize("kind", KINDS.names)
def test_kind(kind: str, recompute: bool) -> None:
    for candidates in (pools(kind), pools(*dict.fromkeys((NONE, kind)))):
        refiner = ContextRefiner(candidates, 8)
        refiner.recompute = recompute
        sampler = Sampler(candidates)
        with simulated():
            moved(refiner), moved(sampler)
            maps = {task: torch.empty(2, 8, 15, 24, device=CUDA) for task in TWO}
            labels = {task: torch.empty(2, 5, 15, 24, device=CUDA) for task in TWO}
            valid = torch.empty(2, 1, 15, 24, dtype=torch.bool, device=CUDA)
            refined = refiner(maps, labels, valid, sampler.draw(0, 0.7) if refiner.searching else None)
        assert {(x.device.type, x.shape) for x in refined.values()} == {("cuda", (2, 8, 15, 24))}


@pytest.mark.parametrize("preset", names("search_spaces/presets"))
def test_preset(preset: str) -> None:
    contexts = ContextConfig.load(preset)
    tasks = contexts.tasks or TWO[: contexts.num_tasks]
    candidates = {pair: (kind,) for pair, kind in contexts.kinds(tasks).items()}
    net, objective = network(tasks, candidates, **contexts.model.given())
    with simulated():
        check_fixed(moved(net), moved(objective))


@pytest.mark.parametrize("space", names("search_spaces"))
def test_supernet(space: str) -> None:
    loaded = SearchSpace.load(space)
    model = {"neck": "pyramid", "head": "pyramid"} if len(loaded.levels) > 1 else {}
    assert reads_of_a_search_step(*network(TWO, loaded.pools(TWO), **model), "gumbel", "soft") == 0


@pytest.mark.parametrize(("strategy", "estimator"), WAYS)
def test_way_to_search(strategy: str, estimator: str) -> None:
    built = network(TWO, pools(*KINDS.names))
    assert reads_of_a_search_step(*built, strategy, estimator) == READS.get(estimator, 0)


OFFENCES: dict[str, Callable[[Tensor], Any]] = {
    "a constant on the host": lambda x: x + torch.linspace(0, 1, x.shape[-1]),
    "a constant copied over": lambda x: x * torch.tensor([2.0], device=x.device),
    "an index on the host": lambda x: x[:, torch.arange(x.shape[1])],
    "item": lambda x: x * x.mean().item(),
    "a condition": lambda x: -x if x.mean() < 0 else x,
    "a copy to the host": lambda x: x * x.cpu().shape[0],
    "a shape that depends on values": lambda x: x[x > 0],
}


@pytest.mark.parametrize("offence", OFFENCES)
def test_an_offence_in_a_forward_pass_is_seen(offence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = F.relu_
    monkeypatch.setattr(F, "relu_", lambda x: OFFENCES[offence](plain(x)))
    net, objective = network(TWO, pools("global"))
    seen = "same device|two different devices|waits for the device|_local_scalar_dense|nonzero"
    with pytest.raises((RuntimeError, AssertionError), match=seen), simulated():
        check_fixed(moved(net), moved(objective))
