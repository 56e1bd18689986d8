"""A first experiment for somebody's data: sizes, steps and backbone that fit it, as commented YAML."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atrcnas.data.label_numbers import MAX_FILES, LabelNumbers
from atrcnas.ground.errors import DataError
from atrcnas.spec.tasks import TASKS, Task

_MILLIMETRES_FROM = 1000  # no depth in metres is stored in such numbers


@dataclass(frozen=True)
class Means:
    """What there is to compute with, and what a first run may take.

    Attributes:
        gpu: whether there is one.
        longest_side: of images, pixels; larger ones are reduced.
        passes: over the training images, in a search.
        steps: fewest and most.
        backbone: of timm.
        width: channels of each task's features.
    """

    gpu: bool
    longest_side: int
    passes: int
    steps: tuple[int, int]
    backbone: str
    width: int


ON_CPU = Means(False, 256, 20, (200, 1000), "mobilenetv3_small_100", 48)
ON_GPU = Means(True, 640, 50, (1000, 20_000), "convnext_tiny", 96)
_BATCH = 8


@dataclass(frozen=True)
class Data:
    """Where the data are.

    Attributes:
        root: its folder, as the file shall name it.
        splits: split -> name of its folder.
        num_train: training images.
    """

    root: str
    splits: Mapping[str, str]
    num_train: int


@dataclass(frozen=True)
class Seen:
    """What was seen in the files.

    Attributes:
        size: (height, width) of an image in the middle of all sizes.
        same_size: all images have it.
        labels: task -> numbers in its files.
    """

    size: tuple[int, int]
    same_size: bool
    labels: Mapping[str, LabelNumbers]


def proposal(name: str, data: Data, seen: Seen, means: Means, weights: str) -> str:
    """The text of an experiment file.

    Args:
        name: of the experiment.
        data: where it is.
        seen: what it holds, all of it readable.
        means: what it may cost.
        weights: of the backbone.
    """
    facts = {task: _meaning(TASKS[task], found) for task, found in seen.labels.items()}
    counts = ", ".join(f"{task}: {count}" for task, (count, _, _) in facts.items() if count)
    values = ", ".join(f"{task}: {rule}" for task, (_, rule, _) in facts.items() if rule)
    size, reduced = _fitted(seen, means)
    batch = max(min(_BATCH, data.num_train * 9 // 10), 2)
    steps = _rounded(means.passes * data.num_train / batch, means.steps)
    options = [f"root: {_quoted(data.root)}"]
    options += [
        f"{split}_split: {_quoted(folder)}"
        for split, folder in data.splits.items()
        if folder != split or split == "test"
    ]
    options += (
        [f"image_size: [{size[0]}, {size[1]}]   # images are brought to this height and width"] if reduced else []
    )
    options += [f"classes: {{{counts}}}"] if counts else []
    options += [f"values: {{{values}}}"] if values else []
    notes = [note for _, _, note in facts.values() if note]
    lines = [
        f"# Made by `atrcnas init` for {data.num_train} training images. Every key: `atrcnas keys`.",
        "schema: 1",
        f"name: {name}",
        f"tasks: [{', '.join(facts)}]",
        "data:",
        "  name: folder",
        "  options:",
        *(f"    # {note}" for note in notes),
        *(f"    {option}" for option in options),
        f"  augment: {{crop_size: [{size[0]}, {size[1]}], scale: [0.75, 1.5]}}",
        f"  workers: {min(4, (os.cpu_count() or 1) // 2)}   # processes that load images",
        "# hub: timm downloads weights that were trained on millions of photographs, which helps most with few images.",
        f"backbone: {{name: {means.backbone}, weights: {weights}}}",
        f"model: {{width: {means.width}}}   # channels of each task's features; what contexts cost grows with them",
        "space: wide   # kinds of context for each pair of tasks; `atrcnas list spaces`",
        f"# {steps} steps of {batch} images are {steps * batch / data.num_train:.0f} passes over the training images; "
        "published networks took 40,000 steps.",
        "# paired: each step compares two configs; as good as all kinds at once (soft), and quicker.",
        f"search: {{{_recipe(steps, batch)}, estimator: paired}}",
        f"retrain: {{{_recipe(2 * steps, batch)}, clip: 10}}",
    ]
    return "\n".join(lines) + "\n"


def _recipe(steps: int, batch: int) -> str:
    every = {"validate_every": max(steps // 4, 1), "log_every": max(steps // 40, 1)}
    return f"steps: {steps}, batch_size: {batch}, learning_rate: 0.02, " + ", ".join(
        f"{k}: {v}" for k, v in every.items()
    )


def _fitted(seen: Seen, means: Means) -> tuple[tuple[int, int], bool]:
    """Height and width, multiples of 32, and whether images have to be brought to that size."""
    share = min(means.longest_side / max(seen.size), 1.0)
    height, width = (max(int(side * share) // 32 * 32, 32) for side in seen.size)
    return (height, width), share < 1 or not seen.same_size


def _rounded(steps: float, bounds: tuple[int, int]) -> int:
    return int(min(max(round(steps / 100) * 100, bounds[0]), bounds[1]))


def _meaning(task: Task, found: LabelNumbers) -> tuple[int | None, str, str]:
    """Class count where it has to be said, the rule of its values, and a note; all may be empty."""
    if task.target == "classes":
        return _classes(task, found)
    if task.target == "scalar" and found.whole and found.high >= _MILLIMETRES_FROM:
        note = f"{task.name}: whole numbers up to {found.high:.0f} are taken for millimetres, 0 for unknown."
        return None, "{scale: 0.001, missing: 0}", note
    if task.target == "scalar":
        return None, "", f"{task.name}: numbers from {found.low:.4g} to {found.high:.4g} are taken for {task.unit}."
    return None, "", ""


def _classes(task: Task, found: LabelNumbers) -> tuple[int | None, str, str]:
    if _black_and_white(found):
        note = f"{task.name}: 0 and 255 in its files are taken for classes 0 and 1."
        return None if _is_fixed(task) else 2, "{scale: 0.0039215686, missing: -1}", note
    count = int(max(number for number in found.numbers if number != task.missing)) + 1
    note = f"{task.name}: classes 0 to {count - 1} were seen in up to {MAX_FILES} files; {task.missing:g} counts as unlabelled."
    return (None, "", "") if _is_fixed(task) else (count, "", note)


def _is_fixed(task: Task) -> bool:
    """Whether the number of classes is the same in all data."""
    return task.channels is not None and not task.count_varies


def _black_and_white(found: LabelNumbers) -> bool:
    return found.numbers <= {0, 255} and 255 in found.numbers


def require_readable(task: Task, found: LabelNumbers, folder: Path) -> None:
    """Refuse label maps that no settings of data set `folder` would make sense of.

    Raises:
        DataError: a class task whose files hold colours, broken numbers or one class only.
    """
    if task.target != "classes":
        return
    if found.channels > 1 or not found.whole:
        got = f"{found.channels} channels" if found.channels > 1 else "broken numbers"
        raise DataError(
            f"{folder}: {task.name}: expected one class number per pixel, got {got}. "
            f"Save class numbers as greyscale or palette PNG, or write the experiment yourself, with the classes of colours "
            f"under data.options.values.{task.name}.colours."
        )
    if _black_and_white(found):
        return
    highest = int(max(found.numbers - {task.missing}, default=0))
    if _is_fixed(task) and highest >= task.num_labels:
        raise DataError(
            f"{folder}: {task.name}: expected classes 0 to {task.num_labels - 1}, got {highest}. "
            "Name the folder after another task, or correct the files."
        )
    if highest == 0:
        raise DataError(
            f"{folder}: {task.name}: expected at least two classes, got the numbers {sorted(found.numbers)}. "
            "Correct the files, or take the folder away."
        )


def relative(root: Path, file: Path) -> str:
    """The path of the data as the experiment file names it: relative where they lie together and may move together."""
    path = os.path.relpath(root.absolute(), file.absolute().parent)
    return str(root.absolute()) if path.startswith("../..") else path


def _quoted(text: str) -> str:
    return text if text.replace("/", "").replace(".", "").replace("-", "").replace("_", "").isalnum() else repr(text)
