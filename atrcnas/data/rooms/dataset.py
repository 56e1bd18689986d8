"""The data set: scenes by number, split by ranges of numbers."""

from typing import ClassVar

import numpy as np
from pydantic import Field, field_validator

from atrcnas.data.generated import Generated
from atrcnas.data.rooms.classes import HumanPart, Semseg
from atrcnas.data.rooms.corruption import corrupt_semseg, missing_depth
from atrcnas.data.rooms.labels import LABELS, instance_map, label
from atrcnas.data.rooms.raycast import Surface
from atrcnas.data.rooms.render import expose, render
from atrcnas.data.rooms.scene import Scene, build_scene
from atrcnas.data.sample import Sample
from atrcnas.spec.schema import Float, Int, Spec

# Each split owns a range of scene numbers this long, so that no setting of the sizes can make them meet.
_SPLIT_RANGE = 10**9


class RoomsOptions(Spec):
    """Options of the rooms; ``seed`` selects one of many disjointly drawn data sets."""

    seed: Int = Field(0, ge=0, description="Seed of the data set; a scene depends only on it and on its own number.")
    image_size: tuple[Int, Int] = Field((96, 128), description="Height and width in pixels, each 32 to 1024.")
    train_size: Int = Field(2000, ge=1, le=_SPLIT_RANGE, description="Number of training images.")
    val_size: Int = Field(200, ge=1, le=_SPLIT_RANGE, description="Number of validation images.")
    test_size: Int = Field(200, ge=1, le=_SPLIT_RANGE, description="Number of test images.")
    label_noise: Float = Field(
        0.0,
        ge=0.0,
        le=0.5,
        description="Share of things with a confused class and of outlines moved by 2 px, in semseg.",
    )
    missing_depth: Float = Field(
        0.0, ge=0.0, le=0.9, description="Share of pixels without depth: blobs, far and grazing surfaces first."
    )
    sensor_noise: Float = Field(
        0.02, ge=0.0, le=0.5, description="Standard deviation of the image noise, on a scale where white is 1."
    )

    @field_validator("image_size")
    @classmethod
    def _bounded(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not all(32 <= side <= 1024 for side in value):
            raise ValueError(f"expected a height and a width in 32..1024, got {value}. Set image_size: [96, 128].")
        return value


class Rooms(Generated[RoomsOptions]):
    """Rendered rooms with exact ground truth for six tasks; a pure function of the options and the index."""

    Options: ClassVar[type[RoomsOptions]] = RoomsOptions
    name, all_tasks = "rooms", tuple(LABELS)
    way_out = "For tasks of your own, take data.name: folder."
    class_names: ClassVar[dict[str, tuple[str, ...]]] = {
        "semseg": tuple(member.name.lower() for member in Semseg),
        "human_parts": tuple(member.name.lower() for member in HumanPart),
    }

    @classmethod
    def num_classes(cls, options: RoomsOptions) -> dict[str, int]:
        """Number of classes of the tasks that have classes."""
        return {task: len(names) for task, names in cls.class_names.items()}

    def __getitem__(self, index: int) -> Sample:
        """Render one sample.

        Args:
            index: in [0, len(self)).

        Returns:
            Image [H, W, 3] uint8 RGB, and per task: ``semseg`` int64 in [0, 15); ``human_parts`` int64 in [0, 7), 0
            where there is no person; ``edge`` and ``sal`` int64 in {0, 1}; ``depth`` float32, metres along the optical
            axis, 0 where missing; ``normals`` [H, W, 3] float32, unit, in the camera frame with x right, y down and z
            forward into the scene. Visible surfaces face the camera: normal and ray never point the same way, so that z
            is negative except for grazing surfaces towards the image border, where perspective shows sides with z > 0.

        Raises:
            IndexError: ``index`` is out of range.
        """
        self.check(index)
        number = self.place * _SPLIT_RANGE + int(index)
        scene = build_scene(self.options.seed, number)
        shape = self.options.image_size
        radiance, surface = render(scene, shape)
        image = expose(self._rng(number, 1), radiance, self.options.sensor_noise)
        targets = {task: label(task, scene, surface, shape) for task in self.tasks}
        valid = {task: np.ones(shape, dtype=bool) for task in self.tasks}
        self._corrupt(number, scene, surface, targets, valid)
        return Sample(f"{self.split}_{index:06d}", image, targets, valid)

    def _rng(self, number: int, stream: int) -> np.random.Generator:
        """A generator of its own for each source of noise: switching one on leaves the others as they are."""
        return np.random.default_rng((self.options.seed, number, stream))

    def _corrupt(
        self, number: int, scene: Scene, surface: Surface, targets: dict[str, np.ndarray], valid: dict[str, np.ndarray]
    ) -> None:
        shape = self.options.image_size
        if "semseg" in targets and self.options.label_noise:
            instance = instance_map(scene, surface).reshape(shape)
            targets["semseg"] = corrupt_semseg(
                self._rng(number, 2), targets["semseg"], instance, self.options.label_noise
            )
        if "depth" in targets and self.options.missing_depth:
            rays = scene.camera.rays(*shape)
            normals = scene.camera.axes @ surface.normal
            facing = -(rays * normals).sum(axis=0) / np.sqrt((rays * rays).sum(axis=0))
            missing = missing_depth(
                self._rng(number, 3), targets["depth"], facing.reshape(shape), self.options.missing_depth
            )
            valid["depth"] = ~missing
            # No value of a hole may leak into a loss that forgets the mask.
            targets["depth"] = np.where(missing, np.float32(0), targets["depth"])
