"""`atrcnas data`: unpacking a published data set, and reading all of any experiment's data, as lines to print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from atrcnas.data.folding import fold
from atrcnas.data.prepare import Name, prepare
from atrcnas.data.survey import survey
from atrcnas.data.tally import SplitReport
from atrcnas.ground.errors import DataError
from atrcnas.ground.shown import Shown
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import Task

SPLITS = ("train", "val")
_MIB = 2**20
# The farthest point of a whole split, in metres: nothing that is photographed by its depth ends nearer or farther.
_NEAR_M, _FAR_M = 0.05, 300.0


def prepare_lines(name: Name, archive: Path, root: Path) -> Iterator[str]:
    """Unpack the archive of a published data set and try its reader.

    Args:
        name: of the data set.
        archive: .tgz, .tar or .zip.
        root: folder to unpack into.

    Yields:
        Lines to show.

    Raises:
        AtrcnasError: see :func:`atrcnas.data.prepare.prepare`.
    """
    with Shown(f"unpacking {archive.name} (%)") as shown:
        done = prepare(name, archive, root, lambda _, share: shown.update(int(100 * share), 100))
    found, train = done.unpacked, done.splits["train"]
    yield f"{name}: {found.num_files} files, {found.num_bytes / _MIB:.1f} MiB ({found.num_kept} were there already)"
    yield "samples: " + ", ".join(f"{len(samples)} {split}" for split, samples in done.splits.items())
    yield f"layout: {train.stored}"
    yield f"images: {', '.join(f'{height} x {width}' for height, width in done.image_sizes)}"
    if train.layout.image_size is not None and set(done.image_sizes) != {train.layout.image_size}:
        height, width = train.layout.image_size
        yield f"warning: published figures are for images of {height} x {width} and not comparable with those of other copies"
    yield f"data: {{name: {name}, options: {{root: {root}}}}}"


def check_lines(experiment: Experiment) -> Iterator[str]:
    """Read the training and validation data of an experiment, all tasks.

    Args:
        experiment: the one that names the data set.

    Yields:
        Per split and task: class shares, missing shares, ranges, and warnings.

    Raises:
        DataError: at the end, with every fault that was found.
    """
    tasks = list(experiment.resolved_tasks().values())
    problems: list[str] = []
    count = 0
    for split in SPLITS:
        try:
            with Shown(f"checking {split}") as shown:
                found = survey(experiment, split, shown.update)
        except DataError as error:
            lines = str(error).splitlines()
            problems += fold(lines)
            count += len(lines)
            continue
        problems += [f"{split}: {problem}" for problem in fold(found.problems)]
        count += len(found.problems)
        yield f"{split}: {found.num_samples} samples, {len(found.problems)} problems"
        yield f"  images: {_sizes(found)}" + (f", layout: {found.stored}" if found.stored else "")
        for task in tasks:
            yield from (f"  {line}" for line in _task_lines(task, found))
    if problems:
        said = f"{count} problem" + ("s" if count > 1 else "")
        raise DataError("\n  ".join([f"data '{experiment.data.name}': {said}", *problems]))


def _task_lines(task: Task, found: SplitReport) -> Iterator[str]:
    if task.name not in found.missing_shares:
        yield f"{task.name}: nothing could be read"
        return
    line = f"{task.name}: missing {found.missing_shares[task.name]:.2%}"
    if found.labelled_shares[task.name] < 1:
        line += f", labelled images {found.labelled_shares[task.name]:.2%}"
    if task.name in found.ranges:
        low, high = found.ranges[task.name]
        line += f", {low:.4g} to {high:.4g} {task.unit}".rstrip()
    if task.name in found.lengths:
        low, high = found.lengths[task.name]
        line += f", lengths {low:.4f} to {high:.4f}"
    shares = found.class_shares.get(task.name, ())
    called = [_class_name(number, task.class_names) for number in range(len(shares))]
    yield line + ("" if not shares else ", classes " + _shares(shares, called))
    absent = [name for name, share in zip(called, shares, strict=True) if share == 0]
    if absent:
        yield f"warning: {task.name}: never occurs here: {', '.join(absent)}"
    if task.name in found.ranges:
        yield from _unlikely_scale(task, *found.ranges[task.name])


def _unlikely_scale(task: Task, low: float, high: float) -> Iterator[str]:
    """A warning about distances in metres that read like another unit."""
    if task.zoom != "divide" or task.unit != "m" or _NEAR_M <= high <= _FAR_M:
        return
    unit, scale = ("millimetres", 0.001) if high > 10 * _FAR_M else ("centimetres", 0.01)
    if high < _NEAR_M:
        unit, scale = "kilometres, or numbers that were scaled twice", 1000.0
    key = f"data.options.values.{task.name}.scale"
    yield (
        f"warning: {task.name}: {low:.4g} to {high:.4g} m reads like {unit}. If so, set {key} to {scale:g} times what it is "
        f"now (1, unless set): {low * scale:.4g} to {high * scale:.4g} m"
    )


def _sizes(found: SplitReport) -> str:
    if not found.image_sizes:
        return "none could be read"
    height, width = max(found.image_sizes, key=lambda size: found.image_sizes[size])
    others = len(found.image_sizes) - 1
    return f"{height} x {width}" + (f" most often, {others} other sizes" if others else "")


def _shares(shares: Sequence[float], called: Sequence[str]) -> str:
    return ", ".join(f"{name} {share:.2%}" for name, share in zip(called, shares, strict=True) if share)


def _class_name(number: int, names: Sequence[str]) -> str:
    return f"{number} {names[number]}" if names else str(number)
