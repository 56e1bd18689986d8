"""Damaged, missing and empty run files end in a RunError that names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_files import contexts, write_rows, write_sample

from atrcnas import plots
from atrcnas.ground.errors import RunError
from atrcnas.ground.files import write_yaml
from atrcnas.spec.tasks import TASKS

FIRST, SECOND = TASKS.names[:2]
LOGITS = ("step", "level", "target", "source", "kind", "logit", "probability", "committed")
METRICS = ("step", "stage", "task", "name", "value")
GOOD_LOGIT = (0, 4, FIRST, FIRST, "global", 0.0, 1.0, 0)


def _losses(path: Path) -> object:
    return plots.draw_losses({"search": path})


def _scores(path: Path) -> object:
    return plots.draw_scores({"search": path})


@pytest.mark.parametrize(
    ("draw", "header", "rows", "expected"),
    [
        (plots.draw_probabilities, LOGITS, [], "expected rows below the header"),
        (plots.draw_probabilities, LOGITS[:-1], [GOOD_LOGIT[:-1]], "without committed"),
        (plots.draw_probabilities, LOGITS, [GOOD_LOGIT[:5]], "line 2: expected 8 fields, got 5"),
        (plots.draw_probabilities, LOGITS, [(*GOOD_LOGIT[:6], "high", 0)], "line 2: probability: expected a number"),
        (plots.draw_probabilities, LOGITS, [(*GOOD_LOGIT[:6], 1.5, 0)], "line 2: probability: expected 0 to 1"),
        (plots.draw_probabilities, LOGITS, [(0, 4, FIRST, FIRST, "globl", 0, 1, 0)], "Did you mean 'global'"),
        (plots.draw_probabilities, LOGITS, [(0, "four", *GOOD_LOGIT[2:])], "line 2: level: expected a number"),
        (plots.draw_probabilities, LOGITS, [("nan", *GOOD_LOGIT[1:])], "line 2: step: expected a whole number"),
        (plots.draw_probabilities, LOGITS, [(0, "inf", *GOOD_LOGIT[2:])], "line 2: level: expected a whole number"),
        (_losses, METRICS, [], "expected rows below the header"),
        (_losses, ("step", "value"), [(0, 1)], "without stage, task, name"),
        (_losses, METRICS, [(0, "val", FIRST, "loss", 1)], "expected rows 'train, TASK, loss'"),
        (_losses, METRICS, [("", "train", "", "loss", 1)], "line 2: step: expected a number, got ''"),
        (_scores, METRICS, [(0, "train", "", "loss", 1)], "expected rows 'val, TASK, SCORE'"),
        (_scores, METRICS, [(0, "val", "nonsense", "x", 1)], "unknown task 'nonsense'"),
    ],
)
def test_bad_tables_are_named(
    tmp_path: Path, draw: Callable[[Path], object], header: tuple[str, ...], rows: list[tuple[Any, ...]], expected: str
) -> None:
    path = tmp_path / "table.csv"
    write_rows(path, header, rows)
    with pytest.raises(RunError) as caught:
        draw(path)
    assert str(path) in str(caught.value)
    assert expected in str(caught.value)


@pytest.mark.parametrize("draw", [plots.draw_probabilities, _losses, _scores, plots.draw_gallery])
def test_missing_files_are_named(tmp_path: Path, draw: Callable[[Path], object]) -> None:
    with pytest.raises(RunError, match=r"absent: expected .*, got none"):
        draw(tmp_path / "absent")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "logits.csv").touch()
    with pytest.raises(RunError, match=r"logits\.csv: expected columns .*, got an empty file"):
        plots.draw_probabilities(tmp_path / "logits.csv")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"pairs": {FIRST: {FIRST: "globl"}}}, "Did you mean 'global'"),
        ({"pairs": {}, "tasks": []}, "expected at least one task"),
        ({"levels": [4, 8]}, "pairs"),
        ({"surprise": 1}, "unknown key"),
    ],
)
def test_bad_contexts_are_named(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    write_yaml(tmp_path / "contexts.yaml", {**contexts([FIRST, SECOND]), **change})
    with pytest.raises(RunError) as caught:
        plots.plot_contexts(tmp_path / "contexts.yaml", tmp_path / "out.png")
    assert "contexts.yaml" in str(caught.value)
    assert expected in str(caught.value)
    assert not (tmp_path / "out.png").exists()


def test_a_run_folder_without_inputs_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected a run folder"):
        plots.plot_run(tmp_path / "absent")
    with pytest.raises(RunError, match="got none of them"):
        plots.plot_run(tmp_path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"image": np.zeros((4, 4), np.uint8)}, "image: expected uint8"),
        ({f"valid.{FIRST}": np.ones((3, 3), bool)}, f"valid.{FIRST}: expected an array of 60x80 pixels"),
        ({f"target.{FIRST}": np.full((60, 80), 300)}, "expected class indices 0 to 255"),
        ({f"prediction.{FIRST}": np.zeros((60, 80, 2))}, "expected an array [H, W]"),
        ({"prediction.nonsense": np.zeros((60, 80))}, "target.nonsense: expected an array"),
        ({f"{part}.nonsense": np.ones((60, 80), bool) for part in ("prediction", "target", "valid")}, "unknown task"),
        ({f"prediction.{FIRST}": np.array([["a"] * 80] * 60)}, "expected numbers"),
    ],
)
def test_bad_samples_are_named(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    path = tmp_path / "0000.npz"
    write_sample(path, [FIRST], (60, 80))
    with np.load(path) as archive:
        np.savez(path, **{**archive, **change})
    with pytest.raises(RunError) as caught:
        plots.draw_gallery(tmp_path)
    assert str(path) in str(caught.value)
    assert expected in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"no archive at all"])
def test_a_torn_sample_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "0000.npz").write_bytes(content)
    with pytest.raises(RunError, match=r"0000\.npz: expected an \.npz"):
        plots.draw_gallery(tmp_path)


def test_objects_in_a_sample_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "0000.npz", image=np.array([{"a": 1}], dtype=object))
    with pytest.raises(RunError, match=r"0000\.npz: expected an \.npz"):
        plots.draw_gallery(tmp_path)
