"""The matching is one to one, within the distance, and as large as any."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from atrcnas.objectives.metrics.matching import matching_sizes, maximum_matching


def augmenting_paths(graph: np.ndarray) -> int:
    """Maximum matching of a dense [A, B] bool graph by one augmenting path at a time."""
    mate = [-1] * graph.shape[1]

    def augment(left: int, seen: set[int]) -> bool:
        for right in np.flatnonzero(graph[left]):
            if right not in seen:
                seen.add(right)
                if mate[right] < 0 or augment(mate[right], seen):
                    mate[right] = left
                    return True
        return False

    return sum(augment(left, set()) for left in range(len(graph)))


def brute_force(graph: np.ndarray) -> int:
    """Maximum matching by trying everything."""
    if not len(graph):
        return 0
    rest = graph[1:]
    best = brute_force(rest)
    for right in np.flatnonzero(graph[0]):
        best = max(best, 1 + brute_force(np.delete(rest, right, axis=1)))
    return best


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 5), st.integers(0, 5), st.floats(0.1, 0.7), st.integers(0, 10**6))
def test_no_matching_is_larger(num_left: int, num_right: int, density: float, seed: int) -> None:
    graph = np.random.default_rng(seed).random((num_left, num_right)) < density
    assert maximum_matching(csr_matrix(graph)) == brute_force(graph) == augmenting_paths(graph)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("distance", [1.0, 2.3, 4.0])
def test_sizes_equal_those_of_augmenting_paths_at_every_level(seed: int, distance: float) -> None:
    rng = np.random.default_rng(seed)
    shape = (14, 17)
    pixels = np.sort(rng.choice(shape[0] * shape[1], 60, replace=False))
    targets = np.sort(rng.choice(shape[0] * shape[1], 25, replace=False))
    member = rng.random((5, 60)) < np.array([[0.05], [0.2], [0.5], [1.0], [0.0]])
    apart = np.subtract.outer(pixels // 17, targets // 17) ** 2 + np.subtract.outer(pixels % 17, targets % 17) ** 2
    graph = apart <= distance**2
    expected = [augmenting_paths(graph[chosen]) for chosen in member]
    assert matching_sizes(member, pixels, targets, shape, distance).tolist() == expected


def test_pixels_at_opposite_ends_of_neighbouring_rows_do_not_match() -> None:
    member = np.ones((1, 1), bool)
    last_of_first_row, first_of_second_row = np.array([9]), np.array([10])
    assert matching_sizes(member, last_of_first_row, first_of_second_row, (4, 10), 3.0).tolist() == [0]


def test_no_pixels_on_either_side() -> None:
    none = np.empty(0, np.int64)
    some = np.array([3, 4])
    assert matching_sizes(np.ones((2, 2), bool), some, none, (4, 5), 2.0).tolist() == [0, 0]
    assert matching_sizes(np.ones((2, 0), bool), none, some, (4, 5), 2.0).tolist() == [0, 0]


def test_levels_with_as_many_but_other_pixels_are_matched_again() -> None:
    pixels, targets = np.array([0, 1, 8, 9]), np.array([0, 9])
    member = np.array([[True, True, False, False], [True, False, False, True]])
    assert matching_sizes(member, pixels, targets, (1, 10), 1.0).tolist() == [1, 2]
