"""A run that died goes on to the same files, bit for bit, as one that was never interrupted."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from atrcnas import ContextConfig, Experiment, retrain, search
from atrcnas.engine.checkpoints import read_checkpoint
from atrcnas.engine.evaluate import evaluate
from atrcnas.engine.training import Training
from atrcnas.ground.errors import CheckpointError, ConfigError, RunError, Stopped
from atrcnas.sampling.sampler import Sampler
from tests.conftest import TINY
from tests.e2e.cut_runs import SEARCH_FILES, dies_at, same_files, same_search


def signalled_in(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, call: int) -> None:
    """A cluster's SIGTERM arrives during the given call (0, 1, ...) of ``method``."""
    whole, calls = getattr(owner, method), itertools.count()

    def patched(*arguments: object) -> object:
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return whole(*arguments)

    monkeypatch.setattr(owner, method, patched)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["search.estimator=sampled", "search.held_out=0.5"],
        ["search.strategy=darts", "search.commit_gap=0.01"],
        ["search.estimator=paired", "search.draws=3", "search.logits_warm_up=0.2"],
        ["search.estimator=paired", "search.held_out=0.5", "search.logits_warm_up=0"],
        ["search.budget={multiply_adds: 5.0e7}", "search.commit_gap=0.01"],
        pytest.param(["model.branches={stage2: [[semseg], [depth]]}"], marks=pytest.mark.slow),
    ],
    ids=["soft", "sampled, bi-level", "darts, committing", "paired", "paired, bi-level", "budget", "branched encoder"],
)
def test_a_search_resumes_bit_for_bit(tmp_path: Path, options: list[str]) -> None:
    experiment = Experiment.load(TINY, options)
    whole = search(experiment, tmp_path / "whole")
    with dies_at(4):
        search(experiment, tmp_path / "cut")
    assert search(experiment, tmp_path / "cut", resume=True) == whole
    same_search(tmp_path / "whole", tmp_path / "cut")


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("uncertainty", "dwa", "gradnorm")]


@pytest.mark.parametrize("name", ["famo", *SLOW])
def test_adapted_loss_weights_resume_bit_for_bit(name: str, tmp_path: Path) -> None:
    every = ["search.loss_weighting_options={every: 1}"] if name == "dwa" else []
    experiment = Experiment.load(TINY, [f"search.loss_weighting={name}", "search.estimator=paired", *every])
    whole = search(experiment, tmp_path / "whole")
    with dies_at(4):
        search(experiment, tmp_path / "cut")
    assert search(experiment, tmp_path / "cut", resume=True) == whole
    same_search(tmp_path / "whole", tmp_path / "cut")
    factors = pd.read_csv(tmp_path / "whole/search/metrics.csv").query("name == 'factor' and task == 'depth'")["value"]
    assert len(factors) == 4 and factors.nunique() > 1


def test_a_retraining_resumes_bit_for_bit(tmp_path: Path) -> None:
    experiment, contexts = Experiment.load(TINY), ContextConfig.load("uniform-tlabel")
    whole = retrain(experiment, contexts, tmp_path / "whole")
    with dies_at(3):
        retrain(experiment, contexts, tmp_path / "cut")
    again = retrain(experiment, contexts, tmp_path / "cut", resume=True)
    assert again["scores"] == whole["scores"]
    assert (tmp_path / "whole/model.safetensors").read_bytes() == (tmp_path / "cut/model.safetensors").read_bytes()
    same_files(tmp_path / "whole", tmp_path / "cut", ["retrain/metrics.csv"])


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    experiment = Experiment.load(TINY)
    contexts = search(experiment, tmp_path / "run")
    results = retrain(experiment, contexts, tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "before")
    assert search(experiment, tmp_path / "run", resume=True) == contexts
    assert retrain(experiment, contexts, tmp_path / "run", resume=True)["scores"] == results["scores"]
    same_files(
        tmp_path / "before", tmp_path / "run", ["search/metrics.csv", "search/logits.csv", "retrain/metrics.csv"]
    )


@pytest.mark.parametrize(
    ("owner", "method", "call", "validated"),
    [(Training, "losses", 4, 3), (Sampler, "argmax_mixture", 0, 0)],
    ids=["in a step", "in a validation"],
)
def test_a_cluster_may_stop_a_search_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, method: str, call: int, validated: int
) -> None:
    experiment = Experiment.load(TINY, ["data.options.val_size=9"])  # several batches: it stops between two
    whole = search(experiment, tmp_path / "whole")
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        signalled_in(patch, owner, method, call)
        with pytest.raises(Stopped, match=r"stopped by SIGTERM after step .*--resume"):
            search(experiment, tmp_path / "cut")
    assert read_checkpoint(tmp_path / "cut/search/checkpoints/last.ckpt")["validated"] == validated
    assert signal.getsignal(signal.SIGTERM) is before
    assert search(experiment, tmp_path / "cut", resume=True) == whole
    same_search(tmp_path / "whole", tmp_path / "cut")


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = Experiment.load(TINY)
    whole = search(experiment, tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "before")
    last = tmp_path / "run/search/checkpoints/last.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    assert search(experiment, tmp_path / "run", resume=True) == whole
    said = capsys.readouterr().err
    assert "checksum" in said and "Going on from the one before" in said and "step 3" in said
    same_files(tmp_path / "before", tmp_path / "run", SEARCH_FILES)


def test_the_best_weights_are_kept_though_the_last_state_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.9, 0.1, 0.9])  # the last when the run is scored
    monkeypatch.setattr("atrcnas.engine.scores.Scores.selection", lambda *_: next(scores))
    retrain(Experiment.load(TINY, ["retrain.keep=best"]), ContextConfig.load("baseline"), tmp_path / "run")
    last = read_checkpoint(tmp_path / "run/retrain/checkpoints/last.ckpt")
    previous = read_checkpoint(tmp_path / "run/retrain/checkpoints/previous.ckpt")
    assert (last["step"], previous["step"]) == (4, 2)
    kept = load_file(tmp_path / "run/model.safetensors")
    assert all(torch.equal(kept[key], previous["net"][key]) for key in kept)
    assert not all(torch.equal(kept[key], last["net"][key]) for key in kept)


def test_the_last_weights_are_kept_by_default(tmp_path: Path) -> None:
    retrain(Experiment.load(TINY), ContextConfig.load("baseline"), tmp_path / "run")
    last = read_checkpoint(tmp_path / "run/retrain/checkpoints/last.ckpt")
    kept = load_file(tmp_path / "run/model.safetensors")
    assert last["step"] == 4
    assert all(torch.equal(kept[key], last["net"][key]) for key in kept)


def test_another_context_config_does_not_enter_a_searched_run(tmp_path: Path) -> None:
    experiment = Experiment.load(TINY)
    search(experiment, tmp_path / "run")
    with pytest.raises(RunError, match="another context config"):
        retrain(experiment, ContextConfig.load("uniform-global"), tmp_path / "run")


def test_another_experiment_does_not_resume_a_run(tmp_path: Path) -> None:
    search(Experiment.load(TINY), tmp_path / "run")
    with pytest.raises(RunError, match=r"differs in search\.learning_rate \(0\.\d+ there, 0\.5 here\)\. Use"):
        search(Experiment.load(TINY, ["search.learning_rate=0.5"]), tmp_path / "run", resume=True)


def test_how_samples_are_loaded_may_change_within_a_run(tmp_path: Path) -> None:
    whole = search(Experiment.load(TINY), tmp_path / "run")
    loaded = Experiment.load(TINY, ["data.workers=1", "data.cache_mib=4"])
    assert search(loaded, tmp_path / "run", resume=True) == whole
    with pytest.raises(RunError, match=r"differs in data\.drop_last \(False there, True here\)"):
        search(Experiment.load(TINY, ["data.drop_last=true"]), tmp_path / "run", resume=True)


def test_a_space_file_that_was_changed_since_does_not_resume_a_run(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("{schema: 1, pairs: {default: [none, local]}}")
    experiment = Experiment.load(TINY, [f"space={tmp_path / 'space.yaml'}"])
    search(experiment, tmp_path / "run")
    (tmp_path / "space.yaml").write_text("{schema: 1, pairs: {default: [none, global]}}")
    with pytest.raises(RunError, match=r"differs in space\.pairs\.default \("):
        search(experiment, tmp_path / "run", resume=True)


def test_a_fixed_network_inherits_the_supernets_weights(tmp_path: Path) -> None:
    experiment = Experiment.load(TINY, ["retrain.inherit=true", "retrain.steps=1", "retrain.learning_rate=1e-12"])
    contexts = search(experiment, tmp_path / "run")
    retrain(experiment, contexts, tmp_path / "run")
    given = read_checkpoint(tmp_path / "run/search/checkpoints/last.ckpt")["net"]
    own = read_checkpoint(tmp_path / "run/retrain/checkpoints/last.ckpt")["net"]
    stems = [key for key in own if key.startswith("stems") and key.endswith("weight")]
    assert stems
    for key in stems:
        torch.testing.assert_close(own[key], given[key], rtol=1e-5, atol=1e-6)


def test_only_kinds_of_the_supernet_can_be_inherited(tmp_path: Path) -> None:
    experiment = Experiment.load(TINY, ["retrain.inherit=true", "space={pairs: {default: [none, local]}}"])
    search(experiment, tmp_path / "run")
    (tmp_path / "run/contexts.yaml").unlink()
    ContextConfig.load("uniform-mti").save(tmp_path / "run/contexts.yaml")
    with pytest.raises(CheckpointError, match="is 'mti', which the supernet does not hold"):
        retrain(experiment, ContextConfig.load("uniform-mti"), tmp_path / "run")


@pytest.mark.parametrize("share", [0.99, 0.001])
def test_held_out_samples_are_some_and_not_all(tmp_path: Path, share: float) -> None:
    with pytest.raises(ConfigError, match=r"held_out: .* need some"):
        search(Experiment.load(TINY, [f"search.held_out={share}"]), tmp_path / "run")


def test_a_stage_that_failed_before_its_first_checkpoint_may_start_again(tmp_path: Path) -> None:
    with dies_at(1):
        search(Experiment.load(TINY), tmp_path / "run")
    other = Experiment.load(TINY, ["search.learning_rate=0.02"])
    assert search(other, tmp_path / "run") == search(other, tmp_path / "fresh")
    same_files(tmp_path / "fresh", tmp_path / "run", ["search/metrics.csv", "experiment.yaml"])


def test_resuming_where_nothing_is_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search(Experiment.load(TINY, ["search.steps=1"]), tmp_path / "typo", resume=True)
    assert "nothing to resume in 'search'" in capsys.readouterr().err


def test_a_run_needs_neither_its_space_file_nor_a_space_that_fits_a_preset(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("{schema: 1, levels: [4, 8], pairs: {default: [none, mti]}}")
    pyramid = "model={neck: pyramid, head: pyramid, task_features: basic2}"
    experiment = Experiment.load(TINY, [pyramid, f"space={tmp_path / 'space.yaml'}"])
    retrain(experiment, ContextConfig.load("pad-net"), tmp_path / "run")
    (tmp_path / "space.yaml").unlink()
    assert evaluate(tmp_path / "run")["scores"].keys() == set(experiment.tasks)


@pytest.mark.parametrize(
    "override", ["tasks=[depth]", "space={pairs: {default: [none, local]}}", "tasks=[edge,sal,depth]"]
)
def test_fewer_kinds_or_other_tasks_change_only_the_experiment(tmp_path: Path, override: str) -> None:
    experiment = Experiment.load(TINY, [override, "search.steps=2"])
    contexts = search(experiment, tmp_path / "run")
    assert {pair.target for pair in contexts.kinds(experiment.tasks)} == set(experiment.tasks)
