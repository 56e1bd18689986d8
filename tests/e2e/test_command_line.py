"""The command line as a person meets it: the whole job, and one readable message for each thing done wrong."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml
from PIL import Image

from atrcnas import ContextConfig, Pair, __version__
from atrcnas.cli import main
from atrcnas.engine.training import Training
from atrcnas.ground.errors import ConfigError
from atrcnas.spec.pairs import all_pairs
from tests.conftest import TINY


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def atrcnas(folder: Path, *arguments: str) -> Done:
    """Run the command line in this process, which saves importing torch for each command."""
    said, warned, status = io.StringIO(), io.StringIO(), 0
    before = sys.argv
    sys.argv = ["atrcnas", *arguments]
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(warned):
            main()
    except SystemExit as stop:
        status = int(stop.code or 0)
    finally:
        sys.argv = before
    return Done(status, said.getvalue(), warned.getvalue())


def refused(folder: Path, *arguments: str) -> str:
    """Run a command that must fail with status 2 and one message; return the message."""
    done = atrcnas(folder, *arguments)
    assert done.returncode == 2, f"{done.returncode}: {done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole job has been run once."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    done = atrcnas(folder, "run", "tiny.yaml", "--run", "run")
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stdout)
    return folder


def test_run_leaves_every_file_and_says_where(job: Path) -> None:
    said = (job / "said.txt").read_text()
    for made in (
        "contexts.yaml",
        "results.json",
        "plots/contexts.png",
        "deploy/model.onnx",
        "report.html",
    ):
        assert (job / "run" / made).is_file()
        assert f"run/{made}" in said
    assert "report.html" in said.splitlines()[-1]
    for made in (
        "experiment.yaml",
        "environment.json",
        "model.safetensors",
        "search/logits.csv",
        "retrain/metrics.csv",
    ):
        assert (job / "run" / made).is_file()
    results = json.loads((job / "run/results.json").read_text())
    assert results["costs"]["parameters"] > 0 and results["costs"]["multiply_adds"] > 0
    assert results["costs"]["latency_ms_deployed"]["onnxruntime"]["median"] > 0
    assert results["costs"]["pairs"].keys() == {str(pair) for pair in all_pairs(("semseg", "depth"), (4,))}


def test_export_plot_evaluate_predict_and_deploy(job: Path) -> None:
    done = atrcnas(job, "plot", "run", "--importance")
    assert done.returncode == 0 and "run/plots/importance.png" in done.stdout, done.stderr
    assert atrcnas(job, "plot", "run/contexts.yaml", "--out", "heat.png").returncode == 0
    done = atrcnas(job, "report", "run", "run", "--baseline", "run", "--out", "two.html")
    assert (done.returncode, done.stdout) == (0, "two.html\n") and "Delta_m" in (job / "two.html").read_text()
    before = json.loads((job / "run/results.json").read_text())
    assert atrcnas(job, "evaluate", "run").returncode == 0
    after = json.loads((job / "run/results.json").read_text())
    assert after["scores"] == before["scores"]
    assert after["costs"]["latency_ms_deployed"] == before["costs"]["latency_ms_deployed"], "of the same weights"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)).save(job / "one.png")
    for source in ("run", "run/deploy/model.onnx"):
        done = atrcnas(job, "predict", source, "one.png", "--out", "predicted")
        assert done.returncode == 0, done.stderr
        assert (job / "predicted/one.semseg.png").is_file()


def test_the_same_seed_gives_the_same_answer(job: Path) -> None:
    assert atrcnas(job, "search", "tiny.yaml", "--run", "again").returncode == 0
    first, second = (yaml.safe_load((job / name / "contexts.yaml").read_text()) for name in ("run", "again"))
    assert first == second
    assert (job / "run/search/logits.csv").read_text() == (job / "again/search/logits.csv").read_text()


def test_a_config_goes_into_the_references_form_and_comes_back(tmp_path: Path) -> None:
    chosen = ContextConfig.load("atrc-nyud-hrnet18")
    chosen.save(tmp_path / "run/contexts.yaml")
    done = atrcnas(tmp_path, "export", "run", "--format", "reference-json", "--out", "c.json")
    assert (done.returncode, done.stdout.strip()) == (0, "c.json"), done.stderr
    codes = json.loads((tmp_path / "c.json").read_text())["data"]
    assert codes.keys() == set(chosen.tasks)
    assert ContextConfig.load(str(tmp_path / "c.json")).kinds(chosen.tasks) == chosen.kinds(chosen.tasks)


def test_a_kind_that_the_reference_does_not_have_is_refused_by_name(tmp_path: Path) -> None:
    kinds = {
        pair: "mti" if pair == Pair("depth", "semseg") else "none" for pair in all_pairs(("semseg", "depth"), (4,))
    }
    ContextConfig.from_kinds(kinds).save(tmp_path / "run/contexts.yaml")
    message = refused(tmp_path, "export", "run", "--format", "reference-json", "--out", "c.json")
    assert "mti" in message
    assert not (tmp_path / "c.json").exists()


def test_an_error_in_a_real_process_ends_with_status_2_and_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "atrcnas", "list", "kind"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 2
    command = [sys.executable, "-m", "atrcnas", "run", "nowhere"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: nowhere: no such file")


def test_version_debug_and_completion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert atrcnas(tmp_path, "--version").stdout == f"atrcnas {__version__}\n"
    shown = atrcnas(tmp_path, "--help").stdout
    assert all(option in shown for option in ("--version", "--debug", "--install-completion"))
    for arguments in (("--debug", "run", "nowhere"), ("run", "nowhere", "--debug")):
        with pytest.raises(ConfigError, match="no such file"):
            atrcnas(tmp_path, *arguments)
    for name, value in {"_ATRCNAS_COMPLETE": "complete_bash", "COMP_WORDS": "atrcnas ev", "COMP_CWORD": "1"}.items():
        monkeypatch.setenv(name, value)
    assert atrcnas(tmp_path).stdout.split() == ["evaluate"]


def test_started_runs_are_not_overwritten(job: Path) -> None:
    assert "--resume" in refused(job, "search", "tiny.yaml", "--run", "run")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("searhc.steps=3", "Did you mean 'search'?"),
        ("search.stesp=3", "Did you mean 'steps'?"),
        ("search.steps=many", "integer"),
        ("search.steps=-1", "greater than or equal to 1"),
        ("tasks=[semseg,dpeth]", "Did you mean 'depth'?"),
        ("data.name=room", "Did you mean 'rooms'?"),
        ("data.options.val_sise=3", "Did you mean 'val_size'?"),
        ("backbone.name=mobilenetv3_smal_050", "Did you mean"),
        ("backbone.weights=nowhere.safetensors", "does not exist"),
        ("space=ful", "Did you mean 'full'?"),
        ("space={pairs: {default: [none, glboal]}}", "Did you mean 'global'?"),
        ("space.pairs=3", "it has no keys below it"),
        ("model.neck=pyramid", "Set both to 'pyramid'"),
        ("plugins=[no_such_module]", "cannot import 'no_such_module'"),
        ("steps", "key.path=value"),
    ],
)
def test_a_wrong_key_or_value_is_one_message(tiny_experiment: Path, override: str, says: str) -> None:
    message = refused(tiny_experiment.parent, "search", "tiny.yaml", override, "--run", "run")
    assert says in message


def signalled(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    whole = Training.losses

    def losses(self: Training, *arguments: object) -> object:
        if self.step == 1:
            os.kill(os.getpid(), number)
        return whole(self, *arguments)

    monkeypatch.setattr(Training, "losses", losses)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_stop_on_request_says_how_to_continue(
    tiny_experiment: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, status: int
) -> None:
    folder = tiny_experiment.parent
    with monkeypatch.context() as patch:
        signalled(patch, number)
        done = atrcnas(folder, "search", "tiny.yaml", "--run", "run")
    assert done.returncode == status
    assert f"stopped by {number.name} after step 2, the state is saved; go on with --resume" in done.stderr
    assert atrcnas(folder, "search", "tiny.yaml", "--run", "run", "--resume").returncode == 0


def test_a_mistake_found_late_does_not_spoil_the_run_folder(tiny_experiment: Path) -> None:
    folder = tiny_experiment.parent
    small = ["search.batch_size=1", "data.augment.crop_size=[32, 32]", "--run", "run"]
    assert "larger batch_size or crop_size" in refused(folder, "search", "tiny.yaml", *small)
    assert atrcnas(folder, "search", "tiny.yaml", "--run", "run").returncode == 0


def test_missing_files_are_one_message(tiny_experiment: Path) -> None:
    folder = tiny_experiment.parent
    assert "nowhere.yaml" in refused(folder, "run", "nowhere.yaml")
    assert "experiment.yaml" in refused(folder, "evaluate", "empty")
    assert "preset" in refused(folder, "retrain", "tiny.yaml", "--contexts", "basline", "--run", "run")
    data = ["data.name=folder", "data.options={root: missing, classes: {semseg: 3}}"]
    assert "missing" in refused(folder, "search", "tiny.yaml", *data, "--run", "run")


def test_a_config_for_other_tasks_is_refused(tiny_experiment: Path) -> None:
    message = refused(tiny_experiment.parent, "retrain", "tiny.yaml", "--contexts", "atrc-nyud-hrnet18", "--run", "run")
    assert "normals" in message and "Search again" in message


def test_damaged_checkpoints_and_weights_are_one_message(job: Path, tmp_path: Path) -> None:
    shutil.copytree(job / "run", tmp_path / "run")
    for name in ("tiny.yaml", "one.png"):
        if (job / name).exists():
            shutil.copy(job / name, tmp_path / name)
    weights = tmp_path / "run/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    assert "model.safetensors" in refused(tmp_path, "evaluate", "run")
    last = tmp_path / "run/retrain/checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    last.with_name("previous.ckpt").unlink()
    assert "last.ckpt" in refused(
        tmp_path, "retrain", "tiny.yaml", "--contexts", "run/contexts.yaml", "--run", "run", "--resume"
    )
    (tmp_path / "run/results.json").write_text("[]")
    assert "results.json" in refused(tmp_path, "deploy", "run", "--out", "model.pt2")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no image")
    assert "broken.png" in refused(tmp_path, "predict", "run/deploy/model.onnx", "broken.png", "--out", "out")


def test_two_processes_do_not_write_one_run(tiny_experiment: Path) -> None:
    folder = tiny_experiment.parent
    slow = subprocess.Popen(
        [sys.executable, "-m", "atrcnas", "search", "tiny.yaml", "--run", "run", "search.steps=2000"],
        cwd=folder,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    try:
        while not (folder / "run/search").exists():
            assert slow.poll() is None
        assert "another process" in refused(
            folder, "search", "tiny.yaml", "--run", "run", "--resume", "search.steps=2000"
        )
    finally:
        slow.kill()
        slow.wait()


def test_without_a_folder_for_temporary_files_a_message_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp', '/proc']")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    monkeypatch.setattr(sys, "argv", ["atrcnas", "list", "tasks"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith(
        "error: No usable temporary directory found in ['/tmp', '/proc']. Make room"
    )
