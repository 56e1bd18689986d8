"""Several processes search as one does on the whole batch."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from atrcnas import ContextConfig, Experiment, retrain, search
from atrcnas.engine.checkpoints import read_checkpoint
from atrcnas.ground.errors import ConfigError
from tests.conftest import TINY

ATRCNAS = str(Path(sys.executable).with_name("atrcnas"))
OPTIONS = ["precision=64", "sync_batchnorm=true", "data.options.val_size=5", "search.steps=4", "search.log_every=1"]


def environment(**more: str) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), **more}


def search_in(folder: Path, environments: list[dict[str, str]], *options: str) -> None:
    said = run_in(folder, environments, "search", "tiny.yaml", *OPTIONS, *options)
    told = [line for line in said.splitlines() if not line.startswith("undecided")]
    assert told == ["contexts: several/contexts.yaml"], "one process speaks"


def run_in(folder: Path, environments: list[dict[str, str]], *arguments: str) -> str:
    """What the command says, run at once in each of the environments."""
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    command = [sys.executable, "-m", "atrcnas", *arguments, "--run", "several"]
    began = [
        subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for env in environments
    ]
    said = [process.communicate(timeout=300) for process in began]
    assert [process.returncode for process in began] == [0] * len(began), said
    return "".join(out for out, _ in said)


def equal_to_one_process(folder: Path, *options: str) -> None:
    search(Experiment.load(TINY, [*OPTIONS, *options]), folder / "one")
    same_search(folder)


def same_search(folder: Path) -> None:
    """That in the run folder ``several`` ended as that in ``one``."""
    first, second = (read_checkpoint(folder / name / "search/checkpoints/last.ckpt") for name in ("one", "several"))
    for part in ("net", "sampler"):
        for key, value in first[part].items():
            torch.testing.assert_close(second[part][key], value, rtol=1e-9, atol=1e-11, msg=key)
    for name in ("metrics", "logits"):
        rows = [pd.read_csv(folder / run / f"search/{name}.csv") for run in ("one", "several")]
        pd.testing.assert_frame_equal(rows[0], rows[1], rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        [],
        pytest.param(["search.estimator=sampled", "search.held_out=0.5"], marks=pytest.mark.slow),
        pytest.param(["search.activation_checkpointing=true"], marks=pytest.mark.slow),
        pytest.param(["search.loss_weighting=gradnorm"], marks=pytest.mark.slow),
        pytest.param(["search.loss_weighting=famo"], marks=pytest.mark.slow),
    ],
    ids=["soft", "sampled, bi-level", "computed again", "gradnorm", "famo"],
)
def test_two_devices_search_as_one_with_the_same_batch(tmp_path: Path, options: list[str]) -> None:
    search_in(tmp_path, [environment()], "devices=2", *options)
    equal_to_one_process(tmp_path, *options)


@pytest.mark.slow
@pytest.mark.parametrize("contexts", ["after", "together"])
def test_two_devices_search_branches_as_one(tmp_path: Path, contexts: str) -> None:
    options = [f"search.branches={{contexts: {contexts}, points: [stage4, stage5], warm_up: 0.3, steps: 3}}"]
    search_in(tmp_path, [environment()], "devices=2", *options)
    equal_to_one_process(tmp_path, *options)
    first, second = (ContextConfig.load(tmp_path / name / "contexts.yaml") for name in ("one", "several"))
    assert first.model.branches == second.model.branches
    if contexts == "after":
        for name in ("one", "several"):
            (tmp_path / "first" / name).parent.mkdir(exist_ok=True)
            (tmp_path / name / "search/branches").rename(tmp_path / "first" / name)
        same_search(tmp_path / "first")


def test_two_devices_retrain_as_one_with_the_same_batch_and_one_goes_on_alone(tmp_path: Path) -> None:
    short = {"steps": 2, "batch_size": 4, "validate_every": 1, "log_every": 1}
    options = [*OPTIONS, "model.dropout=0.3", *(f"retrain.{key}={value}" for key, value in short.items())]
    run_in(tmp_path, [environment()], "retrain", "tiny.yaml", "--contexts", "uniform-slabel", "devices=2", *options)
    contexts, experiment = ContextConfig.load("uniform-slabel"), Experiment.load(TINY, options)
    one = retrain(experiment, contexts, tmp_path / "one")

    def check_equal() -> None:
        first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "several"))
        for key, value in first.items():
            torch.testing.assert_close(second[key], value, rtol=1e-9, atol=1e-11, msg=key)
        assert json.loads((tmp_path / "several/results.json").read_text())["scores"] == one["scores"]
        rows = [pd.read_csv(tmp_path / run / "retrain/metrics.csv") for run in ("one", "several")]
        pd.testing.assert_frame_equal(rows[0], rows[1], rtol=1e-5)

    check_equal()
    (tmp_path / "several/retrain/checkpoints/last.ckpt").unlink()  # as if both had been killed after the first
    assert read_checkpoint(tmp_path / "several/retrain/checkpoints/previous.ckpt")["step"] == 1
    retrain(experiment, contexts, tmp_path / "several", resume=True)
    check_equal()


@pytest.mark.slow
def test_two_machines_search_as_one(tmp_path: Path) -> None:
    env = environment()
    search_in(tmp_path, [{**env, "NODE_RANK": str(rank)} for rank in (0, 1)], "num_nodes=2", "devices=1")
    equal_to_one_process(tmp_path)


@pytest.mark.slow
def test_torchruns_environment_is_understood(tmp_path: Path) -> None:
    env = environment(WORLD_SIZE="2", TORCHELASTIC_RUN_ID="none", GROUP_RANK="0", LOCAL_WORLD_SIZE="2")
    ranks = [{**env, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in (0, 1)]
    search_in(tmp_path, ranks, "devices=2")
    equal_to_one_process(tmp_path)


@pytest.mark.slow
def test_slurms_environment_is_understood(tmp_path: Path) -> None:
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "search", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1"}
    env = environment(**job, SLURM_NNODES="2", SLURM_LOCALID="0")
    search_in(
        tmp_path,
        [{**env, "SLURM_PROCID": str(rank), "SLURM_NODEID": str(rank)} for rank in (0, 1)],
        "num_nodes=2",
        "devices=1",
    )
    equal_to_one_process(tmp_path)


def test_a_batch_has_to_divide_among_the_processes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"search\.batch_size: expected a multiple of the 3 processes.*\(1, 2, 4\)"):
        search(Experiment.load(TINY, ["devices=3"]), tmp_path / "run")


def begin(folder: Path, *launcher: str, **more: str) -> subprocess.Popen[str]:
    """A search of many steps on two devices."""
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    command = [*(launcher or (ATRCNAS,)), "search", "tiny.yaml", "--run", "several", *OPTIONS]
    command += ["devices=2", "search.steps=100000"]
    env = {key: value for key, value in os.environ.items() if not key.startswith("MASTER_")} | more
    return subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)


def members(process: subprocess.Popen[str]) -> list[int]:
    """Process ids of the whole session."""
    found = subprocess.run(["ps", "-s", str(process.pid), "-o", "pid="], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def wait_for_steps(folder: Path, process: subprocess.Popen[str]) -> None:
    ends = time.monotonic() + 120
    while not (folder / "several/search/metrics.csv").is_file() and process.poll() is None:
        assert time.monotonic() < ends
        time.sleep(0.2)


def listening(pids: list[int]) -> set[str]:
    """Addresses, as the kernel writes them, on which any of the processes listens."""
    links = [str(link.readlink()) for pid in pids for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in links:
                found.add(fields[1].partition(":")[0])
    return found


@pytest.mark.slow
def test_the_processes_of_one_machine_listen_on_loopback_only_and_a_dead_one_is_one_message(tmp_path: Path) -> None:
    process = begin(tmp_path)
    try:
        wait_for_steps(tmp_path, process)
        pids = members(process)
        assert len(pids) == 2
        assert listening(pids) == {"0100007F"}  # 127.0.0.1
        os.kill(next(pid for pid in pids if pid != process.pid), signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 2, said
    assert "Traceback" not in said
    assert [line for line in said.splitlines() if line.startswith("error:")] == [said.splitlines()[-1]]
    assert "error: devices: another process of this run ended" in said and "--resume" in said


@pytest.mark.slow
def test_the_torchrun_command_of_the_documentation_works(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('the wrong random')")
    torchrun = str(Path(sys.executable).with_name("torchrun"))
    process = begin(tmp_path, torchrun, "--standalone", "--nproc-per-node=2", "--no-python", "--", ATRCNAS)
    try:
        wait_for_steps(tmp_path, process)
        assert process.poll() is None, process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
