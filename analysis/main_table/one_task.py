"""An experiment, and its rendered data set, with one task alone."""

from __future__ import annotations

from atrcnas.data.caching import Cached
from atrcnas.data.sample import Sample
from atrcnas.spec.experiment import Experiment


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


def with_one_task(experiment: Experiment, task: str) -> Experiment:
    """The experiment with one of its tasks and the options of that one."""
    value = experiment.dump()
    options = {name: own for name, own in value["task_options"].items() if name == task}
    return Experiment.load({**value, "tasks": [task], "task_options": options})


def of_one_task(data: tuple[Cached, Cached], task: str) -> tuple[Cached, Cached]:
    """Both splits with the target of one task; nothing is copied but the table of samples."""
    train, val = (Cached(OneTask(split, task), 0) for split in data)
    return train, val
