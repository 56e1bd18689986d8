"""Maps as pictures, and the colours of classes."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from atrcnas.plots import colourise, palette
from atrcnas.plots.colourise import missing_pattern
from atrcnas.spec.tasks import TASKS, Task

SHAPES = {"classes": (6, 8), "scalar": (6, 8), "vector": (6, 8, 3)}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_becomes_rgb_with_stripes_where_not_valid(task: Task) -> None:
    array = np.ones(SHAPES[task.target], dtype=np.float32)
    valid = np.ones((6, 8), bool)
    valid[:, 4:] = False
    array[:, 4:] = np.nan
    picture = colourise(task, array, valid)
    assert picture.shape == (6, 8, 3)
    assert picture.dtype == np.uint8
    assert (picture[:, 4:] == missing_pattern(6, 8)[:, 4:]).all()
    assert (picture[:, :4] == picture[0, 0]).all()


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_all_invalid_maps_are_all_stripes(task: Task) -> None:
    array = np.full(SHAPES[task.target], np.nan)
    assert (colourise(task, array, np.zeros((6, 8), bool)) == missing_pattern(6, 8)).all()


def test_vectors_are_half_of_themselves_plus_one() -> None:
    task = next(task for task in TASKS if task.target == "vector")
    picture = colourise(task, np.array([[[-1.0, 0.0, 1.0]]]))
    assert picture.tolist() == [[[0, 127, 255]]] or picture.tolist() == [[[0, 128, 255]]]


def test_scalars_share_a_given_range() -> None:
    task = next(task for task in TASKS if task.target == "scalar")
    alone, shared = colourise(task, np.array([[1.0, 2.0]])), colourise(task, np.array([[1.0, 2.0]]), None, (1.0, 3.0))
    assert (alone[0, 0] == shared[0, 0]).all()
    assert (alone[0, 1] != shared[0, 1]).any()


def test_wrong_shapes_are_reported() -> None:
    task = next(iter(TASKS))
    with pytest.raises(ValueError, match=r"expected an array \[H, W\], got \[2, 2, 2\]"):
        colourise(task, np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match=r"expected valid \[2, 2\], got \[2, 3\]"):
        colourise(task, np.zeros((2, 2)), np.ones((2, 3), bool))


def test_palette_is_distinct_and_a_class_keeps_its_colour() -> None:
    longest = palette(256)
    assert len(np.unique(longest, axis=0)) == 256
    assert (palette(21) == longest[:21]).all()
    gaps = np.abs(longest[:40, None].astype(int) - longest[None, :40]).sum(-1) + 1000 * np.eye(40, dtype=int)
    assert gaps.min() > 40
    with pytest.raises(ValueError, match="1 to 256"):
        palette(0)


def test_the_colours_are_those_that_the_study_of_colour_blind_sight_chose() -> None:
    study = runpy.run_path(str(Path(__file__).parents[3] / "analysis/palette.py"))
    assert (palette(256) == study["choose"]()).all()
