"""Drawing a context config imports nothing that the command does not name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atrcnas.cli import app
from atrcnas.ground.errors import AtrcnasError
from atrcnas.spec.context_config import ContextConfig

PLUGIN = "plugin_beside_a_config"


@pytest.fixture
def contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A context config beside an experiment that names a plugin."""
    (tmp_path / f"{PLUGIN}.py").write_text("LOADED = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    experiment = f"tasks: [semseg, depth]\ndata: {{name: rooms}}\nplugins: [{PLUGIN}]\n"
    (tmp_path / "experiment.yaml").write_text(experiment)
    config = ContextConfig.load("uniform-local")
    ContextConfig.from_kinds(config.kinds(["semseg", "depth"])).save(tmp_path / "contexts.yaml")
    return tmp_path / "contexts.yaml"


def test_a_neighbours_plugins_are_not_imported_unless_named(contexts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = contexts.with_name("heat.png")
    assert CliRunner().invoke(app, ["plot", str(contexts), "--out", str(out)]).exit_code == 0
    assert PLUGIN not in sys.modules and out.is_file()
    done = CliRunner().invoke(app, ["plot", str(contexts), "--out", str(out), "--plugin", PLUGIN])
    assert done.exit_code == 0 and sys.modules.pop(PLUGIN).LOADED
    assert f"plugins: importing '{PLUGIN}'" in done.output + capsys.readouterr().err


def test_a_runs_plots_are_not_written_through_a_link(contexts: Path) -> None:
    (contexts.parent / "elsewhere").mkdir()
    (contexts.parent / "plots").symlink_to(contexts.parent / "elsewhere")
    done = CliRunner().invoke(app, ["plot", str(contexts.parent)])
    sys.modules.pop(PLUGIN, None)
    assert isinstance(done.exception, AtrcnasError) and "expected no link" in str(done.exception)
    assert not list((contexts.parent / "elsewhere").iterdir())
