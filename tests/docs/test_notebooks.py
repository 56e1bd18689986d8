"""The notebooks run from the first cell to the last, each in a fresh process and folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> list[str]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


@each_notebook
def test_a_notebook_is_small_holds_no_output_and_its_links_lead_somewhere(path: Path) -> None:
    assert path.stat().st_size < 200_000
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    assert all(not cell.get("outputs") for cell in notebook["cells"])
    for link in re.findall(r"\]\(([^)#\s]*)\)", "".join(cells(path, "markdown"))):
        assert (path.parent / link).exists(), link
    assert f"](notebooks/{path.name})" in (ROOT / "docs/README.md").read_text(encoding="utf-8")


@pytest.mark.slow
@each_notebook
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    # As Jupyter has it, a line that begins with "!" is a command.
    shell = "import subprocess\ndef run_line(line): subprocess.run(line, shell=True, check=True)\n"
    code = re.sub(r"^!(.*)$", lambda found: f"run_line({found[1]!r})", "\n".join(cells(path, "code")), flags=re.M)
    (tmp_path / "notebook.py").write_text(shell + code, encoding="utf-8")
    scripts = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": scripts, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    command = [sys.executable, "-W", "ignore::UserWarning", "notebook.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    made = {"your_data": "predicted/by-onnx/val_000000.depth.png", "own_network": "mine.onnx"}
    assert (tmp_path / made[path.stem]).stat().st_size > 0
