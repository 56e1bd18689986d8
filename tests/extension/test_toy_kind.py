"""A kind written outside of the package is searched, exported, retrained and deployed; nothing else is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PLUGIN = '''
from torch import nn

from atrcnas.nn.contexts.base import Context
from atrcnas.spec.kinds import KINDS, Kind


class Mean(Context):
    """The mean of the source features over the image, projected."""

    def __init__(self, pairs, width, out_width, searching):
        super().__init__(pairs, width, out_width, searching)
        self.project = nn.ModuleList(nn.Conv2d(width, out_width, 1) for _ in self.pairs)

    def forward(self, inputs, rows):
        maps = []
        for row in rows:
            source = inputs.features[self.pairs[row].source]
            maps.append(self.project[row](source.mean((2, 3), keepdim=True)).expand(-1, -1, *source.shape[2:]))
        return maps


KINDS.register(Kind("mean", Mean, "mean over the image", "A", "#888800"))
'''


@pytest.fixture
def folder(tmp_path: Path, tiny_experiment: Path) -> Path:
    (tmp_path / "toy_kind.py").write_text(PLUGIN)
    experiment = yaml.safe_load(tiny_experiment.read_text())
    experiment["plugins"] = ["toy_kind"]
    # Only the toy kind and `none` to choose from, and `none` is not offered for one pair, so that it must be used.
    experiment["space"] = {"schema": 1, "pairs": {"default": ["none", "mean"], "semseg<-depth": ["mean"]}}
    tiny_experiment.write_text(yaml.safe_dump(experiment))
    return tmp_path


def atrcnas(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "atrcnas", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_plugin_kind_goes_through_the_whole_job(folder: Path) -> None:
    done = atrcnas(folder, "run", "tiny.yaml", "--run", "run")
    assert done.returncode == 0, done.stderr
    contexts = yaml.safe_load((folder / "run/contexts.yaml").read_text())
    assert contexts["pairs"]["semseg"]["depth"] == "mean"
    assert set(json.loads((folder / "run/results.json").read_text())["scores"]) == {"semseg", "depth"}
    for made in ("run/plots/contexts.png", "run/plots/probabilities.png", "run/deploy/model.onnx"):
        assert (folder / made).stat().st_size > 0, made
    again = atrcnas(folder, "deploy", "run", "--out", "model.pt2")
    assert again.returncode == 0, again.stderr


def test_without_the_plugin_the_kind_is_unknown(folder: Path) -> None:
    experiment = yaml.safe_load((folder / "tiny.yaml").read_text())
    experiment["plugins"] = []
    (folder / "tiny.yaml").write_text(yaml.safe_dump(experiment))
    done = atrcnas(folder, "search", "tiny.yaml", "--run", "run")
    assert done.returncode == 2
    assert "unknown kind 'mean'" in done.stderr
    assert "Traceback" not in done.stderr
