"""The bundled experiment with a plain transformer trains as its authors train theirs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from timm.layers import DropPath

from atrcnas.engine.networks import fixed_network
from atrcnas.engine.optimizing import parameter_groups
from atrcnas.engine.retrain import retrain
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment

SMALL = [
    "data.options={image_size: [32, 64], train_size: 4, val_size: 1}",
    "data.workers=0",
    "data.selection=0",
    "backbone.options.img_size=[32, 64]",
    "retrain.steps=2",
    "retrain.warm_up=1",
    "retrain.batch_size=2",
    "retrain.validate_every=2",
    "retrain.log_every=1",
]


def test_rooms_vit_trains_two_steps(tmp_path: Path) -> None:
    experiment = Experiment.load("rooms-vit", SMALL)
    contexts = ContextConfig.load("uniform-global")
    net = fixed_network(experiment, contexts)
    assert max(m.drop_prob for m in net.modules() if isinstance(m, DropPath)) == pytest.approx(0.1)
    decayed = {g["weight_decay"]: {p.ndim for p in g["params"]} for g in parameter_groups(net, experiment.retrain)}
    assert decayed[0.0] <= {0, 1, net.backbone.get_parameter("body.model.pos_embed").ndim}
    assert min(decayed[0.05]) > 1
    retrain(experiment, contexts, tmp_path / "run")
    metrics = pd.read_csv(tmp_path / "run/retrain/metrics.csv")
    assert metrics.query("name == 'loss' and task != task")["value"].notna().all()
    assert metrics.query("name == 'learning_rate'")["value"].tolist() == [0.0005, 0.0005]
