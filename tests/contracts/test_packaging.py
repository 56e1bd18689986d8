"""What setup.cfg lists is what there is; files that other services read say the same."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
import yaml
from setuptools import Distribution

from atrcnas import __version__

ROOT = Path(__file__).parents[2]


def test_every_package_and_every_shelf_of_yaml_is_listed() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "atrcnas").rglob("__init__.py")}
    shelves = {
        ".".join(("atrcnas", *path.parent.relative_to(ROOT).parts))
        for shelf in ("experiments", "search_spaces")
        for path in (ROOT / shelf).rglob("*.yaml")
    }
    assert listed == packages | shelves


def test_a_wheel_holds_every_yaml_file_the_templates_the_table_and_the_mark_of_a_typed_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    distribution = Distribution()
    distribution.parse_config_files(["setup.cfg"])
    command = distribution.get_command_obj("build_py")
    command.ensure_finalized()
    packed = {(package, name) for package, _, _, names in command.data_files for name in names}
    shelves = [path for shelf in ("experiments", "search_spaces") for path in (ROOT / shelf).rglob("*.yaml")]
    assert packed == {
        ("atrcnas", "py.typed"),
        *(("atrcnas.contextbench", path.name) for path in (ROOT / "atrcnas/contextbench").glob("*.csv")),
        ("atrcnas.data", "normals_centroids.yaml"),
        ("atrcnas.plots", "figures.mplstyle"),
        ("atrcnas.plots", "palette.txt"),
        *(("atrcnas.report", f"templates/{path.name}") for path in (ROOT / "atrcnas/report/templates").iterdir()),
        *((".".join(("atrcnas", *path.relative_to(ROOT).parent.parts)), path.name) for path in shelves),
    }


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


def test_hosted_ci_does_what_a_developer_does() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    (job,) = workflow["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    actions = [step["uses"] for step in job["steps"] if "uses" in step]
    assert commands == [".ci/run"]
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", action) for action in actions)
    (python,) = (step["with"] for step in job["steps"] if "setup-python" in step.get("uses", ""))
    assert (python["python-version"], python["cache"]) == ("3.11", "pip")
