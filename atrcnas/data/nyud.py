"""NYUD-v2 in both layouts of the multi-task benchmark: 795 training and 654 validation images of rooms.

NYUD_MT has JPEG images and .npy edges and normals; NYUDv2, its older form, has PNG for all but depth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from atrcnas.data.id_lists import Labels, Layout, Listed, ListedOptions
from atrcnas.data.reading import read_classes, read_scalar, read_vector

NUM_SAMPLES = {"train": 795, "val": 654}
# The 40 classes of Gupta et al., CVPR 2013, in their order.
_CLASSES = (
    "wall floor cabinet bed chair sofa table door window bookshelf picture counter blinds desk shelves curtain dresser "
    "pillow mirror floor_mat clothes ceiling books refrigerator television paper towel shower_curtain box whiteboard "
    "person night_stand toilet sink lamp bathtub bag other_structure other_furniture other_prop"
)
CLASSES = tuple(_CLASSES.split())
_HINT = "Replace the file with that of the published archive."


class NyudOptions(ListedOptions):
    """Where NYUD-v2 is."""

    root: Path = Field(description="folder NYUD_MT or NYUDv2 (with gt_sets, images, ...), or what it was unpacked into")


class Nyud(Listed):
    """One split of NYUD-v2.

    Every sentinel of the files becomes a valid mask: semseg stores 0 for background, which has no ground truth, and
    1..40 for the classes 0..39; depth is in metres with 0 where the sensor saw nothing; normals are float vectors, zero
    where unknown, or colours p of the vector 2p/255 - 1; edge is 0 or 1 in .npy, 0 or 255 in PNG.

    Attributes:
        class_names: task -> names in class order.
    """

    Options: ClassVar[type[NyudOptions]] = NyudOptions
    class_names: ClassVar[Mapping[str, Sequence[str]]] = {"semseg": CLASSES}
    layout: ClassVar[Layout] = Layout(
        name="nyud",
        folders=("NYUD_MT", "NYUDv2"),
        lists="gt_sets",
        image=("images/{id}.jpg", "images/{id}.png"),
        files={
            "semseg": (("segmentation/{id}.png",),),
            "depth": (("depth/{id}.npy",),),
            "normals": (("normals/{id}.npy", "normals/{id}.png"),),
            "edge": (("edge/{id}.npy", "edge/{id}.png"),),
        },
        image_size=(425, 560),
    )

    @classmethod
    def num_classes(cls, options: NyudOptions) -> dict[str, int]:
        """Class counts of the tasks whose count depends on the data set."""
        return {"semseg": len(CLASSES)}

    def _read(self, task: str, name: str, shape: tuple[int, int]) -> Labels:
        path = self._path(task, name)
        if task == "depth":
            return read_scalar(path, positive=True)
        if task == "normals":
            return read_vector(path, unit=self._unit_normals)
        if task == "edge" and path.suffix == ".png":
            return read_classes(path, num_classes=2, missing=-1, scale=1 / 255, way_out=_HINT)
        if task == "edge":
            return read_classes(path, num_classes=2, way_out=_HINT)
        return read_classes(path, num_classes=len(CLASSES), missing=0, shift=-1, way_out=_HINT)
