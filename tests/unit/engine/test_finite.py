"""A loss that is not finite: named, refused within a bound, or learnt from more slowly."""

from __future__ import annotations

import itertools
import os
import signal
from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from atrcnas import ContextConfig, Experiment, retrain
from atrcnas.data.loading import open_source
from atrcnas.engine.checkpoints import read_checkpoint
from atrcnas.engine.finite import MAX_REFUSED, FiniteCheck
from atrcnas.engine.label_states import label_states
from atrcnas.engine.losses import Losses
from atrcnas.engine.training import Training
from atrcnas.engine.weights import Weights
from atrcnas.ground.errors import DataError, RunError, Stopped
from tests.conftest import TINY

GOOD, BAD = torch.tensor(1.0), torch.tensor(float("nan"))


def offer(check: FiniteCheck, step: int, edge: torch.Tensor) -> bool:
    accepted = check.accepts(step, GOOD + edge, {"depth": GOOD, "edge": edge}, [f"image{step}", "other"])
    if accepted:
        check.taken()
    return accepted


def test_stop_names_the_first_bad_step_its_task_and_samples_when_it_looks() -> None:
    check = FiniteCheck("stop")
    assert all(offer(check, step, BAD if step in (2, 4) else GOOD) for step in range(6)), "no step waits for the device"
    with pytest.raises(RunError, match=r"in step 3 the loss of edge is not .*image2, other.*learning rate"):
        check.check()
    check.check()


def test_skip_leaves_single_steps_out_and_gives_up_on_a_run_of_them() -> None:
    check = FiniteCheck("skip")
    assert [offer(check, step, BAD if step % 2 else GOOD) for step in range(40)] == [True, False] * 20
    assert check.rate_factor == 1.0
    with pytest.raises(RunError, match=f"{MAX_REFUSED} steps in a row were refused"):
        for step in range(MAX_REFUSED):
            assert not offer(check, step, BAD)


def test_a_bi_level_step_counts_as_refused_whichever_of_its_batches_was() -> None:
    check = FiniteCheck("skip")
    with pytest.raises(RunError, match=f"{MAX_REFUSED} steps in a row were refused"):
        for step in range(MAX_REFUSED):
            assert check.accepts(step, GOOD, {"edge": GOOD}, ["held out"])
            assert not check.accepts(step, BAD, {"edge": BAD}, ["trained on"])


def test_lower_halves_the_learning_rate_at_each_refusal() -> None:
    check = FiniteCheck("lower")
    for step in range(4):
        offer(check, step, BAD if step < 3 else GOOD)
    assert check.rate_factor == 1 / 8


def test_weights_that_diverged_are_not_saved() -> None:
    net = nn.Linear(2, 2)
    FiniteCheck("stop").check_weights(net, 5)
    net.weight.data[0, 0] = torch.inf
    with pytest.raises(RunError, match="after step 5 the weights of weight"):
        FiniteCheck("stop").check_weights(net, 5)


def one_bad_step(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    whole = Training.losses

    def losses(self, batch, mixtures):
        found = whole(self, batch, mixtures)
        bad = Losses(found.total * BAD, [{**parts, "depth": BAD} for parts in found.parts])
        return bad if self.step == step else found

    monkeypatch.setattr(Training, "losses", losses)


def test_a_run_stops_or_continues_as_asked(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_bad_step(monkeypatch, 2)
    baseline = ContextConfig.load("baseline")
    seldom = ["retrain.log_every=1", "retrain.validate_every=100"]
    with pytest.raises(RunError, match=r"in step 3 the loss of depth .*samples: train"):
        retrain(Experiment.load(TINY, seldom), baseline, tmp_path / "stop")
    assert pd.read_csv(tmp_path / "stop/retrain/metrics.csv")["step"].max() == 2, "noticed when it was logged"
    for policy in ("skip", "lower"):
        results = retrain(Experiment.load(TINY, [f"retrain.on_nonfinite={policy}"]), baseline, tmp_path / policy)
        assert results["scores"]["depth"]["rmse"] > 0


def test_divergence_is_one_message_and_leaves_the_last_good_state(tmp_path) -> None:
    experiment = Experiment.load(TINY, ["task_options={depth: {weight: 1e37}}", "retrain.validate_every=1"])
    with pytest.raises(RunError, match=r"(no longer|not a) finite number.*Lower the learning rate"):
        retrain(experiment, ContextConfig.load("baseline"), tmp_path / "run")
    for value in read_checkpoint(tmp_path / "run/retrain/checkpoints/last.ckpt")["net"].values():
        assert value.isfinite().all()


def test_weights_that_diverged_in_the_last_step_reach_no_checkpoint(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = itertools.count()

    def after_step(self):
        if next(calls) == 3:
            self.parameters[0].data.fill_(torch.inf)

    monkeypatch.setattr(Weights, "after_step", after_step)
    with pytest.raises(RunError, match=r"after step 4 the weights of .* are no longer finite numbers"):
        retrain(Experiment.load(TINY), ContextConfig.load("baseline"), tmp_path / "run")
    assert read_checkpoint(tmp_path / "run/retrain/checkpoints/last.ckpt")["step"] == 2


@pytest.mark.parametrize("policy", ["skip", "lower"])
def test_of_a_refused_step_nothing_is_left_in_the_running_statistics(
    policy: str, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Training.losses

    def losses(self, batch, mixtures):
        return whole(self, replace(batch, image=batch.image * (torch.inf if self.step == 2 else 1)), mixtures)

    monkeypatch.setattr(Training, "losses", losses)
    retrain(Experiment.load(TINY, [f"retrain.on_nonfinite={policy}"]), ContextConfig.load("baseline"), tmp_path / "run")
    for name, value in load_file(tmp_path / "run/model.safetensors").items():
        assert value.isfinite().all(), name


def test_a_stop_after_a_bad_step_saves_no_bad_state(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_bad_step(monkeypatch, 2)
    begin = Training.begin_step

    def begin_step(self):
        begin(self)
        if self.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Training, "begin_step", begin_step)
    rarely = ["retrain.steps=6", "retrain.log_every=100"]
    with pytest.raises(RunError, match="in step 3 the loss of depth"):
        retrain(
            Experiment.load(TINY, [*rarely, "retrain.validate_every=6"]), ContextConfig.load("baseline"), tmp_path / "a"
        )
    assert not (tmp_path / "a/retrain/checkpoints/last.ckpt").exists()


def test_the_label_encoders_a_run_began_with_are_part_of_its_state(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = Experiment.load(TINY, ["tasks=[normals]", "retrain.validate_every=2"])
    contexts = ContextConfig.load("uniform-tlabel")
    begin = Training.begin_step

    def begin_step(self):
        begin(self)
        if self.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(Training, "begin_step", begin_step)
        retrain(experiment, contexts, tmp_path / "run")
    last = tmp_path / "run/retrain/checkpoints/last.ckpt"
    before = read_checkpoint(last)["objective"]
    assert list(before) == ["labels_normals"]
    other = {"normals": torch.nn.functional.normalize(torch.rand_like(before["labels_normals"]), dim=-1)}
    monkeypatch.setattr("atrcnas.engine.retrain.label_states", lambda *_: other)
    retrain(experiment, contexts, tmp_path / "run", resume=True)
    assert torch.equal(read_checkpoint(last)["objective"]["labels_normals"], before["labels_normals"])


class Broken:
    """A source some of whose samples cannot be read."""

    def __init__(self, whole, bad):
        self.whole, self.bad = whole, bad

    def __len__(self):
        return len(self.whole)

    def __getitem__(self, index):
        if index in self.bad:
            raise DataError(f"{index}.png: damaged")
        return self.whole[index]


def test_labels_are_fitted_to_what_can_be_read_where_samples_may_be_skipped() -> None:
    experiment = Experiment.load(TINY, ["tasks=[normals]"])
    whole = open_source(experiment, "train")
    with pytest.raises(DataError, match=r"3\.png: damaged"):
        label_states(experiment, Broken(whole, {3}))
    skipping = experiment.replace(data={"on_corrupt": "skip"})
    assert (
        label_states(skipping, Broken(whole, {3}))["normals"].shape == label_states(experiment, whole)["normals"].shape
    )
    with pytest.raises(DataError, match="damaged"):
        label_states(skipping, Broken(whole, set(range(len(whole)))))
