"""The table of data sets: where each one's class is. A new data set is one file and one registration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from atrcnas.ground.registry import Registry


@dataclass(frozen=True)
class DataSet:
    """One source of samples.

    Attributes:
        name: the word in ``data.name``.
        source: a class with ``Options`` (pydantic), ``__init__(options, split, tasks)``, ``__len__``,
            ``__getitem__(index) -> Sample``, ``num_classes(options)`` and ``class_names``; or its ``"module:Class"`` string.
        description: one line.
    """

    name: str
    source: Any
    description: str


DATASETS: Registry[DataSet] = Registry("data set")
DATASETS.register(DataSet("rooms", "atrcnas.data.rooms:Rooms", "rendered rooms with all six tasks; no files needed"))
DATASETS.register(DataSet("folder", "atrcnas.data.folder:Folder", "your own images and label maps in folders"))
DATASETS.register(DataSet("nyud", "atrcnas.data.nyud:Nyud", "NYUD-v2: 40 classes, depth, normals, edges of rooms"))
DATASETS.register(DataSet("pascal", "atrcnas.data.pascal:Pascal", "PASCAL-Context: 21 classes, human parts, saliency"))
