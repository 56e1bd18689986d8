"""Which samples each step draws: a pure function of (seed, step), so that a run resumes anywhere."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class StepBatches(Sampler[list[tuple[int, tuple[int, ...]]]]):
    """The batches of steps ``first .. steps - 1``, a pure function of (seed, step).

    Samples are shuffled again for each pass over ``indices``; a batch may span two passes, so that all are of one size.
    Where some images are not labelled for every task, single images give way so that each task has a labelled one in
    each batch, as far as there is room.

    Args:
        indices: samples to draw from.
        batch_size: over all processes; each takes its share.
        steps: of the whole training.
        first: the step to start with (after a resume).
        seed: of order and augmentation.
        rank: of this process.
        world: number of processes.
        drop_last: leave out what does not fill a batch at the end of a pass; without effect on less than a batch.
        labelled: one entry per partly labelled task, the indices that are labelled.
    """

    def __init__(
        self,
        indices: Sequence[int],
        batch_size: int,
        steps: int,
        *,
        seed: int,
        first: int = 0,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = False,
        labelled: Sequence[Collection[int]] = (),
    ) -> None:
        self.indices = np.asarray(indices)
        rest = len(indices) % batch_size if drop_last and len(indices) > batch_size else 0
        self.pass_length = len(indices) - rest
        self.labelled = [found for task in labelled if (found := set(task).intersection(self.indices.tolist()))]
        self.batch_size, self.steps, self.first = batch_size, steps, first
        self.seed, self.rank, self.world = seed, rank, world

    def __len__(self) -> int:
        return self.steps - self.first

    def __iter__(self) -> Iterator[list[tuple[int, tuple[int, ...]]]]:
        for step in range(self.first, self.steps):
            slots = range(step * self.batch_size, (step + 1) * self.batch_size)
            chosen = [self._sample(slot) for slot in slots]
            self._cover(chosen, step)
            yield [(chosen[k], (self.seed, slots[k])) for k in range(self.rank, self.batch_size, self.world)]

    def _sample(self, slot: int) -> int:
        turn, position = divmod(slot, self.pass_length)
        if getattr(self, "_turn", None) != turn:
            self._turn, self._order = turn, np.random.default_rng((self.seed, turn)).permutation(self.indices)
        return int(self._order[position])

    def _cover(self, chosen: list[int], step: int) -> None:
        """Give each task without a labelled image in the batch the place of one that the other tasks can spare."""
        for task, pool in enumerate(self.labelled):
            if not pool.isdisjoint(chosen):
                continue
            rng = np.random.default_rng((self.seed, step, task))
            for place in rng.permutation(len(chosen)):
                others = chosen[:place] + chosen[place + 1 :]
                if all(other.isdisjoint(chosen) or not other.isdisjoint(others) for other in self.labelled):
                    chosen[place] = int(rng.choice(sorted(pool)))
                    break
