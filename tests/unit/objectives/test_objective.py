"""The objective against a sum over tasks written out in plain PyTorch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from atrcnas.ground.registry import resolve
from atrcnas.objectives.objective import Objective, fit_label_states
from atrcnas.spec.labels import LABEL_ENCODERS
from atrcnas.spec.losses import LOSSES
from atrcnas.spec.tasks import TASKS, Task

SIZE, BATCH = (27, 38), 2
# Feature maps of two levels.
FEATURES = {4: (8, 16), 8: (4, 8)}


def records() -> dict[str, Task]:
    tasks = {
        "semseg": TASKS["semseg"].with_options(5),
        "normals": TASKS["normals"],
        "edge": TASKS["edge"].with_options(options={"positive_weight": 0.8}),
    }
    return {name: replace(task, weight=0.5 + i) for i, (name, task) in enumerate(tasks.items())}


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.fixture
def truth() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    torch.manual_seed(4)
    targets = {
        "semseg": torch.randint(0, 5, (BATCH, *SIZE)),
        "normals": F.normalize(random(BATCH, 3, *SIZE), dim=1),
        "edge": torch.randint(0, 2, (BATCH, *SIZE)),
    }
    return targets, {name: torch.rand(BATCH, *SIZE) > 0.3 for name in targets}


def enlarged(x: Tensor) -> Tensor:
    return F.interpolate(x, size=SIZE, mode="bilinear", align_corners=False)


def test_the_objective_is_the_weighted_sum_of_final_label_and_initial_losses(
    truth: tuple[dict[str, Tensor], dict[str, Tensor]],
) -> None:
    (targets, valid), tasks = truth, records()
    centroids = F.normalize(random(tasks["normals"].num_labels, 3), dim=1)
    predictions = {name: random(BATCH, tasks[name].num_channels, *SIZE) for name in ("semseg", "normals")}
    initial = {(n, k): random(BATCH, tasks[n].num_channels, *FEATURES[k]) for n in tasks for k in FEATURES}
    labels = {(n, 4): random(BATCH, tasks[n].num_labels, *FEATURES[4]) for n in ("normals", "edge")}
    classes = (torch.einsum("bchw,kc->bkhw", targets["normals"], centroids)).argmax(1)

    def final(name: str, raw: Tensor) -> Tensor:
        return resolve(LOSSES[tasks[name].loss].function)(raw, targets[name], valid[name], **tasks[name].loss_options)

    expected = {name: final(name, raw) for name, raw in predictions.items()}
    for (name, _), raw in initial.items():
        expected[name] = expected.get(name, 0) + final(name, enlarged(raw))
    for (name, _), logits in labels.items():
        target = classes if name == "normals" else targets[name]
        loss, options = resolve(LOSSES[tasks[name].label_loss].function), tasks[name].loss_options
        expected[name] = expected[name] + loss(enlarged(logits), target, valid[name], **options)
    expected = {name: tasks[name].weight * value for name, value in expected.items()}

    logits = predictions["semseg"].requires_grad_()
    total, parts = Objective(tasks, {"normals": centroids})(predictions, labels, initial, targets, valid)
    assert parts.keys() == expected.keys()
    for name, part in parts.items():
        torch.testing.assert_close(part, expected[name].detach(), rtol=1e-10, atol=0)
        assert part.requires_grad == (name == "semseg")
    torch.testing.assert_close(total, sum(expected.values()), rtol=1e-10, atol=0)
    (gradient,) = torch.autograd.grad(total, logits)
    assert gradient.abs().sum() > 0


def test_a_task_without_any_output_has_no_part(truth: tuple[dict[str, Tensor], dict[str, Tensor]]) -> None:
    predictions = {"semseg": random(BATCH, 5, *SIZE)}
    total, parts = Objective(records())(predictions, {}, {}, *truth)
    assert parts.keys() == {"semseg"}
    assert total == parts["semseg"]


def test_what_label_encoders_were_fitted_to_is_part_of_the_state(
    truth: tuple[dict[str, Tensor], dict[str, Tensor]],
) -> None:
    tasks = records()
    states = fit_label_states(tasks, iter([truth]), seed=5)
    assert states.keys() == {name for name in tasks if LABEL_ENCODERS[tasks[name].label_encoder].fit}
    expected = resolve(LABEL_ENCODERS["normal_centroids"].fit)(
        [(truth[0]["normals"], truth[1]["normals"])], tasks["normals"].num_labels, 5
    )
    torch.testing.assert_close(states["normals"], expected, rtol=0, atol=0)
    assert torch.equal(Objective(tasks, states).state_dict()["labels_normals"], expected)


def test_data_is_not_read_where_no_label_encoder_is_fitted() -> None:
    assert fit_label_states({"edge": records()["edge"]}, (1 / 0 for _ in range(1)), seed=0) == {}
