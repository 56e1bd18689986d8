"""What only a GPU can show: equal outputs, bf16, no synchronisation in the step. Skipped without one."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from atrcnas import Experiment
from atrcnas.data.loading import open_source, training_loader
from atrcnas.engine.gradient_search import search
from atrcnas.engine.networks import supernet
from atrcnas.engine.retrain import retrain
from atrcnas.objectives.objective import Objective
from atrcnas.sampling.sampler import Sampler

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

TINY = {
    "schema": 1,
    "name": "tiny",
    "tasks": ["semseg", "depth", "normals", "edge"],
    "data": {"name": "rooms", "options": {"image_size": [64, 96], "train_size": 32, "val_size": 4}, "workers": 2},
    "backbone": {"name": "mobilenetv3_small_050"},
    "model": {"width": 16},
    "space": "full",
    "search": {"steps": 6, "batch_size": 4, "validate_every": 3, "log_every": 3},
    "retrain": {"steps": 4, "batch_size": 4, "validate_every": 2, "log_every": 2},
}


@pytest.fixture
def experiment() -> Experiment:
    return Experiment.load(TINY)


def _step(experiment: Experiment, device: str, dtype: torch.dtype, estimator: str = "soft"):
    net = supernet(experiment).to(device, dtype)
    sampler = Sampler(net.candidates, seed=1, estimator=estimator).to(device)
    objective = Objective(experiment.resolved_tasks()).to(device)
    batch = next(iter(training_loader(experiment, open_source(experiment, "train"), range(32), 4, 2)))
    return net, sampler, objective, batch.to(torch.device(device))


def _losses(net, sampler, objective, batch):
    outputs = net(batch.image, batch.image_valid, sampler.draw(0, 0.7))
    return objective(outputs.predictions, outputs.labels, outputs.initial, batch.targets, batch.valid)[0]


@pytest.mark.parametrize("estimator", ["soft", "sampled"])
def test_a_search_step_on_the_gpu_equals_the_cpu(experiment: Experiment, estimator: str) -> None:
    on_cpu = _step(experiment, "cpu", torch.float64, estimator)
    on_gpu = _step(experiment, "cuda", torch.float64, estimator)
    on_gpu[0].load_state_dict(copy.deepcopy(on_cpu[0].state_dict()))
    losses = [_losses(*parts) for parts in (on_cpu, on_gpu)]
    for loss in losses:
        loss.backward()
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=1e-6)  # targets are float32
    torch.testing.assert_close(on_gpu[1].logits.grad.cpu(), on_cpu[1].logits.grad, rtol=1e-4, atol=1e-7)


def test_bf16_gives_finite_losses_and_gradients(experiment: Experiment) -> None:
    parts = _step(experiment, "cuda", torch.float32)
    with torch.autocast("cuda", torch.bfloat16):
        loss = _losses(*parts)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in parts[0].parameters() if p.grad is not None)


def test_a_soft_search_step_never_waits_for_the_gpu(experiment: Experiment) -> None:
    net, sampler, objective, batch = _step(experiment, "cuda", torch.float32)
    weights = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    logits = torch.optim.Adam([sampler.logits], 0.01)
    for _ in range(2):
        _losses(net, sampler, objective, batch).backward()
        weights.step(), logits.step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss = _losses(net, sampler, objective, batch) + 0.1 * sampler.entropy()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        weights.step(), logits.step()
        sampler.commit()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_search_and_retrain_run_on_the_gpu(tmp_path: Path, precision: str) -> None:
    experiment = Experiment.load({**TINY, "precision": precision})
    contexts = search(experiment, tmp_path / "run")
    results = retrain(experiment, contexts, tmp_path / "run")
    assert set(results["scores"]) == set(experiment.tasks)
