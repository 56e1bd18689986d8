"""Who sees which sample: training, the logits of a bi-level search, the choice of states and configs, the report.

The validation split is for the report. What is chosen (the best checkpoint, the best of many configs) is chosen on the
selection part, `data.selection` of the training split, which nothing is trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch.utils.data import DataLoader

from atrcnas.data.batch import Batch
from atrcnas.data.caching import Cached
from atrcnas.data.loading import open_source, validation_loader
from atrcnas.data.sample import Source, labelled_indices
from atrcnas.ground.errors import ConfigError
from atrcnas.spec.experiment import Experiment

_CALIBRATION_BATCHES = 8
_CACHE_MIB = 512


@dataclass(frozen=True)
class Splits:
    """The data of a run; the three parts of the training split are disjoint.

    Attributes:
        train: the training split.
        val: the validation split.
        weights: indices into ``train`` that weights are trained on; in a single-level search the logits too.
        logits: those that the logits of a bi-level search are trained on; empty otherwise.
        selection: those that choices are made on; empty without ``data.selection``.
    """

    train: Source
    val: Source
    weights: Sequence[int]
    logits: Sequence[int]
    selection: Sequence[int]

    @property
    def choosing(self) -> tuple[Source, Sequence[int]]:
        """What choices are made on: the selection part, or without one the validation split."""
        return (self.train, self.selection) if self.selection else (self.val, range(len(self.val)))

    @property
    def chosen_on(self) -> str:
        """The split that :attr:`choosing` is of: "train" or "val"."""
        return "train" if self.selection else "val"


def open_splits(experiment: Experiment, held_out: float = 0.0) -> Splits:
    """Open and divide the data of an experiment; the same for the same seed.

    Args:
        experiment: its data, ``data.selection`` and seed.
        held_out: share of the training samples left by the selection that goes to the logits.

    Raises:
        ConfigError: a part that is asked for would be empty.
        DataError: files are missing or do not fit each other; each named.
    """
    train, val = open_source(experiment, "train"), open_source(experiment, "val")
    order = np.random.default_rng((experiment.seed, len(train))).permutation(len(train)).tolist()
    # At least one sample where a selection is asked for: the default share has to work for a handful of images too.
    share = max(experiment.data.selection, 1 / len(order)) if experiment.data.selection else 0.0
    order = _labelled_first(order, [labelled_indices(train, task) for task in experiment.all_tasks])
    selection = _cut(order, share, f"data.selection: {experiment.data.selection}", "choice and training")
    rest = order[len(selection) :]
    logits = _cut(rest, held_out, f"search.held_out: {held_out}", "the logits and the weights")
    return Splits(train, val, rest[len(logits) :], logits, selection)


def choosing_loader(experiment: Experiment, splits: Splits, batch_size: int, **place: int) -> DataLoader[Batch]:
    """Loader of the whole images that choices are made on, see :attr:`Splits.choosing`; ``place`` is rank and world.

    Under ``data.on_corrupt: skip`` another image of the selection part takes the place of one that cannot be read; an
    image of the validation split, which is reported on, never gives way.
    """
    source, samples = splits.choosing
    skips = splits.selection and experiment.data.on_corrupt == "skip"
    stand_ins = sorted(samples) if skips else None
    return validation_loader(experiment, source, batch_size, samples=samples, stand_ins=stand_ins, **place)


def kept_in_memory(experiment: Experiment, splits: Splits) -> Splits:
    """The same splits for who reads their samples again and again, for each config that is scored."""
    share = max(experiment.data.cache_mib, _CACHE_MIB) * 2**20 // max(2 * experiment.data.workers, 1)
    return replace(splits, train=Cached(splits.train, share), val=Cached(splits.val, share))


def calibration_loader(experiment: Experiment, splits: Splits, batch_size: int) -> DataLoader[Batch]:
    """Loader of a few whole training images, for BatchNorm statistics; without a last batch of one image, if it can."""
    whole = max(min(_CALIBRATION_BATCHES, len(splits.weights) // batch_size), 1)
    return validation_loader(experiment, splits.train, batch_size, samples=splits.weights[: whole * batch_size])


def _labelled_first(order: Sequence[int], labelled: Sequence[Sequence[int]]) -> list[int]:
    """``order`` with a labelled sample of each task at its beginning, to be scored on, and one at its end, to learn from.

    A task with a single labelled sample learns from it.
    """
    known = [[index for index in order if index in found] for found in map(set, labelled)]
    last = dict.fromkeys(found[-1] for found in known if found)
    first = dict.fromkeys(index for found in known for index in found[:1] if index not in last)
    return [*first, *(index for index in order if index not in first and index not in last), *last]


def _cut(samples: Sequence[int], share: float, said: str, who: str) -> list[int]:
    if share == 0:
        return []
    count = round(share * len(samples))
    if not 0 < count < len(samples):
        raise ConfigError(
            f"{said} of {len(samples)} training samples are {count}; both {who} need some. Choose another share, or 0."
        )
    return list(samples[:count])
