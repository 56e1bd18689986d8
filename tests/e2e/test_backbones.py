"""Every backbone of docs/backbones.md is searched, retrained and deployed, with the recipe that stands there."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
import torch

from analysis.backbones import LISTED, experiment, row
from analysis.pages import BACKBONES, made
from atrcnas import ContextConfig, retrain, search
from atrcnas.deploy.job import deploy_run
from atrcnas.runs.results import read_results
from tests.results import record_row

SIZE = (70, 90)  # which neither strides nor patches divide
HEAD = f"""Written by `python -m pytest -m slow tests/e2e/test_backbones.py`: two steps of search over the space `full`, two of
retraining (in seconds of one processor) and an ONNX file, on images of {SIZE[0]} x {SIZE[1]} pixels, with two tasks and task
features 32 wide. Two steps choose kinds at random. Differences are relative to the range of an output.

| backbone | search, s | retraining, s | kinds chosen | parameters, M | file differs by | BatchNorms left | file, MB | when |
| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | --- |"""


def local_weights(title: str) -> str:
    """A weight file of that backbone where there is one; random weights elsewhere."""
    name = LISTED["backbones"][title]["backbone"]["name"].partition(".")[0]
    found = (folder / f"shared/weights/{name}.safetensors" for folder in Path(__file__).resolve().parents)
    return next((str(path) for path in found if path.is_file()), "none")


@pytest.mark.slow
@pytest.mark.parametrize("title", LISTED["backbones"])
def test_a_backbone_goes_the_whole_way(title: str, tmp_path: Path) -> None:
    assert row(title) in made(BACKBONES, "backbones"), "run python -m analysis.backbones"
    short = {"steps": 2, "batch_size": 2, "validate_every": 2, "log_every": 1, "warm_up": 1}
    data = {"name": "rooms", "options": {"image_size": list(SIZE), "train_size": 20, "val_size": 2}}
    small = {"tasks": ["semseg", "depth"], "model": {"width": 32}, "space": "full", "devices": "cpu"}
    spec = experiment(title, local_weights(title), data=data, search=short, retrain=short, **small)
    began = time.process_time()
    found = search(spec, tmp_path)
    searched = time.process_time()
    assert isinstance(found, ContextConfig)
    scores = retrain(spec, found, tmp_path)["scores"]
    retrained = time.process_time()
    assert all(math.isfinite(value) for figures in scores.values() for value in figures.values())
    for stage in ("search", "retrain"):
        losses = pd.read_csv(tmp_path / stage / "metrics.csv").query("name == 'loss'")["value"]
        assert len(losses) and losses.notna().all()
    said = deploy_run(tmp_path, [tmp_path / "model.onnx"])
    left = next((line.split()[0] for line in said if "BatchNorms remain" in line), "0")
    results = read_results(tmp_path)
    deployed = results["deployed"]["onnxruntime"]
    difference = max(deployed["differences"].values())
    assert deployed["size"] == list(SIZE) and difference < 1e-4
    kinds = ", ".join(f"{pair} {kind}" for pair, kind in found.kinds(spec.tasks).items())
    cells = [
        title,
        f"{searched - began:.0f}",
        f"{retrained - searched:.0f}",
        kinds,
        f"{results['costs']['parameters'] / 1e6:.1f}",
    ]
    cells += [f"{difference:.1e}", left, f"{deployed['file_bytes'] / 1e6:.1f}"]
    when = f"torch {torch.__version__.partition('+')[0]}, {datetime.now(UTC).date().isoformat()}"
    record_row("Backbones", HEAD, f"| {' | '.join([*cells, when])} |")
