"""`planted`: two tasks of which it is known, by construction, which kind of context brings the target what it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field, field_validator

from atrcnas.data.generated import Generated
from atrcnas.data.plants import PLANTS, Scene
from atrcnas.data.sample import Sample, Split
from atrcnas.spec.schema import Float, Int, Spec

# Of 255. Green and blue of the classes, and where none is visible; how far evidence moves red from there.
_LEVELS = {2: (32, 224), 4: (32, 96, 160, 224)}
_UNSEEN, _EVIDENCE = 128, 96


class PlantedOptions(Spec):
    """Options of the planted scenes."""

    plant: str = Field("near_value", description=f"What the target needs of the source: {', '.join(PLANTS)}.")
    seed: Int = Field(
        0, ge=0, description="Seed of the data set; a scene depends only on it, its split and its number."
    )
    train_size: Int = Field(600, ge=1, le=10**9, description="Number of training images.")
    val_size: Int = Field(64, ge=1, le=10**9, description="Number of validation images.")
    test_size: Int = Field(64, ge=1, le=10**9, description="Number of test images.")
    noise: Float = Field(8.0, ge=0, le=64, description="Standard deviation of the image noise, of 255.")

    @field_validator("plant")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in PLANTS:
            raise ValueError(f"expected one of {', '.join(PLANTS)}, got '{value:.40}'.")
        return value


class Planted(Generated[PlantedOptions]):
    """Drawn scenes, 32 x 96; a pure function of the options, the split and the index."""

    Options: ClassVar[type[PlantedOptions]] = PlantedOptions
    name, all_tasks = "planted", ("source", "target")
    way_out = "Take both as the bundled experiment `planted` does."

    def __init__(self, options: PlantedOptions, split: Split, tasks: Sequence[str]) -> None:
        super().__init__(options, split, tasks)
        self.class_names = self.names_of_classes(options)

    @classmethod
    def names_of_classes(cls, options: PlantedOptions) -> dict[str, tuple[str, ...]]:
        """Task -> names of its classes; a class of the target is that of the pixel and the bit."""
        source, own = PLANTS[options.plant].classes
        return {
            "source": tuple("abcd"[:source]),
            "target": tuple(f"{name}{bit}" for name in "abcd"[:own] for bit in "01"),
        }

    @classmethod
    def num_classes(cls, options: PlantedOptions) -> dict[str, int]:
        """Number of classes of each task."""
        return {task: len(names) for task, names in cls.names_of_classes(options).items()}

    def __getitem__(self, index: int) -> Sample:
        """Draw one sample.

        Args:
            index: in [0, len(self)).

        Returns:
            Image [32, 96, 3] uint8 RGB, and of each task int64 classes, valid where they count.

        Raises:
            IndexError: ``index`` is out of range.
        """
        self.check(index)
        rng = np.random.default_rng((self.options.seed, self.place, int(index)))
        plant = PLANTS[self.options.plant]
        scene = plant.draw(rng)
        image = _image(scene, plant.classes) + rng.normal(0, self.options.noise, (*scene.red.shape, 3))
        targets = {"source": scene.source, "target": 2 * scene.own + scene.bit}
        valid = {"source": scene.source_seen, "target": scene.scored}
        return Sample(
            f"{self.split}_{index:06d}",
            image.round().clip(0, 255).astype(np.uint8),
            {task: targets[task].astype(np.int64) for task in self.tasks},
            {task: valid[task].copy() for task in self.tasks},
        )


def _image(scene: Scene, classes: tuple[int, int]) -> np.ndarray:
    """[32, 96, 3] float, without noise: evidence in red, the target's class in green, the source's in blue."""
    source, own = (np.array(_LEVELS[number]) for number in classes)
    green = np.where(scene.own_seen, own[scene.own], _UNSEEN)
    blue = np.where(scene.source_seen, source[scene.source], _UNSEEN)
    return np.stack((_UNSEEN + _EVIDENCE * scene.red, green, blue), axis=-1)
