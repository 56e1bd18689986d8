"""Anyone's own data: ``ROOT/{split}/{image,TASK,...}/NAME.*``, one folder of images and one per task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from atrcnas.data.folder_files import find_entries
from atrcnas.data.rasters import MAX_PIXELS
from atrcnas.data.reading import read_image
from atrcnas.data.resizing import resize_sample
from atrcnas.data.sample import Sample
from atrcnas.data.targets import TargetReader, ValueRule
from atrcnas.ground.errors import ConfigError, DataError
from atrcnas.spec.schema import Bool, Int, Spec
from atrcnas.spec.tasks import TASKS

Side = Annotated[Int, Field(ge=1, le=16384)]
ClassCount = Annotated[Int, Field(ge=2, le=65535)]
SplitFolder = Annotated[str, Field(min_length=1, max_length=255)]


class FolderOptions(Spec):
    """Where a folder data set is and how its files are to be understood."""

    root: Path = Field(description="folder that holds one folder per split")
    image_size: tuple[Side, Side] | None = Field(
        default=None, description="height, width to which images and targets are resized on reading; null: as they are"
    )
    classes: dict[str, ClassCount] = Field(
        default={}, description="class count of each class task whose count is not fixed"
    )
    class_names: dict[str, list[str]] = Field(
        default={}, description="names of each class task in class order; imply the count"
    )
    values: dict[str, ValueRule] = Field(default={}, description="how the files of each task store values")
    partial: Bool | tuple[str, ...] = Field(
        default=False, description="true, or a list of the tasks, where images may lack their ground-truth file"
    )
    train_split: SplitFolder = Field(default="train", description="folder of the training split")
    val_split: SplitFolder = Field(default="val", description="folder of the validation split")
    test_split: SplitFolder | None = Field(default=None, description="folder of the test split, if there is one")
    # Pillow itself warns above this bound and refuses twice as many.
    max_pixels: Int = Field(default=MAX_PIXELS, ge=1, le=89_478_485, description="files with more pixels are refused")

    @model_validator(mode="after")
    def _names_fit_counts(self) -> FolderOptions:
        for task, names in self.class_names.items():
            count = self.classes.get(task, len(names))
            if count != len(names):
                raise ValueError(
                    f"class_names.{task}: expected {count} names, to match classes.{task}, got {len(names)}. "
                    "Correct one of them."
                )
            if len(names) < 2:
                raise ValueError(f"class_names.{task}: expected at least 2 names, got {len(names)}. Name every class.")
        return self


class Folder:
    """One split of a folder data set.

    Files are PNG, JPEG and other images for ``image``; PNG, JPEG or .npy for targets. Classes are class numbers
    (greyscale or palette), depth is one channel (16-bit PNG or .npy) and normals are three (8-bit
    PNG coding v = 2p/255 - 1, or .npy).

    Attributes:
        class_names: class task -> names in class order, for tasks whose names are given.
    """

    Options = FolderOptions

    def __init__(self, options: FolderOptions, split: Literal["train", "val", "test"], tasks: Sequence[str]) -> None:
        """Find the files and check that they belong together, reading no more than their headers.

        Raises:
            ConfigError: an unknown task, a missing class count, or a rule that has no effect.
            DataError: files are missing, ambiguous or differ in size; one line per problem.
        """
        counts = self.num_classes(options)
        self._options = options
        self._readers = {
            name: TargetReader(
                TASKS[name].with_options(counts.get(name)), options.values.get(name, ValueRule()), options.max_pixels
            )
            for name in tasks
        }
        folder = {"train": options.train_split, "val": options.val_split, "test": options.test_split}[split]
        if folder is None:
            raise DataError(
                f"{options.root}: expected a {split} split, but none is declared. Set data.options.{split}_split."
            )
        partial = tasks if options.partial is True else options.partial or ()
        self._entries = find_entries(options.root, folder, list(tasks), options.max_pixels, partial)
        self.class_names = {name: tuple(options.class_names[name]) for name in tasks if name in options.class_names}

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Sample:
        """Read one sample.

        Raises:
            DataError: a file is damaged, has changed its size, or holds a class out of range.
        """
        entry = self._entries[index]
        image = read_image(entry.image, self._options.max_pixels)
        targets, valid = {}, {}
        for name, reader in self._readers.items():
            path = entry.targets.get(name)
            if path is None:
                targets[name], valid[name] = reader.nothing((image.shape[0], image.shape[1]))
                continue
            targets[name], valid[name] = reader.read(path)
            if valid[name].shape != image.shape[:2]:
                raise DataError(
                    f"{path}: expected the image's size, {image.shape[0]} x {image.shape[1]}, "
                    f"got {valid[name].shape[0]} x {valid[name].shape[1]}. The file has changed since the start."
                )
        sample = Sample(entry.name, image, targets, valid)
        return sample if self._options.image_size is None else resize_sample(sample, self._options.image_size)

    def labelled(self, task: str) -> list[int]:
        """The samples that have a ground-truth file of ``task``."""
        return [index for index, entry in enumerate(self._entries) if task in entry.targets]

    @classmethod
    def num_classes(cls, options: FolderOptions) -> dict[str, int]:
        """Class counts the user has declared, by count or by names.

        Raises:
            ConfigError: an entry for an unknown task, for one without classes, or one that contradicts a fixed count.
        """
        counts = {name: len(names) for name, names in options.class_names.items()} | options.classes
        for name, count in counts.items():
            where = f"data.options.{'classes' if name in options.classes else 'class_names'}.{name}"
            if name not in TASKS:
                raise ConfigError(f"{where}: {TASKS.miss(name)}")
            if TASKS[name].target != "classes":
                raise ConfigError(f"{where}: task '{name}' has no classes. Remove the entry.")
            try:
                TASKS[name].with_options(count)
            except ConfigError as error:
                raise ConfigError(f"{where}: {error}") from error
        for name in options.values:
            if name not in TASKS:
                raise ConfigError(f"data.options.values.{name}: {TASKS.miss(name)}")
        for name in options.partial if isinstance(options.partial, tuple) else ():
            if name not in TASKS:
                raise ConfigError(f"data.options.partial: {TASKS.miss(name)}")
        return counts
