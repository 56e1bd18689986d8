"""The table of data sets: where each one's class is. A new data set is one file and one registration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atrcnas.ground.registry import Registry


@dataclass(frozen=True)
class DataSet:
    """One source of samples.

    Attributes:
        name: the word in ``data.name``.
        source: a class with ``Options`` (pydantic), ``__init__(options, split, tasks)`` (name -> :class:`Task`),
            ``__len__``, ``__getitem__(index) -> Sample``, ``num_classes(options)`` and ``class_names``; or its
            ``"module:Class"`` string. If it has them, ``names_of_classes(options)`` stands for ``class_names`` before a
            split is opened, ``colours_of_classes(options)`` says how the data set's own pictures show classes, and
            ``check_tasks(options, table)`` refuses options that name a task which is not in the table.
        description: one line.
    """

    name: str
    source: Any
    description: str


def class_names(source: Any, options: Any) -> Mapping[str, Sequence[str]]:
    """Task -> names of its classes, as far as a data set says them before it is opened; ``source`` is its class."""
    own = getattr(source, "names_of_classes", None)
    return own(options) if own else getattr(source, "class_names", {})


def class_colours(source: Any, options: Any) -> Mapping[str, Sequence[tuple[int, int, int]]]:
    """Task -> colours of its classes, as far as a data set has some; ``source`` is its class."""
    own = getattr(source, "colours_of_classes", None)
    return own(options) if own else {}


DATASETS: Registry[DataSet] = Registry("data set")
DATASETS.register(DataSet("rooms", "atrcnas.data.rooms:Rooms", "rendered rooms with all six tasks; no files needed"))
DATASETS.register(
    DataSet("planted", "atrcnas.data.planted:Planted", "scenes whose best context is known; no files needed")
)
DATASETS.register(DataSet("folder", "atrcnas.data.folder:Folder", "your own images and label maps in folders"))
DATASETS.register(DataSet("nyud", "atrcnas.data.nyud:Nyud", "NYUD-v2: 40 classes, depth, normals, edges of rooms"))
DATASETS.register(DataSet("pascal", "atrcnas.data.pascal:Pascal", "PASCAL-Context: 21 classes, human parts, saliency"))
