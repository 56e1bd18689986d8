"""Agreement of two tasks on which pixels belong together, on maps small enough to count by hand."""

from __future__ import annotations

import itertools
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from atrcnas.data.sample import Sample
from atrcnas.spec.tasks import TASKS

SCRIPT = Path(__file__).parents[3] / "analysis/task_affinity.py"
STUDY = runpy.run_path(str(SCRIPT))
RULE = STUDY["Rule"](relative=0.1, angle_deg=15.0)


def counted(targets: dict[str, np.ndarray], valid: dict[str, np.ndarray], dilation: int, patch: int = 3) -> object:
    sample = Sample("one", np.zeros((*next(iter(valid.values())).shape, 3), np.uint8), targets, valid)
    counts: dict[tuple[str, str, int], object] = {}
    STUDY["count_sample"](sample, {name: TASKS[name] for name in targets}, [dilation], patch, RULE, counts)
    (count,) = counts.values()
    return count


@pytest.mark.parametrize(("dilation", "patch"), [(1, 3), (2, 3), (3, 5), (7, 3)])
def test_counts_are_those_of_all_pixel_pairs_one_by_one(dilation: int, patch: int) -> None:
    rng = np.random.default_rng(0)
    shape = (7, 9)
    classes, depth = rng.integers(0, 2, shape), rng.choice([1.0, 1.05, 1.105, 2.0], shape).astype(np.float32)
    valid = {"edge": rng.random(shape) < 0.8, "depth": rng.random(shape) < 0.8}
    reach = [step * dilation for step in range(-(patch // 2), patch // 2 + 1)]
    pairs = agree = 0
    for here in np.ndindex(shape):
        for step in itertools.product(reach, reach):
            there = (here[0] + step[0], here[1] + step[1])
            if step == (0, 0) or not (0 <= there[0] < shape[0] and 0 <= there[1] < shape[1]):
                continue
            if not all(mask[here] and mask[there] for mask in valid.values()):
                continue
            nearest = min(depth[here], depth[there])
            pairs += 1
            agree += (classes[here] == classes[there]) == (abs(depth[here] - depth[there]) < 0.1 * nearest)
    found = counted({"edge": classes, "depth": depth}, valid, dilation, patch)
    # Each two pixels once here, from both ends above.
    assert (2 * found.pairs, 2 * found.agree) == (pairs, agree)  # type: ignore[attr-defined]
    assert np.isnan(found.agreement) if not pairs else found.agreement == agree / pairs  # type: ignore[attr-defined]


def test_normals_are_similar_by_their_angle() -> None:
    angle = np.deg2rad([0.0, 14.0, 30.0])
    normals = np.stack([np.sin(angle), np.zeros(3), -np.cos(angle)], axis=-1)[None].astype(np.float32)
    valid = np.ones((1, 3), np.bool_)
    found = counted({"edge": np.array([[0, 0, 1]]), "normals": normals}, {"edge": valid, "normals": valid}, 1)
    assert (found.pairs, found.agree, found.similar) == (2, 2, (1, 1))  # type: ignore[attr-defined]


def test_the_script_writes_table_and_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"name": "rooms", "options": {"image_size": [32, 40], "val_size": 2}}
    (tmp_path / "few.yaml").write_text(yaml.safe_dump({"tasks": ["semseg", "depth", "normals"], "data": data}))
    arguments = [str(SCRIPT), str(tmp_path / "few.yaml"), "--out", str(tmp_path), "--dilations", "1", "4", "64"]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(SCRIPT), run_name="__main__")
    lines = (tmp_path / "task_affinity.csv").read_text().splitlines()
    assert len(lines) == 1 + 3 * 3 and lines[1].startswith("semseg,depth,1,0.") and lines[-1].endswith("nan,nan,0")
    assert (tmp_path / "task_affinity.png").read_bytes().startswith(b"\x89PNG")
