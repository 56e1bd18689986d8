"""What the context of each pair is worth to a trained network: what its scores lose when the context is left out.

The weights stay as they were trained, with the context. A network that is trained without it makes up for some of the
loss, so that this says what a network uses, and not what the next best config would give.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from atrcnas.data.batch import Batch
from atrcnas.engine.devices import on_gpu
from atrcnas.engine.networks import load_network
from atrcnas.engine.recalibrate import recalibrate
from atrcnas.engine.scores import Scores
from atrcnas.engine.splits import calibration_loader, choosing_loader, kept_in_memory, open_splits
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.net import MultiTaskNet
from atrcnas.objectives.gain import multi_task_gain
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.tables import IMPORTANCE, Table
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.kinds import NONE
from atrcnas.spec.pairs import Pair
from atrcnas.spec.tasks import Task

Kinds = Mapping[Pair, str]


@dataclass(frozen=True)
class Ablation:
    """A trained network, to be scored with some of its contexts.

    Attributes:
        net: fixed, in evaluation mode; its BatchNorm statistics change.
        tasks: the predicted tasks.
        calibration: training images for the BatchNorm statistics.
        scoring: images that are scored on.
    """

    net: MultiTaskNet
    tasks: Mapping[str, Task]
    calibration: Iterable[Batch]
    scoring: Iterable[Batch]

    @property
    def kinds(self) -> dict[Pair, str]:
        """The kind of each pair of the whole network."""
        return {pair: kind for pair, (kind,) in self.net.candidates.items()}

    @torch.no_grad()
    def scores(self, kinds: Kinds) -> dict[str, float]:
        """Task -> score, in the score's unit, with BatchNorm statistics of this very network.

        Args:
            kinds: those of the whole network, or ``none`` where the context is left out.
        """
        device = next(self.net.parameters()).device
        mixture = Mixture.one_hot(kinds).to(device)
        recalibrate(self.net, mixture, self.calibration)
        scores = Scores(self.tasks, device, alone=True)
        for batch in self.scoring:
            batch = batch.to(device)
            scores.update(self.net(batch.image, batch.image_valid, mixture).predictions, batch)
        figures = scores.compute()
        return {name: figures[name][task.score] for name, task in self.tasks.items()}

    def drops(self) -> dict[Pair, dict[str, float]]:
        """Pair -> task -> what the score loses without the context of the pair, percent of the whole network's score.

        Positive where the context helps; exactly 0 for a pair of kind ``none``; NaN where a score is NaN or 0.
        """
        whole = self.scores(self.kinds)
        found = {}
        for pair, kind in self.kinds.items():
            rest = whole if kind == NONE else self.scores({**self.kinds, pair: NONE})
            found[pair] = {
                name: 0.0 if kind == NONE else 0.0 - multi_task_gain(rest, whole, [task])
                for name, task in self.tasks.items()
            }
        return found


def ablation_of(experiment: Experiment, net: MultiTaskNet) -> tuple[Ablation, str]:
    """A trained network and the samples of its experiment; scored on what choices are made on, of which split it says.

    Args:
        experiment: of the run.
        net: fixed, in evaluation mode.
    """
    splits, size = kept_in_memory(experiment, open_splits(experiment)), experiment.retrain.batch_size
    calibration = calibration_loader(experiment, splits, size)
    scoring = choosing_loader(experiment, splits, size)
    return Ablation(net, experiment.predicted_tasks(), calibration, scoring), splits.chosen_on


def write_importance(run: str | Path) -> Path:
    """Score the retrained network of a run without the context of each pair; write ``importance.csv``.

    Args:
        run: run folder with a retrained network.

    Returns:
        The file.

    Raises:
        RunError: no run folder, or nothing retrained in it.
        CheckpointError: the weights are missing or damaged.
    """
    folder = RunFolder(Path(run))
    with folder.locked():
        experiment = folder.load_experiment()
        net = load_network(folder).to("cuda" if on_gpu(experiment) else "cpu")
        ablation, split = ablation_of(experiment, net)
        kinds, drops = ablation.kinds, ablation.drops()
        rows = [
            (pair.level, pair.target, pair.source, kinds[pair], task, drop, split)
            for pair, by_task in drops.items()
            for task, drop in by_task.items()
        ]
        Table(folder.importance, IMPORTANCE).begin(rows)
    return folder.importance
