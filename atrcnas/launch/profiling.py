"""Where the time of a training step goes, by part of the network: a trace for a viewer and one screen for a person.

Every part announces itself to torch's profiler. An operator counts for the innermost part around it; an operator of
the backward pass for the part whose forward operator it belongs to. Own times of nested ranges do not overlap, so the
parts of a step add up to the step.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn
from torch.profiler import profile, record_function, schedule
from torch.utils.hooks import RemovableHandle

from atrcnas.engine.listener import Listener
from atrcnas.engine.loop import DATA, MARK, REST
from atrcnas.engine.training import Training
from atrcnas.ground.errors import ConfigError
from atrcnas.ground.files import write_atomically, write_text

WARM_UP, NUM_STEPS = 3, 5
IDLE = "idle device"
STARVING = 0.1
_OPTIMIZER = ("Optimizer.step", "Optimizer.zero_grad")
_NODE = "autograd::engine::evaluate_function"  # around each node of the backward pass
_PARTS = {  # names of modules of a search or training
    r"objective": "loss",
    r"net\.backbone": "backbone",
    r"net\.stems\.[^.]+": "task features",
    r"net\.labels(\.[^.]+){2}": "label branches",
    r"net\.initial(\.[^.]+){2}": "initial predictions",
    r"net\.propagate\.[^.]+": "propagation",
    r"net\.heads\.[^.]+": "prediction heads",
    r"net\.refiners\.[^.]+\.contexts\.([^.]+?)_?": r"kind \1",
    r"net\.refiners(\.[^.]+){3}": "fuse, refine",
}
Totals = Mapping[str, Mapping[str, float]]


def part_of(name: str, _: nn.Module) -> str | None:
    """The part that a module is, by its name; None for what its parent's is."""
    matches = ((re.fullmatch(pattern, name), part) for pattern, part in _PARTS.items())
    return next((match.expand(part) for match, part in matches if match), None)


def mark(root: nn.Module, part: Callable[[str, nn.Module], str | None]) -> list[RemovableHandle]:
    """Make every part announce itself to the profiler, until the handles are removed."""
    parts = ((module, part(name, module)) for name, module in root.named_modules())
    return [handle for module, label in parts if label for handle in _announce(module, MARK + label)]


def _announce(module: nn.Module, label: str) -> tuple[RemovableHandle, RemovableHandle]:
    ranges: list[record_function] = []

    def enter(*_: Any) -> None:
        if module.training:  # a validation is no part of a step
            ranges.append(record_function(label))
            ranges[-1].__enter__()  # type: ignore[no-untyped-call]

    def leave(*_: Any) -> None:
        if ranges:
            ranges.pop().__exit__(None, None, None)

    return module.register_forward_pre_hook(enter), module.register_forward_hook(leave, always_call=True)


def by_part(events: Iterable[Any], own: Callable[[Any], float], rest: str = REST) -> dict[str, dict[str, float]]:
    """Own time of everything inside some part: part -> {"forward", "backward"}, in the unit of ``own``."""
    found, forward = [], {}
    for event in events:
        above = list(_above(event))
        part = next(filter(None, map(_announced, above)), None)
        node = next((up for up in above if up.name.startswith(_NODE)), None)
        if part and node is None and event.sequence_nr >= 0:
            forward[event.sequence_nr] = part
        found.append((event, part, node))
    totals: dict[str, dict[str, float]] = defaultdict(lambda: {"forward": 0.0, "backward": 0.0})
    for event, part, node in found:
        if part and node:
            totals[forward.get(node.sequence_nr, rest)]["backward"] += own(event)
        elif part:
            totals[part]["forward"] += own(event)
    return dict(totals)


def _above(event: Any) -> Iterator[Any]:
    while event is not None:
        yield event
        event = event.cpu_parent


def _announced(event: Any) -> str | None:
    if event.name.startswith(_OPTIMIZER):
        return "optimiser"
    return event.name.removeprefix(MARK) if event.name.startswith(MARK) else None


def summary(totals: Totals, num_steps: int, trace: Path) -> str:
    """One screen: the share of each part, the milliseconds of a step, and what to do if the loader is behind.

    Args:
        totals: part -> {"forward", "backward"}, microseconds over all steps.
        num_steps: steps in ``totals``.
        trace: where the trace is.
    """
    whole = sum(sum(ways.values()) for ways in totals.values())
    lines = [f"{'part of a step':40s} {'share':>7s} {'forward':>10s} {'backward':>10s}"]
    for part, ways in sorted(totals.items(), key=lambda item: -sum(item[1].values())):
        forward, backward = (ways.get(way, 0.0) / 1000 / num_steps for way in ("forward", "backward"))
        behind = f" {backward:7.1f} ms" if backward else ""
        share = sum(ways.values()) / whole
        lines.append(f"{part:40s} {share:7.1%} {forward:7.1f} ms{behind}")
    lines.append(f"{'step, with the profiler on':40s} {1:7.1%} {whole / 1000 / num_steps:7.1f} ms")
    waiting = sum(totals.get(DATA, {}).values()) / whole
    if waiting > STARVING:
        lines.append(f"the step waits {waiting:.0%} of its time for data. Raise data.workers.")
    return "\n".join([*lines, f"trace: {trace} (open in https://ui.perfetto.dev)"]) + "\n"


class Profile(Listener):
    """Profiles a few steps after some that warm up; the rest of the training runs unprofiled.

    Args:
        folder: gets ``trace.json.gz`` and ``summary.txt``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._handles: list[RemovableHandle] = []

    def begin(self, training: Training) -> None:
        """Begin to watch.

        Raises:
            ConfigError: too few steps are left.
        """
        steps = training.recipe.steps - training.step
        if steps < WARM_UP + NUM_STEPS:
            raise ConfigError(
                f"search.steps: --profile looks at {NUM_STEPS} steps after the first {WARM_UP}, got {steps} to do. "
                f"Set search.steps to {WARM_UP + NUM_STEPS} more than are done, or leave --profile out."
            )
        parts = nn.ModuleDict({"net": training.weights.net, "objective": training.objective})
        self._handles = mark(parts, part_of)
        phases = schedule(wait=0, warmup=WARM_UP, active=NUM_STEPS, repeat=1)
        # Without activities named, torch records all that the machine has.
        self._profiler = profile(schedule=phases, on_trace_ready=self._write)
        self._profiler.start()

    def stepped(self, training: Training) -> None:
        """Go on to the next step."""
        if self._handles:
            self._profiler.step()

    def end(self, training: Training) -> None:
        """Stop watching, if steps were still missing."""
        if self._handles:
            self._stop_marking()
            self._profiler.stop()

    def _stop_marking(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _write(self, record: profile) -> None:
        self._stop_marking()
        trace = self.folder / "trace.json.gz"
        write_atomically(trace, lambda temporary: record.export_chrome_trace(str(temporary)))
        events = record.events()  # type: ignore[no-untyped-call]
        write_text(self.folder / "summary.txt", summary(step_totals(events), NUM_STEPS, trace))


def step_totals(events: Iterable[Any]) -> Totals:
    """Microseconds of each part; on a GPU of its kernels, and of the device without any."""
    events = list(events)
    on_cpu = by_part(events, lambda event: event.self_cpu_time_total)
    on_device = by_part(events, lambda event: event.self_device_time_total)
    busy, whole = (sum(sum(ways.values()) for ways in totals.values()) for totals in (on_device, on_cpu))
    if not busy:
        return on_cpu
    waiting = on_cpu.get(DATA, {}).get("forward", 0.0)
    idle = {"forward": max(whole - busy - waiting, 0.0)}
    return {**on_device, IDLE: idle, DATA: {"forward": waiting}}
