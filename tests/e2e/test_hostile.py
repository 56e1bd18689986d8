"""One long search, each part of it on a machine with another fault: it goes on, or ends by a message and is resumed.

At the end it is what a search without any faults is, bit for bit.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.e2e.cut_runs import same_search
from tests.results import record_part

STEPS = int(os.environ.get("ATRCNAS_HOSTILE_STEPS", "10000"))
MAX_S = 900.0  # for one part of the search
AWAY_S = 4.0
MEMORY_GROUPS = [
    (Path(parent), limit, used)
    for parent, limit, used in (
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
        ("/sys/fs/cgroup", "memory.max", "memory.current"),
    )
    if os.access(parent, os.W_OK) and (Path(parent) / used).exists()
]
IMPATIENT = "from atrcnas.data import patient\npatient.PATIENCE_S = 4\n"


@dataclass
class Machine:
    """A folder with data, and the search in it.

    Attributes:
        home: the folder.
        process: the one that searches now.
    """

    home: Path
    process: subprocess.Popen[str] = field(init=False)

    def start(self, run: str, *options: str, cwd: Path | None = None, **env: str) -> None:
        command = [sys.executable, "-P", "-m", "atrcnas", "search", str(self.home / "long.yaml")]
        command += ["--run", str(self.home / run), "--resume", *options]
        self.said = (self.home / "said").open("w+")
        self.process = subprocess.Popen(
            command,
            cwd=cwd or self.home,
            env={**os.environ, **env},
            stdout=subprocess.DEVNULL,
            stderr=self.said,
            text=True,
        )

    def end(self) -> str:
        """What it said; that it ends is what is tested."""
        self.process.wait(timeout=120)
        self.said.seek(0)
        return self.said.read()

    def step(self, run: str) -> int:
        try:
            rows = (self.home / run / "search/metrics.csv").read_text().splitlines()
            return int(rows[-1].partition(",")[0])
        except (OSError, IndexError, ValueError):  # not begun, or a row half written
            return 0

    def wait_for(self, run: str, step: int) -> None:
        ends = time.monotonic() + MAX_S
        while self.process.poll() is None and self.step(run) < step:
            assert time.monotonic() < ends, f"hangs at step {self.step(run)}"
            time.sleep(0.1)

    def children(self) -> list[int]:
        return [
            int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        ]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 2)):
        for kind, shape, high in (("image", (32, 32, 3), 255), ("semseg", (32, 32), 3), ("sal", (32, 32), 2)):
            folder = tmp_path / "data" / split / kind
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(rng.integers(0, high, shape, np.uint8)).save(folder / f"{i:02d}.png")
    options = {"root": str(tmp_path / "data"), "classes": {"semseg": 3}}
    search = {"steps": STEPS, "batch_size": 2, "validate_every": STEPS // 10, "log_every": max(STEPS // 500, 1)}
    value = {
        "schema": 1,
        "tasks": ["semseg", "sal"],
        "plugins": ["atrcnas.nn.small_backbone"],
        "backbone": {"name": "atrcnas_small"},
        "model": {"width": 8},
        "space": {"pairs": {"default": ["none", "local"]}},
        "data": {"name": "folder", "options": options, "augment": {"crop_size": [32, 32]}},
        "search": {**search, "estimator": "sampled", "commit_gap": 1.0},
    }
    (tmp_path / "long.yaml").write_text(yaml.safe_dump(value))
    (tmp_path / "impatient.py").write_text(IMPATIENT)
    return Machine(tmp_path)


def library(home: Path, fault: str) -> str:
    built = home / f"{fault}.so"
    source = Path(__file__).with_name("hostile.c")
    subprocess.run(["gcc", "-shared", "-fPIC", f"-D{fault}", "-o", str(built), str(source)], check=True)
    return str(built)


def starved(machine: Machine) -> None:
    """The lowest priority beside four times as many loops as there are processors."""
    os.setpriority(os.PRIO_PROCESS, machine.process.pid, 19)
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4 * (os.cpu_count() or 1))]
    time.sleep(10)
    for loop in loops:
        loop.kill()
        loop.wait()
    with contextlib.suppress(PermissionError):  # only root may raise it again
        os.setpriority(os.PRIO_PROCESS, machine.process.pid, os.getpriority(os.PRIO_PROCESS, 0))


def suspended(machine: Machine) -> None:
    """The search, its loader process, then both stand still."""
    for pids in ([machine.process.pid], machine.children(), [machine.process.pid, *machine.children()]):
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def data_away(machine: Machine) -> None:
    away = (machine.home / "data").rename(machine.home / "away")
    time.sleep(AWAY_S)
    away.rename(machine.home / "data")


def data_gone(machine: Machine) -> None:
    away = (machine.home / "data").rename(machine.home / "away")
    machine.process.wait(timeout=60)
    away.rename(machine.home / "data")


def little_memory(machine: Machine) -> None:
    """Less address space than it has already: what is freed may be used again, nothing more is given."""
    pages = int(Path(f"/proc/{machine.process.pid}/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") - 2**24
    resource.prlimit(machine.process.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


@contextlib.contextmanager
def memory_group(machine: Machine, room: int) -> Iterator[Path]:
    """A control group of the kernel (version 1 or 2) with the search in it, and ``room`` bytes more than it uses by then."""
    parent, limit, used = MEMORY_GROUPS[0]
    group = parent / f"atrcnas-{machine.process.pid}"
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(machine.process.pid))
        time.sleep(2)  # from now on its memory counts here
        (group / limit).write_text(str(int((group / used).read_text()) + room))
        yield group
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            (parent / "cgroup.procs").write_text(pid)
        group.rmdir()


def in_a_small_group(machine: Machine) -> None:
    """A container with little memory to spare: the kernel takes back what it can, such as cached files."""
    with memory_group(machine, room=2**23):
        time.sleep(5)


def killed_in_its_group(machine: Machine) -> None:
    """Another process of the same container takes the memory, and the kernel kills the search for it."""
    with memory_group(machine, room=2**25) as group:
        enter = f"open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))"
        spared = "open('/proc/self/oom_score_adj', 'w').write('-1000')"
        more = "while True:\n    held.append(bytearray(2**20))\n    time.sleep(0.02)"
        greedy = subprocess.Popen([sys.executable, "-c", f"import os, time\n{spared}\n{enter}\nheld = []\n{more}"])
        machine.process.wait(timeout=60)
        greedy.kill()
        greedy.wait()


@dataclass(frozen=True)
class Fault:
    """What happens to one part of the search.

    Attributes:
        name: as in the table.
        preload: which part of hostile.c is loaded.
        happens: while it runs; None for nothing more.
        options: of the command.
        says: part of a line it has to say.
        ends: whether it has to end by a message; None if it may.
        nowhere: started where no file can be made.
        killed: whether it has to be killed.
    """

    name: str
    preload: str = ""
    happens: Callable[[Machine], None] | None = None
    options: tuple[str, ...] = ()
    says: str = ""
    ends: bool | None = False
    nowhere: bool = False
    killed: bool = False


ONE_LOADER = "data.workers=1"
FAULTS = [
    Fault("the clock jumps three days back and forth every two seconds", "CLOCK"),
    Fault("file system without locks (ENOLCK)", "LOCKS", says="this file system has no locks"),
    Fault("/tmp read-only, a loader process", "TEMPORARY", options=(ONE_LOADER,)),
    Fault("no folder for temporary files at all", "TEMPORARY", says="set TMPDIR to", ends=True, nowhere=True),
    Fault("priority 19 beside 4 busy loops per processor for 10 s", happens=starved),
    Fault("SIGSTOP for 3 s: search, loader process, both", happens=suspended, options=(ONE_LOADER,)),
    Fault(f"data folder away for {AWAY_S:.0f} s", happens=data_away, says="waiting for it"),
    Fault(
        f"data folder away for {AWAY_S:.0f} s, a loader process",
        happens=data_away,
        options=(ONE_LOADER,),
        says="waiting for it",
    ),
    Fault(f"data folder away for {AWAY_S:.0f} s, samples cached", happens=data_away, options=("data.cache_mib=16",)),
    Fault(
        "data folder away for good (patience set to 4 s)",
        happens=data_gone,
        options=("plugins=[atrcnas.nn.small_backbone,impatient]",),
        says="Bring the folder back",
        ends=True,
    ),
    Fault("address space limited to less than is in use (RLIMIT_AS)", happens=little_memory, ends=None),
]
if MEMORY_GROUPS:
    FAULTS += [
        Fault(
            "memory limit of a control group 8 MiB above what is in use, for 5 s", happens=in_a_small_group, ends=None
        ),
        Fault(
            "killed by the kernel at the memory limit of its control group", happens=killed_in_its_group, killed=True
        ),
    ]


def suffer(machine: Machine, fault: Fault, until: int) -> str:
    """Search under the fault until a step; what happened."""
    env = {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{machine.home}", "HOSTILE_KEEP": str(machine.home)}
    if fault.preload:
        env["LD_PRELOAD"] = library(machine.home, fault.preload)
    machine.start("run", *fault.options, cwd=Path("/proc") if fault.nowhere else None, **env)
    before = machine.step("run")
    if fault.happens is not None:
        machine.wait_for("run", before + 2)
        assert machine.process.poll() is None, machine.end()
        fault.happens(machine)
    machine.wait_for("run", until)
    ended = machine.process.poll() is not None
    if not ended:
        machine.process.send_signal(signal.SIGTERM)
    said = machine.end()
    assert "Traceback" not in said, said
    if fault.killed:
        assert machine.process.returncode == -signal.SIGKILL, said
        return "killed; nothing of what it had saved was lost"
    assert fault.says in said, said
    if fault.ends is not None:
        assert ended == fault.ends, said
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == ended and machine.process.returncode == (2 if ended else 0), said
    warned = ", after one line" if fault.says and not ended else ""
    return f"ended: `{errors[0][7:].replace(str(machine.home), '...'):.220}`" if ended else f"went on{warned}"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="builds hostile.c")
def test_a_long_search_on_a_hostile_machine_ends_as_one_on_a_friendly_one(machine: Machine) -> None:
    began = time.monotonic()
    machine.start("friendly")
    machine.wait_for("friendly", STEPS + 1)
    assert machine.process.returncode == 0, machine.end()
    rows = [f"| none | {STEPS} steps | {time.monotonic() - began:.0f} |"]
    for number, fault in enumerate(FAULTS, 1):
        began = time.monotonic()
        happened = suffer(machine, fault, STEPS * number // (len(FAULTS) + 1))
        rows.append(f"| {fault.name} | {happened} | {time.monotonic() - began:.0f} |")
        print(rows[-1])
    began = time.monotonic()
    machine.start("run")
    machine.wait_for("run", STEPS + 1)
    assert machine.process.returncode == 0, machine.end()
    rows.append(f"| none | the rest of the {STEPS} steps, to the same end | {time.monotonic() - began:.0f} |")
    runs = [machine.home / name for name in ("friendly", "run")]
    same_search(*runs)
    head = "Written by `test_hostile.py`: one search, each part of it under another fault; bit for bit as without any."
    table = "\n".join(["| fault | what happened | seconds |", "| --- | --- | ---: |", *rows])
    record_part("Hostile machines", f"{head}\n\n{table}")
