"""The loss of a whole network: each loss gets of a task's options those that it declares."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from atrcnas.objectives.objective import Objective
from atrcnas.spec.tasks import TASKS


@pytest.mark.parametrize("label_loss", ["balanced_edge_cross_entropy", "cross_entropy"])
@pytest.mark.parametrize("positive_weight", [0.5, 0.9])
def test_each_loss_gets_the_options_it_declares(label_loss: str, positive_weight: float) -> None:
    task = replace(TASKS["edge"], label_loss=label_loss)
    task = task.with_options(options={"positive_weight": positive_weight, "weight": 2.0})
    target = torch.zeros(1, 2, 2, dtype=torch.long)
    target[0, 0, 0] = 1
    zero = torch.zeros(1, 2, 2, 2)
    total, parts = Objective({"edge": task})(
        {"edge": zero[:, :1]}, {("edge", 1): zero}, {}, {"edge": target}, {"edge": target >= 0}
    )
    # Logits of 0 cost ln 2 a pixel, edge pixel or not; one pixel in four is an edge.
    balanced = math.log(2) * (positive_weight / 4 + 3 * (1 - positive_weight) / 4)
    labels = math.log(2) if label_loss == "cross_entropy" else balanced
    assert total.item() == pytest.approx(2 * (balanced + labels))
    assert parts["edge"].item() == pytest.approx(total.item())
