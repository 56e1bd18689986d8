"""A loss that is no number: named, refused within a bound, or learnt from more slowly."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from torch import nn

from atrcnas import ContextConfig, Experiment, retrain
from atrcnas.engine.checkpoints import read_checkpoint
from atrcnas.engine.finite import MAX_REFUSED, FiniteCheck
from atrcnas.engine.training import Training
from atrcnas.ground.errors import RunError
from tests.conftest import TINY

GOOD, BAD = torch.tensor(1.0), torch.tensor(float("nan"))


def offer(check: FiniteCheck, step: int, edge: torch.Tensor) -> bool:
    return check.accepts(step, GOOD + edge, {"depth": GOOD, "edge": edge}, [f"image{step}", "other"])


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

    def losses(self, batch, mixture):
        loss, parts = whole(self, batch, mixture)
        return (loss * BAD, {**parts, "depth": BAD}) if self.step == step else (loss, parts)

    monkeypatch.setattr(Training, "losses", losses)


def test_a_run_stops_or_goes_on_as_asked(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    whole = Training.step_weights

    def step_weights(self, loss):
        whole(self, loss)
        if self.step == 3:
            self.weights[0].data.fill_(torch.inf)

    monkeypatch.setattr(Training, "step_weights", step_weights)
    with pytest.raises(RunError, match=r"after step 4 the weights of .* are no longer finite numbers"):
        retrain(Experiment.load(TINY), ContextConfig.load("baseline"), tmp_path / "run")
    assert read_checkpoint(tmp_path / "run/retrain/checkpoints/last.ckpt")["step"] == 2
