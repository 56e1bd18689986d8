"""A figure written outside of the package is drawn with the others by ``atrcnas plot``; nothing else is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PLUGIN = """
from matplotlib.figure import Figure

from atrcnas.plots import PLOTS, Plot


def draw(run_dir):
    lines = (run_dir / "notes.txt").read_text().split()
    figure = Figure()
    figure.subplots().bar(range(len(lines)), [float(line) for line in lines])
    return figure


PLOTS.register(Plot("notes", draw, "notes.txt"))
"""
CONTEXTS = {"schema": 1, "tasks": ["depth"], "pairs": {"depth": {"depth": "local"}}}


@pytest.fixture
def run_dir(tmp_path: Path, tiny_experiment: Path) -> Path:
    """A run folder with a context config, notes, and an experiment that names the plugin."""
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (tmp_path / "toy_plot.py").write_text(PLUGIN)
    experiment = yaml.safe_load(tiny_experiment.read_text()) | {"plugins": ["toy_plot"]}
    (run_dir / "experiment.yaml").write_text(yaml.safe_dump(experiment))
    (run_dir / "contexts.yaml").write_text(yaml.safe_dump(CONTEXTS))
    (run_dir / "notes.txt").write_text("3 1 2")
    return run_dir


def test_a_plugin_figure_is_drawn_with_the_others(run_dir: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(run_dir.parent), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "atrcnas", "plot", str(run_dir)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (run_dir / "plots").iterdir()} == {"contexts.png", "notes.png"}
