"""Random network output and ground truth for any entry of the task table."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from atrcnas.ground.registry import resolve
from atrcnas.spec.decoders import DECODERS
from atrcnas.spec.tasks import TASKS, Task

InTwo = Callable[..., list[Any]]
NUM_CLASSES = 5
SIZE = (18, 22)


@dataclass(frozen=True)
class Example:
    """A batch of one task: raw outputs [B, C, H, W] and [B, K, H, W], target and valid as the engine lays them out."""

    task: Task
    raw: Tensor
    label_logits: Tensor
    target: Tensor
    valid: Tensor

    @property
    def decoded(self) -> Tensor:
        return resolve(DECODERS[self.task.decode].function)(self.raw)

    def with_other_invalid_pixels(self, seed: int = 99) -> Example:
        """The same valid pixels; prediction and target differ elsewhere, the target by nonsense."""
        other = make_example(self.task, seed, len(self.raw))
        mask = self.valid[:, None]
        nonsense = torch.full_like(self.target, 255 if self.task.target == "classes" else torch.nan)
        return replace(
            self,
            raw=torch.where(mask, self.raw, other.raw),
            label_logits=torch.where(mask, self.label_logits, other.label_logits),
            target=torch.where(mask if self.target.ndim == 4 else self.valid, self.target, nonsense),
        )


def make_example(task: Task, seed: int = 0, batch: int = 3, dtype: torch.dtype = torch.float32) -> Example:
    task = task.with_options(num_classes=NUM_CLASSES) if task.channels is None else task
    generator = torch.Generator().manual_seed(seed)

    def normal(channels: int) -> Tensor:
        return torch.randn(batch, channels, *SIZE, generator=generator).to(dtype)

    def one_of(count: int) -> Tensor:
        return torch.randint(0, count, (batch, *SIZE), generator=generator)

    targets: dict[str, Callable[[], Tensor]] = {
        "classes": lambda: one_of(task.num_labels),
        "scalar": lambda: normal(1).abs() * 3 + 0.5,
        "vector": lambda: F.normalize(normal(3), dim=1),
    }
    valid = torch.rand(batch, *SIZE, generator=generator) > 0.2
    return Example(task, normal(task.num_channels), normal(task.num_labels), targets[task.target](), valid)


@pytest.fixture(params=TASKS.names)
def task(request: pytest.FixtureRequest) -> Task:
    return TASKS[request.param]


@pytest.fixture
def example(task: Task) -> Example:
    return make_example(task)


@pytest.fixture
def another() -> Callable[..., Example]:
    """To make further examples of a task."""
    return make_example


def _take_part(rank: int, store: Path, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    dist.init_process_group("gloo", init_method=store.as_uri(), rank=rank, world_size=2)
    torch.save(function(rank, *arguments), f"{store}.{rank}")
    dist.destroy_process_group()


@pytest.fixture
def in_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InTwo:
    """What a function of a module returns in each of two connected processes: ``in_two(function, *arguments)``.

    The function gets its rank and the arguments. The processes are forks of a server that has imported torch and done
    nothing else: those of this process could not go backward once it has simulated CUDA tensors.
    """
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    server, store = multiprocessing.get_context("forkserver"), tmp_path / "store"
    server.set_forkserver_preload(["torch"])

    def both(function: Callable[..., Any], *arguments: Any) -> list[Any]:
        ranks = [server.Process(target=_take_part, args=(rank, store, function, arguments)) for rank in (0, 1)]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(60)
            assert process.exitcode == 0
        return [torch.load(f"{store}.{rank}") for rank in (0, 1)]

    return both
