"""Runs that are cut off in the middle, and what has to be the same after they went on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from atrcnas.engine import loop
from atrcnas.engine.checkpoints import read_checkpoint
from atrcnas.engine.training import Training

SEARCH_FILES = ("search/metrics.csv", "search/logits.csv", "contexts.yaml")


class Died(Exception):
    """Stands in for a kill between two checkpoints."""


@contextmanager
def dies_at(step: int) -> Iterator[None]:
    """What is run inside has to die before this step."""
    whole = loop.take_step

    def take_step(training: Training, batch: object) -> object:
        if training.step == step:
            raise Died
        return whole(training, batch)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Died):
        patch.setattr(loop, "take_step", take_step)
        yield


def same_search(first: Path, second: Path) -> None:
    """Two run folders with the same last state, tables and choice."""
    same_states(*(read_checkpoint(run / "search/checkpoints/last.ckpt") for run in (first, second)))
    same_files(first, second, SEARCH_FILES)


def same_states(first: object, second: object, where: str = "") -> None:
    if isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            if key not in ("budget.csv", "seconds"):  # the size of a file that holds seconds, and seconds
                same_states(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    else:
        assert first == second, where


def same_files(first: Path, second: Path, names: Sequence[str]) -> None:
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
