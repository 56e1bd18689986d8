"""Counted costs are exact: what a table of terms says of any config is what its network costs, built and counted whole."""

from __future__ import annotations

import pytest

from atrcnas.costs.fitting import draw
from atrcnas.engine.cost_table import counted_table, counts, pools_of
from atrcnas.spec.experiment import Experiment
from tests.conftest import TINY

SIZE = (64, 96)


@pytest.mark.parametrize("space", ["full", "wide", "pyramid"])
def test_terms_add_up_to_the_cost_of_every_config(space: str) -> None:
    """With three tasks, several targets share what a source has by its own label map."""
    model = {"neck": "pyramid", "head": "pyramid"} if space == "pyramid" else TINY["model"]
    backbone = {"name": "mobilenetv3_small_050", "weights": "none"}
    tasks = ["semseg", "depth", "normals"]
    experiment = Experiment.load({**TINY, "tasks": tasks, "space": space, "model": model, "backbone": backbone})
    table, drawn = counted_table(experiment, SIZE), draw(pools_of(experiment), 30, seed=7)
    for measure, found in counts(experiment, SIZE, drawn).items():
        assert [table.predict(config, measure) for config in drawn] == pytest.approx(found, rel=1e-4), measure
