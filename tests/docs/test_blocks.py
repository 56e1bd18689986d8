"""What the documentation shows works as it stands: Python runs, commands marked so run, YAML is valid."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from atrcnas import ContextConfig, Experiment, SearchSpace
from atrcnas.spec.sweep import SweepSpec
from tests.docs.pages import CONTRIBUTING, PAGES, ROOT, Block, blocks, each_page


@each_page
def test_every_block_is_of_a_language_that_is_checked(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= {"python", "yaml", "sh", "text"}
    assert page.read_text(encoding="utf-8").count("```") == 2 * len(blocks(page))


@pytest.mark.parametrize("page", [page for page in PAGES if page != CONTRIBUTING], ids=lambda page: page.name)
def test_a_page_runs(page: Path, folder: Path) -> None:
    for block in blocks(page, "python", "sh"):
        run(block)


@pytest.mark.parametrize("page", [CONTRIBUTING], ids=lambda page: page.name)
def test_the_kind_and_the_task_of_the_contributing_page_are_trained(page: Path, folder: Path) -> None:
    for block in blocks(page, "python", "sh"):
        run(block)
    contexts = yaml.safe_load((folder / "runs/heights/contexts.yaml").read_text(encoding="utf-8"))
    assert contexts["pairs"]["semseg"]["height"] == "blur"
    results = json.loads((folder / "runs/heights/results.json").read_text(encoding="utf-8"))
    assert results["scores"]["height"]["rmse"] > 0
    assert (folder / "runs/heights/deploy/model.onnx").stat().st_size > 0


def run(block: Block) -> None:
    """Run Python that is not a file, and commands marked to be run."""
    if block.language == "python" and "file" not in block.marks:
        # Compiled as a file of its own: it must not inherit this one's future imports.
        exec(compile(block.text, "block", "exec", dont_inherit=True), {"__name__": "block"})  # noqa: S102
    elif "run" in block.marks:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euc", f'atrcnas() {{ python -m atrcnas "$@"; }}\n{block.text}'],
            env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_everything_that_can_be_added_has_an_example() -> None:
    """Each registry of the package stands in the table of the page on extending, and a block there registers in it."""
    page = ROOT / "docs/extending.md"
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "atrcnas").rglob("*.py")]
    there = {name for text in sources for name in re.findall(r"^([A-Z_]+)(?:: .*)? = (?:Registry|Kinds)\(", text, re.M)}
    rows = re.findall(r"^\| \[.*?\| (.*?) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    shown = {name for row in rows for name in re.findall(r"\b([A-Z_]{3,})`", row)}
    used = {
        name for block in blocks(page, "python") for name in re.findall(r"^([A-Z_]+)\.register\(", block.text, re.M)
    }
    assert len(there) > 10
    assert shown == used == there


@each_page
def test_yaml_is_valid(page: Path, folder: Path) -> None:
    for block in blocks(page, "yaml"):
        value = yaml.safe_load(block.text)
        if "over" in value:
            assert SweepSpec.load(value).trials()
        elif "pairs" in value and "tasks" in value:
            ContextConfig.load(block.marks["file"])
        elif "pairs" in value:
            SearchSpace.load(value)
        else:
            Experiment.load(value if "tasks" in value else laid_over_quickstart(value)).data_options()


def laid_over_quickstart(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part of an experiment, completed."""
    whole = Experiment.load("quickstart").dump()
    for key, value in part.items():
        merge = isinstance(value, dict) and isinstance(whole[key], dict)
        whole[key] = {**whole[key], **value} if merge else value
    return whole
