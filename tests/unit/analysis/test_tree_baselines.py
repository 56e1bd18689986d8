"""Baselines of the branch search on planted problems whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from torch import nn

from analysis.feature_similarity import best_trees, dissimilarities, dissimilarity_within, ends, similarities
from analysis.gradient_affinity import best_groups, help_within, lookahead
from atrcnas.nn.backbone import Backbone
from atrcnas.nn.encoder_parts import parts_of
from atrcnas.sampling.trees import apart, shared

TOGETHER, TWO_AND_TWO, APART = (0, 0, 0, 0), (0, 0, 1, 1), (0, 1, 2, 3)


def planted(seeds: list[int], noise: float = 0.1) -> list[np.ndarray]:
    """Features of tasks; those with the same seed see the images alike, each in its own rotated and scaled axes."""
    found = []
    for number, seed in enumerate(seeds):
        own = np.random.default_rng(100 + number)
        seen = np.random.default_rng(seed).normal(size=(40, 30)) + noise * own.normal(size=(40, 30))
        rotation, _ = np.linalg.qr(own.normal(size=(30, 30)))
        found.append((1 + number) * (seen - seen.mean(1, keepdims=True)) @ rotation)
    return found


def test_similarity_is_pearsons_then_spearmans_correlation_by_hand() -> None:
    first, second = (np.random.default_rng(seed).normal(size=(5, 7)) for seed in (0, 1))

    def by_hand(features: np.ndarray) -> list[float]:
        found = []
        for i in range(5):
            for j in range(i + 1, 5):
                a, b = features[i] - features[i].mean(), features[j] - features[j].mean()
                found.append(1 - (a @ b) / np.sqrt((a @ a) * (b @ b)))
        return found

    np.testing.assert_allclose(dissimilarities(first), by_hand(first))
    ranks = [rankdata(by_hand(one)) - np.mean(rankdata(by_hand(one))) for one in (first, second)]
    expected = ranks[0] @ ranks[1] / np.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1]))
    assert similarities([first, second])[0, 1] == pytest.approx(expected)


def test_two_pairs_of_tasks_that_see_alike_late_give_the_tree_that_parts_them_there() -> None:
    early, late = similarities(planted([0, 0, 0, 0])), similarities(planted([1, 1, 2, 2]))
    assert early.min() > 0.9 and late[0, 1] > 0.9 and late[0, 2] < 0.5
    found = {one.cost: one.tree for one in best_trees([early, late], [10.0, 1.0])}
    assert found[11.0] == (TOGETHER, TOGETHER) == shared(4, 2)
    assert found[12.0] == (TOGETHER, TWO_AND_TWO)
    assert found[44.0] == (APART, APART) == apart(4, 2)


def test_dissimilarity_of_a_division_is_the_mean_of_the_groups_worst() -> None:
    similar = np.array([[1.0, 0.8, 0.1, 0.2], [0.8, 1.0, 0.3, 0.4], [0.1, 0.3, 1.0, 0.5], [0.2, 0.4, 0.5, 1.0]])
    assert dissimilarity_within(similar, APART) == 0.0
    assert dissimilarity_within(similar, TWO_AND_TWO) == pytest.approx((0.2 + 0.5) / 2)
    assert dissimilarity_within(similar, (0, 0, 0, 1)) == pytest.approx((0.9 + 0.0) / 2)


def test_a_segment_ends_where_the_next_searched_point_begins() -> None:
    body = Backbone("mobilenetv3_small_050").body
    parts = parts_of(body, "mobilenetv3_small_050")
    assert ends(parts, ("stage1", "stage3")) == ["blocks.1.1", parts[-1].module]
    assert ends(parts, ("stem",)) == [parts[-1].module]


class Planted(nn.Module):
    """Two pairs of tasks that pull the shared weights towards opposite places."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Parameter(torch.zeros(6, dtype=torch.float64))
        generator = torch.Generator().manual_seed(0)
        towards = torch.randn(6, generator=generator, dtype=torch.float64)
        aside = 0.2 * torch.randn(4, 6, generator=generator, dtype=torch.float64)
        self.wanted = {f"task{n}": (towards if n < 2 else -towards) + aside[n] for n in range(4)}

    def losses(self) -> dict[str, torch.Tensor]:
        return {task: (self.shared - wanted).square().sum() for task, wanted in self.wanted.items()}


def test_a_step_for_a_task_helps_those_that_pull_the_same_way() -> None:
    problem, tasks = Planted(), [f"task{n}" for n in range(4)]
    before = problem.shared.detach().clone()
    found = lookahead(problem.losses, [problem.shared], 0.1)
    assert torch.equal(problem.shared, before)
    # By hand: at the origin the step for i is towards its wanted place, of length 0.1.
    for first in tasks:
        step = 0.1 * problem.wanted[first] / problem.wanted[first].norm()
        for second in tasks:
            wanted = problem.wanted[second]
            expected = 1 - float((step - wanted).square().sum() / wanted.square().sum())
            assert found[first, second] == pytest.approx(expected)
    affinity = np.array([[found[first, second] for second in tasks] for first in tasks])
    assert best_groups(affinity)[2] == TWO_AND_TWO
    assert list(best_groups(affinity)) == [1, 2, 3, 4]


def test_help_within_a_division_by_hand() -> None:
    affinity = np.arange(16.0).reshape(4, 4)
    assert help_within(affinity, APART) == 0.0
    assert help_within(affinity, TWO_AND_TWO) == affinity[1, 0] + affinity[0, 1] + affinity[3, 2] + affinity[2, 3]
    expected = sum((affinity[:3, task].sum() - affinity[task, task]) / 2 for task in range(3))
    assert help_within(affinity, (0, 0, 0, 1)) == expected
