"""The published recipes, and ours for the same data sets, run on rooms in every layout these come in."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from analysis.dataset_files import write_nyud, write_pascal
from atrcnas import ContextConfig, Experiment, retrain, search
from atrcnas.data.nyud import Nyud
from atrcnas.data.pascal import Pascal
from atrcnas.data.rooms import Rooms
from atrcnas.engine import evaluate
from atrcnas.engine.checkpoints import read_checkpoint
from atrcnas.engine.networks import supernet

# The canvas is larger than the images, so that training and validation pad them.
SIZE, CANVAS = (64, 96), "[80,112]"
LAYOUTS = {"NYUD_MT": "nyud", "NYUDv2": "nyud", "PASCAL_MT": "pascal", "PASCALContext": "pascal"}
# With a tiny backbone at every change, with their own now and then.
TRIED = [
    ("nyud-hrnet18", "NYUDv2", "mobilenetv3_small_050"),
    ("nyud-hrnet18-wide", "NYUD_MT", "mobilenetv3_small_050"),
    ("pascal-hrnet18", "PASCALContext", "mobilenetv3_small_050"),
]
SLOWLY = [
    pytest.param(f"{data}-{backbone}", layout, None, marks=pytest.mark.slow)
    for layout, data in LAYOUTS.items()
    if layout != "PASCALContext"  # PASCAL_MT by another name
    for backbone in ("hrnet18", "hrnet48")
]
SLOWLY += [pytest.param("nyud-convnext-wide", "NYUD_MT", None, marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Layout -> the folder that holds a data set in it."""
    found = {layout: tmp_path_factory.mktemp(layout) for layout in LAYOUTS}
    for split, size in (("train", 9), ("val", 2)):
        for data, tasks in (("nyud", Nyud.layout.tasks), ("pascal", Pascal.layout.tasks)):
            options = Rooms.Options(image_size=SIZE, train_size=size, val_size=size)
            rooms = Rooms(options, split, tasks)  # type: ignore[arg-type]
            samples: Any = [rooms[index] for index in range(size)]
            if data == "nyud":
                write_nyud(samples, found["NYUD_MT"], split)
                write_nyud(samples, found["NYUDv2"], split, older=True)
            else:
                write_pascal(samples, found["PASCAL_MT"], split)
                write_pascal(samples, found["PASCALContext"], split)
    (found["PASCALContext"] / "PASCAL_MT").rename(found["PASCALContext"] / "PASCALContext")
    return found


def recipe(name: str, root: Path, backbone: str | None) -> Experiment:
    """Two steps of the recipe on a small canvas, with random weights."""
    short = [f"{stage}.{key}=2" for stage in ("search", "retrain") for key in ("steps", "batch_size", "validate_every")]
    small = [f"data.augment.crop_size={CANVAS}", f"data.pad_to={CANVAS}", "data.workers=0", "devices=cpu"]
    place = [f"data.options.root={root}", "backbone.weights=none"]
    document = Experiment.load(name).dump()
    for stage in ("search", "retrain"):
        document[stage]["warm_up"] = min(document[stage]["warm_up"], 1)
    if backbone is not None:
        document["backbone"] = {"name": backbone}
        document["model"]["width"] = 16
    return Experiment.load(document, [*short, *small, *place])


@pytest.fixture(autouse=True)
def one_timed_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latency is not what is tried here."""
    monkeypatch.setattr(evaluate, "measure_costs", partial(evaluate.measure_costs, repeats=1))


@pytest.mark.parametrize(
    ("name", "widths"), [("nyud-hrnet18-wide", (18, 36, 72, 144)), ("nyud-convnext-wide", (96, 192, 384, 768))]
)
def test_our_recipes_build_at_their_own_size(name: str, widths: tuple[int, ...]) -> None:
    spec = Experiment.load(name, ["backbone.weights=none"])
    with torch.device("meta"):
        net = supernet(spec)
        predictions = net.eval().encode(torch.empty(1, 3, *spec.data.augment.crop_size)).features[4]
    assert tuple(net.backbone.widths.values()) == widths
    assert {x.shape[-2:] for x in predictions.values()} == {(107, 140)}
    kinds = {kind for pool in net.candidates.values() for kind in pool}
    assert kinds == {"none", "linear", "global", "local", "wide", "aspp"}
    assert not [*net.labels["4"]], "no kind needs label maps"


@pytest.mark.parametrize(("name", "layout", "backbone"), [*TRIED, *SLOWLY])
def test_a_recipe_runs_two_steps(
    roots: dict[str, Path], tmp_path: Path, name: str, layout: str, backbone: str | None
) -> None:
    spec, run = recipe(name, roots[layout], backbone), tmp_path / "run"
    found = search(spec, run)
    assert isinstance(found, ContextConfig)
    retrain(spec, found, run)
    for stage in ("search", "retrain"):
        rows = pd.read_csv(run / stage / "metrics.csv")
        losses = rows.query("name == 'loss'")["value"]
        assert len(losses) and losses.map(lambda value: value == value).all()
        state = read_checkpoint(run / stage / "checkpoints/last.ckpt")["objective"]["labels_normals"]
        given = Nyud if LAYOUTS[layout] == "nyud" else Pascal
        published = given(given.Options(root=roots[layout]), "val", ("edge",)).centroids["normals"]
        assert torch.equal(state.cpu(), torch.from_numpy(published))
