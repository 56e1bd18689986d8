"""PASCAL-Context in the layout of the multi-task benchmark (PASCAL_MT): 4998 training and 5105 validation images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from atrcnas.data.id_lists import Labels, Layout, Listed, ListedOptions
from atrcnas.data.pascal_context import boundaries, has_normals, read_label_map
from atrcnas.data.pascal_parts import GROUPS, read_parts
from atrcnas.data.rasters import read_array
from atrcnas.data.reading import decode_vector, read_classes
from atrcnas.data.sample import Split
from atrcnas.ground.errors import DataError

NUM_SAMPLES = {"train": 4998, "val": 5105}
# The classes of PASCAL VOC, in their order.
_CLASSES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor"
)
CLASSES = tuple(_CLASSES.split())
_HINT = "Replace the file with that of the published archive."
_LABEL_MAP = "pascal-context/trainval/{id}.mat"


class PascalOptions(ListedOptions):
    """Where PASCAL-Context is, and how finely people are divided."""

    root: Path = Field(description="folder PASCAL_MT (with ImageSets, ...), or the folder it was unpacked into")
    part_grouping: Literal["six", "none"] = Field(
        default="six", description="six: the parts of a person as published; none: whole persons"
    )


class Pascal(Listed):
    """One split of PASCAL-Context.

    Every sentinel of the files becomes a valid mask: semseg stores 255 for no ground truth; human_parts has none in an
    image without any part of a person; normals have some only on classes that NYUD knows too, see
    :mod:`atrcnas.data.pascal_context`. Saliency is a probability in 0..255, cut in the middle. Edges are the boundaries
    of the 459-class label map.

    Attributes:
        class_names: task -> names in class order.
    """

    Options: ClassVar[type[PascalOptions]] = PascalOptions
    layout: ClassVar[Layout] = Layout(
        name="pascal",
        folders=("PASCAL_MT", "PASCALContext"),
        lists="ImageSets/Context",
        image=("JPEGImages/{id}.jpg",),
        files={
            "semseg": (("semseg/VOC12/{id}.png", "semseg/pascal-context/{id}.png"),),
            "human_parts": (("human_parts/{id}.mat",),),
            "sal": (("sal_distill/{id}.png",),),
            "normals": (("normals_distill/{id}.png",), (_LABEL_MAP,)),
            "edge": ((_LABEL_MAP,),),
        },
    )

    def __init__(self, options: PascalOptions, split: Split, tasks: Sequence[str]) -> None:
        """Read the split's list and check that its files are there; see :class:`Listed`."""
        super().__init__(options, split, tasks)
        self._grouping = options.part_grouping
        self.class_names = self.names_of_classes(options)

    @classmethod
    def names_of_classes(cls, options: PascalOptions) -> Mapping[str, Sequence[str]]:
        """Task -> names in class order."""
        return {"semseg": CLASSES, "human_parts": ("background", *GROUPS[options.part_grouping])}

    @classmethod
    def num_classes(cls, options: PascalOptions) -> dict[str, int]:
        """Class counts of the tasks whose count depends on the data set."""
        return {task: len(names) for task, names in cls.names_of_classes(options).items()}

    def _read(self, task: str, name: str, shape: tuple[int, int]) -> Labels:
        path = self._path(task, name)
        if task == "human_parts":
            return read_parts(path, shape, self._grouping)
        if task == "sal":
            return _read_saliency(path)
        if task == "edge":
            edges = boundaries(read_label_map(path))
            return edges.astype(np.int64), np.ones(edges.shape, np.bool_)
        if task == "normals":
            return _read_normals(path, self._path(task, name, part=1), self._unit_normals)
        return read_classes(path, num_classes=len(CLASSES), way_out=_HINT)


def _read_saliency(path: Path) -> Labels:
    raw = read_array(path, indexed=True)
    if raw.ndim != 2 or raw.dtype != np.uint8:
        raise DataError(f"{path}: expected 8-bit grey, got {list(raw.shape)} {raw.dtype}. {_HINT}")
    return (raw > 127).astype(np.int64), np.ones(raw.shape, np.bool_)


def _read_normals(path: Path, label_map: Path, unit: bool) -> Labels:
    normals, valid = decode_vector(read_array(path), path, unit=unit)
    counted = has_normals(read_label_map(label_map))
    if counted.shape != valid.shape:
        raise DataError(
            f"{label_map}: expected the size of {path.name}, {valid.shape[0]} x {valid.shape[1]}, "
            f"got {counted.shape[0]} x {counted.shape[1]}. {_HINT}"
        )
    valid &= counted
    normals[~valid] = 0.0
    return normals, valid
