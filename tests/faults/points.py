"""One job, disturbed at any of its operations and resumed, against the same job undisturbed."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import itertools
import re
import shutil
import time
import traceback
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from lightning_fabric.utilities import registry

from atrcnas.data.rooms.dataset import Rooms
from atrcnas.engine import devices, evaluate, networks
from atrcnas.ground import files
from atrcnas.ground.errors import AtrcnasError
from atrcnas.spec import tasks
from tests.faults.disk import Disk, State, read_state, write_state
from tests.faults.jobs import Job, Step
from tests.faults.layer import Layer

# The checkpoint before the last depends on where a run was interrupted, and so does what was said.
_NOT_COMPARED = (".lock", "log.txt", "previous.ckpt")
_WAY_OUT = re.compile("Free some space|[Cc]hoose another --run|--resume")


class Fault(NamedTuple):
    """How a job that met a fault ended.

    Attributes:
        state: what it left.
        message: the error's; empty if the job ended as if nothing had been.
        wrong: what is wrong with the message, or with there being another exception; empty if nothing.
    """

    state: State
    message: str
    wrong: str


class Points:
    """The points of a job.

    Args:
        job: that is run.
        folder: for its runs.

    Attributes:
        layer: what the undisturbed job did.
        result: what it left.
        resumed: states that were resumed; equal ones once.
    """

    def __init__(self, job: Job, folder: Path) -> None:
        self.job, self._folder, self._numbers = job, folder, itertools.count()
        self._outcomes: dict[str, str] = {}
        self._begun: list[tuple[int, State]] = []  # of each step: operations until there, and what they left
        with self._place() as place, Layer(place) as self.layer:
            for step in job.steps:
                self._begun.append((self.layer.count, read_state(place)))
                self._run([step], place, resume=False)
        self.result = self._left
        self.escaped = differing(Disk(self.layer.done).kept(), self.result)

    @property
    def resumed(self) -> int:
        return len(self._outcomes)

    def power_loss(self, number: int, seed: int) -> State:
        """What is on the disk if the power fails in an operation; seed 0: only what was synced, 1: everything."""
        disk = Disk(self.layer.done[: number + 1])
        return disk.synced() if seed == 0 else disk.kept() if seed == 1 else disk.crashed(hash((number, seed)))

    def fault(self, number: int, fault: str) -> Fault:
        """Run the job until an operation meets a fault, from the beginning of the step that it belongs to."""
        message = wrong = ""
        step = max(step for step, (begun, _) in enumerate(self._begun) if begun <= number)
        begun, state = self._begun[step]
        with self._place(state) as place, Layer(place, number - begun, fault):
            try:
                self._run(self.job.steps[step:], place, resume=False)
            except AtrcnasError as error:
                message = str(error)
                wrong = "" if _WAY_OUT.search(message) else f"no way out: {message}"
            except Exception:
                wrong = traceback.format_exc()
        return Fault(self._left, message, wrong)

    def resume(self, state: State) -> str:
        """Resume from a state; returns what went wrong, nothing if it ended as the undisturbed job did."""
        key = _key(state)
        if key not in self._outcomes:
            self._outcomes[key] = self._resume(state)
        return self._outcomes[key]

    def _resume(self, state: State) -> str:
        with self._place(state) as place:
            try:
                self._run(self.job.steps, place, resume=True)
            except AtrcnasError as error:
                return f"message: {error}"
            except Exception:
                return traceback.format_exc()
        different = differing(self._left, self.result)
        return f"other files: {', '.join(different)}" if different else ""

    @contextlib.contextmanager
    def _place(self, state: State | None = None) -> Iterator[Path]:
        place = self._folder / str(next(self._numbers))
        write_state(state or {}, place)
        yield place
        self._left = read_state(place)
        shutil.rmtree(place)

    def _run(self, steps: Iterable[Step], place: Path, resume: bool) -> None:
        """Run them with a clock that stands still, so that files hold no times; what costs time is measured once."""
        with contextlib.ExitStack() as patches:
            for module, name, replacement in _PATCHES:
                patches.enter_context(patch.object(module, name, replacement))
            patches.enter_context(contextlib.redirect_stderr(io.StringIO()))
            for step in steps:
                step(place / "run", resume)


def differing(state: State, other: State) -> list[str]:
    """Paths that are in one alone, or have another content."""
    return sorted(
        name for name in state.keys() | other.keys() if not _spare(name, other) and not _same(name, state, other)
    )


def _spare(name: str, result: State) -> bool:
    """Whether a file does not count; the checkpoints of a finished trial are removed, but may stay after a fault."""
    return name.endswith(_NOT_COMPARED) or ("checkpoints" in name and name not in result)


def _same(name: str, state: State, other: State) -> bool:
    """Equal bytes; of a journal equal lines in any order, of checkpoints equal values, since pickles may differ in form."""
    first, second = state.get(name, b"missing"), other.get(name, b"missing")
    if first == second or first is None or second is None:
        return first == second
    if name.endswith(".jsonl"):
        return sorted(first.splitlines()) == sorted(second.splitlines())
    return name.endswith(".ckpt") and bool(_values(first) == _values(second))


def _values(content: bytes) -> Any:
    return None if content == b"missing" else _plain(torch.load(io.BytesIO(content), weights_only=True))


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.dtype, value.shape, value.reshape(-1).view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _once(function: Callable[..., Any], key: Callable[..., Hashable], own: bool = False) -> Callable[..., Any]:
    """A function that is called once for each key, for what takes time and does not depend on the disk.

    With ``own``, each caller gets a copy.
    """
    found: dict[Hashable, Any] = {}

    def call(*arguments: Any, **options: Any) -> Any:
        if (about := key(*arguments, **options)) not in found:
            found[about] = function(*arguments, **options)
        return copy.deepcopy(found[about]) if own else found[about]

    return call


_PICTURE = _once(
    Rooms.__getitem__, lambda rooms, index: (rooms.split, rooms.options.model_dump_json(), rooms.tasks, index), own=True
)
_PATCHES: tuple[tuple[Any, str, Any], ...] = (
    (time, "monotonic", lambda: 0.0),
    (time, "perf_counter", lambda: 0.0),
    (
        evaluate,
        "measure_costs",
        _once(evaluate.measure_costs, lambda net, size: (sum(p.numel() for p in net.parameters()), size)),
    ),
    (Rooms, "__getitem__", lambda rooms, index: _PICTURE(rooms, index)),
    (devices, "environment", _once(devices.environment, lambda *about: about)),
    (networks, "commit", _once(networks.commit, lambda: ())),
    (files, "parse_yaml", _once(files.parse_yaml, lambda text, where: text, own=True)),
    (files, "dump_yaml", _once(files.dump_yaml, repr)),
    (tasks, "create_model", _once(tasks.create_model, lambda name, __base__: (name, __base__))),
    (registry, "entry_points", _once(registry.entry_points, lambda **group: tuple(group.items()))),
)


def _key(state: State) -> str:
    """Equal for states that a resumed job cannot tell apart: what half-written files hold is never read."""
    digest = hashlib.sha256()
    for name, content in sorted(state.items()):
        half = files.PARTIAL in name
        name = re.sub(r"[0-9a-f]{16}", "", name) if half else name
        digest.update(
            repr((name, None if content is None else b"" if half else hashlib.sha256(content).digest())).encode()
        )
    return digest.hexdigest()
