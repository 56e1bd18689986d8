"""The data set: scenes by number, split by ranges of numbers."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from atrcnas.data.rooms.classes import HumanPart, Semseg
from atrcnas.data.rooms.corruption import corrupt_semseg, missing_depth
from atrcnas.data.rooms.labels import LABELS, instance_map, label
from atrcnas.data.rooms.raycast import Surface
from atrcnas.data.rooms.render import expose, render
from atrcnas.data.rooms.scene import Scene, build_scene
from atrcnas.data.sample import Sample
from atrcnas.ground.errors import ConfigError
from atrcnas.spec.schema import Float, Int, Spec

# Each split owns a range of scene numbers this long, so that no setting of the sizes can make them meet.
_SPLIT_RANGE = 10**9
_SPLITS = ("train", "val", "test")


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


class Rooms:
    """Rendered rooms with exact ground truth for six tasks; a pure function of the options and the index."""

    Options: ClassVar[type[RoomsOptions]] = RoomsOptions
    all_tasks: ClassVar[tuple[str, ...]] = tuple(LABELS)
    class_names: ClassVar[dict[str, tuple[str, ...]]] = {
        "semseg": tuple(member.name.lower() for member in Semseg),
        "human_parts": tuple(member.name.lower() for member in HumanPart),
    }

    def __init__(self, options: RoomsOptions, split: Literal["train", "val", "test"], tasks: Sequence[str]) -> None:
        """Open a split; nothing is rendered before it is asked for.

        Raises:
            ValueError: an unknown split.
            ConfigError: an unknown or repeated task.
        """
        if split not in _SPLITS:
            raise ValueError(f"rooms: split: expected one of {', '.join(_SPLITS)}, got {split!r}.")
        unknown = [task for task in tasks if task not in LABELS]
        if unknown or len(set(tasks)) != len(tasks):
            expected = ", ".join(self.all_tasks)
            raise ConfigError(
                f"tasks: 'rooms' has {expected}, each once; got {', '.join(map(str, tasks))}. For tasks of your own, take "
                "data.name: folder."
            )
        self.options, self.split, self.tasks = options, split, tuple(tasks)
        sizes = (options.train_size, options.val_size, options.test_size)
        self._size = sizes[_SPLITS.index(split)]
        self._first = _SPLITS.index(split) * _SPLIT_RANGE

    @classmethod
    def num_classes(cls, options: RoomsOptions) -> dict[str, int]:
        """Number of classes of the tasks that have classes."""
        return {task: len(names) for task, names in cls.class_names.items()}

    def __len__(self) -> int:
        return self._size

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
        if not 0 <= index < self._size:
            raise IndexError(f"rooms: {self.split} has {self._size} images; got index {index}.")
        number = self._first + int(index)
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
