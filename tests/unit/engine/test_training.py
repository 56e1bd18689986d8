"""What a stage trains, around a network of one number: its losses, what a refused step leaves, when it reports."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from atrcnas.data.batch import Batch
from atrcnas.engine import training as module
from atrcnas.engine.losses import Losses
from atrcnas.engine.training import Training
from atrcnas.ground.errors import RunError
from atrcnas.nn.shared_draws import Share
from atrcnas.spec.recipe import TrainSpec

BATCH = Batch(torch.full((1, 3, 2, 2), 5.0), None, {}, {}, ["image"], [(2, 2)])
ONE = {"depth": 1.0}
GOOD, BAD = torch.tensor(1.0), torch.tensor(torch.inf)


class Net(nn.Module):
    """Predicts the mean of the image plus its mixture, a number; labels and initial predictions are as given."""

    def __init__(self, labels: dict[str, float], initial: dict[str, float]) -> None:
        super().__init__()
        self.register_buffer("running", torch.tensor([2.0, 3.0]))
        self.labels, self.initial = labels, initial

    def encode(self, image: Tensor, valid: Tensor | None, mixture: float | None) -> Any:
        return SimpleNamespace(image=image.mean(), labels=self.labels, initial=self.initial)

    def decode_each(self, encoded: Any, mixtures: Sequence[float]) -> list[dict[str, float]]:
        return [self.decode(encoded, mixture) for mixture in mixtures]

    def decode(self, encoded: Any, mixture: float | None) -> dict[str, float]:
        return {"depth": float(encoded.image) + (mixture or 0.0)}


class Sum(nn.Module):
    """A loss that shows what it was given: predictions, 10 times the labels, 100 times the initial predictions."""

    calls = 0

    def forward(self, outputs: dict, labels: dict, initial: dict, *truth: object) -> tuple[Tensor, dict[str, Tensor]]:
        self.calls += 1
        weighed = ((1, outputs), (10, labels), (100, initial))
        total = torch.tensor(sum(weight * sum(values.values()) for weight, values in weighed))
        return total, {task: torch.tensor(value) for task, value in outputs.items()}


class Sampled:
    """A choice whose state is one number."""

    value = 7

    def state(self) -> dict[str, Any]:
        return {"sampler": [self.value]}

    def load(self, state: dict[str, Any]) -> None:
        (self.value,) = state["sampler"]

    def schedule_values(self, step: int) -> dict[str, float]:
        return {"tau": step}


def training(choice: Any = None, **options: Any) -> Training:
    fabric: Any = SimpleNamespace(
        device=torch.device("cpu"), world_size=2, global_rank=options.pop("rank", 0), autocast=nullcontext
    )
    net = Net(options.pop("labels", {}), options.pop("initial", {}))
    weights: Any = SimpleNamespace(
        net=net,
        evaluated=net,
        rates=[],
        state=lambda: {"net": net.state_dict()},
        load=lambda state: net.load_state_dict(state["net"]),
        schedule_values=lambda: {"learning_rate": 0.5},
    )
    weights.set_rates = lambda *given: weights.rates.append(given)
    seed = options.pop("seed", 0)
    sync = {key: options.pop(key) for key in ("sync_batchnorm",) if key in options}
    return Training(fabric, "search", weights, Sum(), {}, TrainSpec(**options), seed, choice, **sync)  # type: ignore[arg-type]


def offer(one: Training, loss: Tensor) -> bool:
    return one.accepts(Losses(loss, [{"depth": loss}]), BATCH)


def test_one_mixture_is_judged_whole() -> None:
    one = training(labels=ONE, initial=ONE)
    losses = one.losses(BATCH, [2.0])  # type: ignore[list-item]
    assert losses.total == (5 + 2) + 10 + 100
    assert losses.parts == [{"depth": 7}]
    assert one.losses(BATCH, [None]).total == 5 + 10 + 100


def test_of_several_mixtures_the_mean_counts_and_what_they_share_counts_once() -> None:
    one = training(labels=ONE, initial=ONE)
    losses = one.losses(BATCH, [1.0, 2.0, 6.0])  # type: ignore[list-item]
    assert losses.total == (6 + 7 + 11) / 3 + 10 + 100
    assert losses.parts == [{"depth": 6}, {"depth": 7}, {"depth": 11}]
    bare = training()
    assert bare.losses(BATCH, [1.0, 2.0]).total == 6.5  # type: ignore[list-item]
    assert bare.objective.calls == 2, "nothing is shared"


def test_labels_alone_and_initial_predictions_alone_count_too() -> None:
    assert training(labels=ONE).losses(BATCH, [1.0, 2.0]).total == 6.5 + 10  # type: ignore[list-item]
    assert training(initial=ONE).losses(BATCH, [1.0, 2.0]).total == 6.5 + 100  # type: ignore[list-item]


def test_statistics_are_those_of_all_processes_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[tuple[Share, bool]] = []
    monkeypatch.setattr(module, "WholeBatch", lambda *given: entered.append(given) or nullcontext())
    training(sync_batchnorm=True).losses(BATCH, [None])
    assert not entered, "one process"
    monkeypatch.setattr(module, "num_processes", lambda: 2)
    training(rank=1).losses(BATCH, [None])
    training(rank=1, sync_batchnorm=True).losses(BATCH, [None])
    assert entered == [(Share(1, 1, 2), False), (Share(1, 1, 2), True)]


def test_every_seed_and_step_draws_its_own_and_every_process_the_same() -> None:
    found: dict[tuple[int, int], list[float]] = {}
    for rank in range(2):
        for seed in range(3):
            one = training(seed=seed, rank=rank)
            for one.step in range(4):
                one.begin_step()
                drawn = torch.rand(3).tolist()
                assert found.setdefault((seed, one.step), drawn) == drawn
    assert len({tuple(drawn) for drawn in found.values()}) == len(found) == 12
    torch.manual_seed(2 * 1_000_003 + 3)
    assert found[2, 3] == torch.rand(3).tolist(), "as one process of earlier versions drew, so that its runs go on"


def test_a_refused_step_leaves_neither_statistics_nor_choice() -> None:
    one = training(choice := Sampled(), on_nonfinite="lower")
    for loss, kept in ((GOOD, 9.0), (BAD, 9.0), (GOOD, 11.0), (BAD, 11.0)):
        one.begin_step()
        one.weights.net.running += 7 if loss is BAD else kept - one.weights.net.running
        choice.value += 1
        before = choice.value
        assert offer(one, loss) == (loss is GOOD)
        assert one.weights.net.running.tolist() == [kept, kept]
        assert choice.value == before - (loss is BAD)
    assert one.weights.rates == [(0, 1.0), (0, 1.0), (0, 0.5), (0, 0.5)], (
        "halved by the first refusal, used by the next"
    )


def test_a_refused_step_of_a_fixed_network_leaves_no_statistics() -> None:
    one = training(on_nonfinite="skip")
    one.begin_step()
    one.weights.net.running += 1
    assert not offer(one, BAD)
    assert one.weights.net.running.tolist() == [2, 3]


def test_the_first_the_last_and_every_so_many_steps_are_logged_and_validated() -> None:
    one = training(steps=7, log_every=3, validate_every=3)
    logged, validated = [], []
    for one.step in range(8):
        if one.step and one.log_due:
            logged.append(one.step)
        if one.validation_due:
            validated.append(one.step)
            one.validated = one.step
            assert not one.validation_due, "once"
    assert logged == [1, 3, 6, 7]
    assert validated == [3, 6, 7]


def test_a_report_holds_loss_schedules_of_the_step_taken_and_tasks() -> None:
    one = training(Sampled())
    one.step = 3
    report = one.report(Losses(torch.tensor(4.0, requires_grad=True), [{"depth": GOOD}, {"depth": 3 * GOOD}]))
    assert report.step == 3
    assert report.totals == {"loss": 4.0, "learning_rate": 0.5, "tau": 2}
    assert report.tasks == {"depth": 2.0}
    assert training().report(Losses(GOOD, [{}])).totals == {"loss": 1.0, "learning_rate": 0.5}


@pytest.mark.parametrize(
    "look", [lambda one: one.report(Losses(GOOD, [{}])), Training.settle], ids=["report", "settle"]
)
def test_a_loss_that_is_not_finite_is_noticed_by_the_next_look(look: Any) -> None:
    one = training()
    assert offer(one, BAD)
    with pytest.raises(RunError, match="step 1 the loss of depth"):
        look(one)


def test_weights_that_are_not_finite_do_not_settle() -> None:
    one = training()
    one.settle()
    one.weights.net.running[1] = torch.nan
    with pytest.raises(RunError, match="weights of running"):
        one.settle()


def test_statistics_settle_at_the_mean_over_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "average", lambda tensors: [tensor.mul_(10) for tensor in tensors])
    one = training()
    one.settle()
    assert one.weights.net.running.tolist() == [20, 30], "once"
    one.weights.evaluated = Net({}, {})  # a moving average
    one.settle()
    assert one.weights.net.running.tolist() == [200, 300] and one.weights.evaluated.running.tolist() == [20, 30]


@pytest.mark.parametrize("choice", [None, Sampled()])
def test_a_state_brings_back_all_of_it(choice: Any) -> None:
    one, two = training(choice), training(choice and Sampled())
    one.objective.register_buffer("table", torch.tensor([4.0]))
    two.objective.register_buffer("table", torch.tensor([0.0]))
    one.step, one.validated, one.best, one.finite.rate_factor = 5, 4, 0.25, 0.125
    one.weights.net.running += 1
    if choice:
        choice.value = 12
    two.load(one.state())
    assert (two.step, two.validated, two.best, two.finite.rate_factor) == (5, 4, 0.25, 0.125)
    assert two.weights.net.running.tolist() == [3, 4] and two.objective.table == 4
    assert choice is None or two.choice.value == 12
    fresh = training()
    assert (fresh.step, fresh.validated, fresh.best) == (0, 0, float("-inf"))
    assert fresh.selection != fresh.selection and fresh.scores == {}, "nothing is scored yet"
