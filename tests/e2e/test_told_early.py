"""A mistake in what was asked for is told before torch is imported, which takes seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Runs the command line, then says on standard output whether torch was imported until the message came.
CODE = """
import sys
from atrcnas.cli import main
sys.argv = ["atrcnas", *sys.argv[1:]]
try:
    main()
finally:
    print("torch" in sys.modules)
"""
SWEEP = "{schema: 1, experiment: quickstart, over: {search.stepps: [1, 2]}}"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run quickstart search.step=3", "search.step: unknown key. Did you mean 'steps'?"),
        ("run quickstart data.options.train_sizes=3", "data.options.train_sizes: unknown key"),
        ("run quickstart --run there space=ful", "space: ful: no such file"),
        ("search quickstart tasks=[semsec]", "unknown task 'semsec'. Did you mean 'semseg'?"),
        ("retrain quickstart --contexts basline", "basline: no such file"),
        ("retrain quickstart --contexts atrc-pascal-hrnet18", "tasks"),
        ("sweep sweep.yaml", "search.stepps: unknown key"),
        ("data check quickstart search.step=3", "search.step: unknown key"),
        ("evaluate nowhere", "nowhere: expected a run folder"),
        ("deploy nowhere --out a.onnx", "nowhere: expected a run folder"),
    ],
)
def test_a_mistake_is_told_before_torch_is_imported(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    command = [sys.executable, "-c", CODE, *line.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stdout == "False\n", "torch was imported"
