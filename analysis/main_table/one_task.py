"""A rendered data set with the targets of one task, for the networks of a single task."""

from __future__ import annotations

from atrcnas.data.caching import Cached
from atrcnas.data.sample import Sample


class OneTask:
    """The samples of ``source`` with the target of one task.

    Args:
        source: samples with the targets of all tasks.
        task: its name.
    """

    def __init__(self, source: Cached, task: str) -> None:
        self.source, self.task = source, task
        self.class_names = {task: source.class_names[task]} if task in source.class_names else {}

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Sample:
        whole, task = self.source[index], self.task
        return Sample(whole.name, whole.image, {task: whole.targets[task]}, {task: whole.valid[task]})


def of_one_task(data: tuple[Cached, Cached], task: str) -> tuple[Cached, Cached]:
    """Both splits with the target of one task; nothing is copied but the table of samples."""
    train, val = (Cached(OneTask(split, task), 0) for split in data)
    return train, val
