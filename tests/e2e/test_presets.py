"""Every bundled preset trains through the readers of the published data sets, on rooms in their layouts; so do searches."""

from __future__ import annotations

import runpy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file

from analysis.pages import PRESETS as PAGE
from analysis.pages import made, put
from analysis.presets_parity import parts
from atrcnas import ContextConfig, Experiment, Pair, retrain, search
from atrcnas.cli import main
from atrcnas.deploy.job import deploy_run
from atrcnas.engine import evaluate
from atrcnas.ground.errors import AtrcnasError
from atrcnas.runs.results import read_results
from atrcnas.spec.bundled import names
from tests.conftest import TINY

STUDY = runpy.run_path(str(Path(__file__).parents[2] / "analysis/presets_table.py"))
STANDS = {stand.title: stand for stand in STUDY["STANDS"]}
TRIALS = [(title, trial) for title, stand in STANDS.items() for trial in STUDY["trials"](stand)]
PRESETS = [(title, trial) for title, trial in TRIALS if trial.preset]
COLUMNS = {"presets": 8, "searches": 10}


def named(tried: list[tuple[str, Any]]) -> Any:
    """Parametrise over trials."""
    return pytest.mark.parametrize(("title", "trial"), tried, ids=[f"{title} {trial.name}" for title, trial in tried])


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Data set -> folder with its files."""
    found = {title: tmp_path_factory.mktemp("stand") for title in STANDS}
    for title, root in found.items():
        STUDY["write_stand"](STANDS[title], root)
    return found


@pytest.fixture(autouse=True)
def one_timed_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latency is not what is tried here."""
    monkeypatch.setattr(evaluate, "measure_costs", partial(evaluate.measure_costs, repeats=1))


def test_every_preset_and_space_is_tried() -> None:
    assert {trial.preset for _, trial in PRESETS} == set(names("search_spaces/presets"))
    assert {trial.space for _, trial in TRIALS if trial.space} == set(names("search_spaces"))


@named(PRESETS)
def test_a_preset_trains_and_exports(roots: dict[str, Path], tmp_path: Path, title: str, trial: Any) -> None:
    spec, contexts = STUDY["experiment"](STANDS[title], roots[title], trial), ContextConfig.load(trial.preset)
    STUDY["train"](spec, contexts, tmp_path / "run")
    STUDY["export"](spec, contexts, tmp_path / "run")


@pytest.mark.slow
@named(TRIALS)
def test_a_trial_passes_every_check(roots: dict[str, Path], tmp_path: Path, title: str, trial: Any) -> None:
    outcome = STUDY["attempt"](STUDY["experiment"](STANDS[title], roots[title], trial), trial, tmp_path / "run")
    assert outcome == dict.fromkeys(("searches", "trains", "exports", "deploys"), "")


def test_whole_persons_train_through_the_reader(roots: dict[str, Path], tmp_path: Path) -> None:
    """PASCAL without grouping: two classes where the table has seven."""
    root = str(roots["PASCAL-Context"])
    trial = next(trial for _, trial in PRESETS if trial.preset == "uniform-tlabel")
    spec = STUDY["experiment"](STANDS["PASCAL-Context"], root, replace(trial, tasks=("human_parts", "edge")))
    spec = Experiment.load(spec.dump(), ["data.options.part_grouping=none"])
    STUDY["train"](spec, ContextConfig.load("uniform-tlabel"), tmp_path / "run")
    head = load_file(tmp_path / "run/model.safetensors")["heads.human_parts.body.0.weight"]
    assert len(head) == 2


def test_the_single_task_preset_refuses_several_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = tmp_path / "two.yaml"
    experiment.write_text(yaml.safe_dump(TINY))
    given = ["retrain", str(experiment), "--contexts", "single-task", "--run", str(tmp_path / "run")]
    monkeypatch.setattr("sys.argv", ["atrcnas", *given])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "is for 1 task, the experiment has 2: semseg, depth" in said
    assert "Set its tasks to ['semseg']" in said
    assert "Traceback" not in said


def tiny(name: str, *overrides: str) -> Experiment:
    """A bundled experiment, small and short."""
    recipe = {"steps": 2, "batch_size": 2, "validate_every": 2, "log_every": 1}
    bundled = Experiment.load(name, ["backbone.name=mobilenetv3_small_050", "devices=cpu", *overrides])
    data = {"options": {"image_size": [64, 96], "train_size": 4, "val_size": 2}, "workers": 0}
    return bundled.replace(data=data, search=recipe, retrain=recipe)


def test_a_search_per_pair_and_level_is_exported_retrained_and_deployed(tmp_path: Path) -> None:
    spec = tiny("rooms-pyramid", "tasks=[semseg,depth]")
    found = search(spec, tmp_path / "run")
    retrain(spec, found, tmp_path / "run")
    deploy_run(tmp_path / "run", [tmp_path / "model.pt2"])
    contexts = ContextConfig.load(tmp_path / "run/contexts.yaml")
    assert contexts.levels == (4, 8, 16, 32)
    assert len(contexts.kinds(spec.tasks)) == 4 * 4
    assert contexts.model.propagate
    logits = pd.read_csv(tmp_path / "run/search/logits.csv")
    assert set(logits["level"]) == {4, 8, 16, 32}
    assert set(read_results(tmp_path / "run")["scores"]) == {"semseg", "depth"}
    assert (tmp_path / "model.pt2").stat().st_size > 0


def test_auxiliary_tasks_are_learnt_and_distilled_but_not_predicted(tmp_path: Path) -> None:
    spec = tiny("rooms-auxiliary")
    retrain(spec, ContextConfig.load("mti-net"), tmp_path / "run")
    assert set(read_results(tmp_path / "run")["scores"]) == {"semseg", "depth"}
    state = load_file(tmp_path / "run/model.safetensors")
    predicted, supervised = ({key.split(".")[i] for key in state if key.startswith(part)} for part, i in PARTS)
    assert predicted == {"semseg", "depth"}
    assert supervised == {"semseg", "depth", "normals", "edge"}
    losses = pd.read_csv(tmp_path / "run/retrain/metrics.csv").query("stage == 'train' and name == 'loss'")
    assert {"normals", "edge"} <= set(losses["task"].dropna())
    pairs = ContextConfig.load(tmp_path / "run/contexts.yaml").kinds(spec.tasks, spec.all_tasks)
    assert pairs[Pair("semseg", "edge", 8)] == "mti"
    assert "edge" not in {pair.target for pair in pairs}


# Prefix of a weight's name -> which part of the name is the task.
PARTS = (("heads.", 1), ("initial.", 2))


def page_rows() -> list[list[str]]:
    lines = [line for line in made(PAGE, "presets").splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return [row for row in rows if row[0].startswith("`")]


def test_the_page_has_a_row_for_every_trial_and_no_failure() -> None:
    rows, tried = page_rows(), {trial.name: trial for _, trial in TRIALS}
    assert sorted(row[0] for row in rows) == sorted(tried)
    assert {cell for row in rows for cell in row[1:-1]} == {"yes", "-"}
    assert {len(row) for row in rows} == set(COLUMNS.values())
    proven = dict.fromkeys(STUDY["PROOFS"], True)
    assert {row[0]: row[-1] for row in rows} == {name: STUDY["parity"](trial, proven) for name, trial in tried.items()}


def test_parity_names_the_parts_a_point_is_made_of() -> None:
    found = {trial.preset or trial.space: parts(trial) for title, trial in TRIALS}
    plain = ["conv3-features", "conv1-head"]
    assert found["baseline"] == found["single-task"] == [*plain, "baseline-network"]
    assert found["aspp-baseline"] == ["conv3-features"]
    assert found["mti-baseline"] == ["pyramid-head"]
    assert found["pad-net"] == ["mti", "bottleneck2-features", "bottleneck2-head", "pad-net-network"]
    assert found["mti-net"] == ["mti", "propagation", "basic2-features", "pyramid-head", "mti-net-network"]
    assert found["uniform-slabel"] == ["tlabel", "slabel", "relations", *plain, "atrc-network"]
    assert found["uniform-local"] == ["local", "relations", *plain]
    assert found["atrc-nyud-hrnet48"] == ["global", "tlabel", "slabel", "relations", *plain, "atrc-network"]
    searched = ["global", "local", "tlabel", "slabel", "relations", *plain, "mixture", "entropy"]
    assert found["atrc"] == searched
    tlabel = next(trial for _, trial in TRIALS if trial.preset == "uniform-tlabel")
    assert STUDY["parity"](tlabel, dict.fromkeys(STUDY["PROOFS"], True) | {"tlabel": False}) == "no: tlabel"


@pytest.mark.slow
def test_every_part_is_proven_and_a_test_that_does_not_run_is_no_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(STUDY["prove"](tmp_path).values())
    monkeypatch.setitem(STUDY["PROOFS"], "mti", "tests/parity/test_mti.py::test_that_is_not_there")
    assert not STUDY["prove"](tmp_path)["mti"]


def test_what_is_made_goes_between_the_markers_of_its_name_only() -> None:
    begin, end = "<!-- x:begin -->", "<!-- x:end -->"
    assert put(f"a\n{begin}\nold\n{end}\nb", "x", "new") == f"a\n{begin}\nnew\n{end}\nb"
    for text in ("no markers", f"{end}{begin}", f"{begin}{begin}{end}", f"{begin}{end}{end}"):
        with pytest.raises(AtrcnasError, match="once each"):
            put(text, "x", "new")
