"""Anyone's own data: ``ROOT/{split}/{image,TASK,...}/NAME.*``, one folder of images and one per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from atrcnas.data.colours import ColourTable, colour_table
from atrcnas.data.folder_files import find_entries
from atrcnas.data.masks import only_black_and_white
from atrcnas.data.rasters import MAX_PIXELS
from atrcnas.data.reading import read_image
from atrcnas.data.resizing import resize_sample
from atrcnas.data.sample import Sample, Split
from atrcnas.data.targets import BLACK_AND_WHITE, TargetReader, ValueRule
from atrcnas.ground.errors import ConfigError, DataError
from atrcnas.ground.registry import Registry
from atrcnas.spec.schema import Bool, Int, Spec
from atrcnas.spec.tasks import TASKS, Task

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

    def colours(self, task: str) -> ColourTable | None:
        """Which colour means which class in the files of a task; None if they hold no colours.

        Raises:
            ConfigError: the table cannot be used.
        """
        given = self.values[task].colours if task in self.values else None
        if given is None:
            return None
        return colour_table(given, self.root, f"data.options.values.{task}.colours")


class Folder:
    """One split of a folder data set.

    Files are PNG, JPEG and other images for ``image``; PNG or .npy for targets, and JPEG where they hold no classes.
    Classes are class numbers (greyscale or palette) or, with a table, colours; masks of two classes may be stored as 0 and
    255. Depth is one channel (16-bit PNG or .npy) and normals are three (8-bit PNG coding v = 2p/255 - 1, or .npy).

    Attributes:
        class_names: class task -> names in class order, for tasks whose names are given.
        stored: how the files of tasks with two classes were found to be stored; "" if there is no such task.
    """

    Options = FolderOptions

    def __init__(
        self,
        options: FolderOptions,
        split: Split,
        tasks: Mapping[str, Task] | Sequence[str],
    ) -> None:
        """Find the files and check that they belong together, reading no more than their headers and the masks of two classes.

        Args:
            options: where the data are, and how they are stored.
            split: which part.
            tasks: records with class counts by name, or names of the task table.

        Raises:
            ConfigError: an unknown task, a missing class count, or a rule that has no effect.
            DataError: files are missing, ambiguous or differ in size; one line per problem.
        """
        records = tasks if isinstance(tasks, Mapping) else self._records(options, tasks)
        self._options = options
        folders = {"train": options.train_split, "val": options.val_split, "test": options.test_split}
        folder = folders[split]
        if folder is None:
            raise DataError(
                f"{options.root}: expected a {split} split, but none is declared. Set data.options.{split}_split."
            )
        self._readers = {
            name: self._reader(task, [name for name in folders.values() if name]) for name, task in records.items()
        }
        partial = tuple(records) if options.partial is True else options.partial or ()
        exact = [name for name, task in records.items() if task.target == "classes"]
        self._entries = find_entries(options.root, folder, list(records), options.max_pixels, partial, exact)
        named = self.names_of_classes(options)
        self.class_names = {name: tuple(named[name]) for name in records if name in named}
        self.stored = "; ".join(line for reader in self._readers.values() if (line := _two_classes(reader)))

    def _reader(self, task: Task, splits: Sequence[str]) -> TargetReader:
        options = self._options
        rule = options.values.get(task.name)
        if rule is None and task.target == "classes" and task.num_labels == 2:
            folders = [options.root / split / task.name for split in splits]
            rule = BLACK_AND_WHITE if only_black_and_white(folders, options.max_pixels) else None
        return TargetReader(task, rule or ValueRule(), options.max_pixels, options.colours(task.name))

    @classmethod
    def _records(cls, options: FolderOptions, names: Sequence[str]) -> dict[str, Task]:
        cls.check_tasks(options, TASKS)
        counts = cls.num_classes(options)
        return {name: TASKS[name].with_options(counts.get(name)) for name in names}

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
        """Class counts the user has declared, by count, names or colours."""
        return {name: len(names) for name, names in cls.names_of_classes(options).items()} | options.classes

    @classmethod
    def names_of_classes(cls, options: FolderOptions) -> dict[str, Sequence[str]]:
        """Class task -> names in class order that the user has declared, alone or with their colours.

        Raises:
            ConfigError: a table of colours cannot be used.
        """
        tables = {name: options.colours(name) for name in options.values}
        return {**{name: table.names for name, table in tables.items() if table is not None}, **options.class_names}

    @classmethod
    def colours_of_classes(cls, options: FolderOptions) -> dict[str, Sequence[tuple[int, int, int]]]:
        """Class task -> colours in class order, where its files hold colours."""
        return {name: table.shown for name in options.values if (table := options.colours(name)) is not None}

    @classmethod
    def check_tasks(cls, options: FolderOptions, table: Registry[Task]) -> None:
        """Refuse what is said of tasks that do not exist, or have no such thing.

        Raises:
            ConfigError: an entry for an unknown task, for one without classes, or one that contradicts a fixed count.
        """
        for name, count in cls.num_classes(options).items():
            where = f"data.options.{_declares(options, name)}.{name}"
            if name not in table:
                raise ConfigError(f"{where}: {table.miss(name)}")
            if table[name].target != "classes":
                raise ConfigError(f"{where}: task '{name}' has no classes. Remove the entry.")
            try:
                table[name].with_count(count)
            except ConfigError as error:
                raise ConfigError(f"{where}: {error}") from error
        for name in options.values:
            if name not in table:
                raise ConfigError(f"data.options.values.{name}: {table.miss(name)}")
        for name in options.partial if isinstance(options.partial, tuple) else ():
            if name not in table:
                raise ConfigError(f"data.options.partial: {table.miss(name)}")


def _declares(options: FolderOptions, task: str) -> str:
    """The option that gives a task's class count."""
    return next((key for key in ("classes", "class_names") if task in getattr(options, key)), "values")


def _two_classes(reader: TargetReader) -> str:
    """What was decided about 255, in words; "" for another kind of task, or where the experiment says it."""
    task = reader.task
    if task.target != "classes" or task.num_labels != 2 or reader.rule not in (BLACK_AND_WHITE, ValueRule()):
        return ""
    if reader.rule == BLACK_AND_WHITE:
        return f"{task.name} holds 0 and 255 alone, so 255 is class 1"
    return f"{task.name} holds other numbers than 0 and 255, so {reader.missing:g} is missing"
