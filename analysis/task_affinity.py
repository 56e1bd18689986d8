"""How far the label maps of two tasks agree on which pixels belong together, against the distance between the pixels.

python -m analysis.task_affinity EXPERIMENT --out DIR [--split val] [--count 100] [--patch 3]
    [--dilations 1 2 4 8 16 32] [--relative 0.1] [--angle-deg 15] [key=value ...]

Two pixels are similar to a task if they have the same class, depths that differ by less than ``--relative`` of the
nearer one, or normals less than ``--angle-deg`` apart. For each pair of tasks and each dilation: the share of pixel pairs,
from the centre of a patch x patch window to its other places, on which both tasks say similar or both say not.
Writes task_affinity.csv and task_affinity.png.

Source: Vandenhende et al. 2020 (MTI-Net), the analysis of pixel affinities. Differs: every pixel with ground truth in both
tasks is a centre; the thresholds are ours.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atrcnas import Experiment, Task
from atrcnas.data.loading import open_source
from atrcnas.data.sample import Sample
from atrcnas.ground.files import write_text
from atrcnas.plots import canvas
from atrcnas.plots.palette import palette

Bools = npt.NDArray[np.bool_]
Key = tuple[str, str, int]
MARKERS = "os^Dv<>pPX"
# The yellow of the palette, lost as a thin line on white.
PALE = 4


@dataclass(frozen=True)
class Rule:
    """When two values of a task are similar.

    Attributes:
        relative: of scalars, largest difference as a share of the smaller magnitude.
        angle_deg: of vectors, largest angle.
    """

    relative: float = 0.1
    angle_deg: float = 15.0


@dataclass
class Count:
    """Pixel pairs of one pair of tasks at one dilation; ``similar`` counts those of the first and the second task."""

    pairs: int = 0
    agree: int = 0
    similar: tuple[int, int] = (0, 0)

    @property
    def agreement(self) -> float:
        """Share in [0, 1]; NaN if there was no pair."""
        return self.agree / self.pairs if self.pairs else float("nan")


def offsets(patch: int) -> list[tuple[int, int]]:
    """Places of a patch x patch window around its centre; of two opposite ones, which give the same pairs, one."""
    reach = range(-(patch // 2), patch // 2 + 1)
    return [(row, column) for row in reach for column in reach if (row, column) > (0, 0)]


def shifted(array: npt.NDArray[np.generic], row: int, column: int) -> tuple[npt.NDArray, npt.NDArray]:
    """Views [h, w, ...] of pixels and of those (row >= 0, column) further; empty if there are none."""
    height, width = array.shape[:2]
    here = array[: max(height - row, 0), max(-column, 0) : width - max(column, 0) if column < width else 0]
    there = array[row:, max(column, 0) : width + min(column, 0) if -column < width else 0]
    return here, there


def similar(task: Task, values: npt.NDArray[np.generic], row: int, column: int, rule: Rule) -> Bools:
    """[h, w] bool, whether a pixel and the one (row, column) further are similar."""
    here, there = shifted(values, row, column)
    if task.target == "classes":
        return here == there
    if task.target == "scalar":
        return np.abs(here - there) < rule.relative * np.minimum(np.abs(here), np.abs(there))
    return np.einsum("hwc,hwc->hw", here, there) > np.cos(np.deg2rad(rule.angle_deg))


def count_sample(
    sample: Sample,
    tasks: Mapping[str, Task],
    dilations: Iterable[int],
    patch: int,
    rule: Rule,
    counts: dict[Key, Count],
) -> None:
    """Add one sample to ``counts``."""
    for dilation, (row, column) in itertools.product(dilations, offsets(patch)):
        step = (row * dilation, column * dilation)
        same = {name: similar(task, sample.targets[name], *step, rule) for name, task in tasks.items()}
        valid = {name: np.logical_and(*shifted(sample.valid[name], *step)) for name in tasks}
        for first, second in itertools.combinations(tasks, 2):
            count = counts.setdefault((first, second, dilation), Count())
            both = valid[first] & valid[second]
            one, other = same[first][both], same[second][both]
            count.pairs += one.size
            count.agree += int((one == other).sum())
            count.similar = (count.similar[0] + int(one.sum()), count.similar[1] + int(other.sum()))


def to_csv(counts: Mapping[Key, Count]) -> str:
    """One line per pair and dilation; ``by_chance`` is the agreement of two maps that know nothing of each other."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["first", "second", "dilation", "agreement", "by_chance", "pixel_pairs"])
    for (first, second, dilation), count in counts.items():
        one, other = (number / count.pairs if count.pairs else float("nan") for number in count.similar)
        chance = one * other + (1 - one) * (1 - other)
        writer.writerow([first, second, dilation, f"{count.agreement:.6f}", f"{chance:.6f}", count.pairs])
    return stream.getvalue()


def draw(counts: Mapping[Key, Count], tasks: Sequence[str], title: str) -> Figure:
    """A panel per task with a line for every other one."""
    columns = next((n for n in (4, 3) if len(tasks) % n == 0), min(len(tasks), 3))
    low = min((count.agreement for count in counts.values() if count.pairs), default=0.0)
    with canvas.styled():
        figure, panels = canvas.panels(title, len(tasks), columns, (2.5, 2.5))
        for index, (axes, task) in enumerate(zip(panels, tasks, strict=True)):
            draw_panel(axes, counts, task, tasks)
            axes.set_ylim(low - 0.03, 1.01)
            if index % columns == 0:
                axes.set_ylabel("agreement")
            if index + columns >= len(tasks):
                axes.set_xlabel("dilation (pixels)")
        canvas.legend_below(figure, columns * 2.4)
    return figure


def draw_panel(axes: Axes, counts: Mapping[Key, Count], task: str, tasks: Sequence[str]) -> None:
    """Agreement of ``task`` with each other task."""
    colours = np.delete(palette(len(tasks) + 5), (0, PALE), axis=0) / 255.0
    for place, other in enumerate(tasks):
        line = [(key[2], count.agreement) for key, count in counts.items() if set(key[:2]) == {task, other}]
        x, y = [point[0] for point in line], [point[1] for point in line]
        style = {"color": colours[place], "marker": MARKERS[place % len(MARKERS)], "markersize": 3.5, "linewidth": 1.4}
        axes.plot(x, y, label=other, **style)
    axes.set_title(task, weight="bold", loc="left")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--patch", type=int, default=3, choices=[3, 5, 7, 9])
    parser.add_argument("--dilations", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--relative", type=float, default=Rule.relative)
    parser.add_argument("--angle-deg", type=float, default=Rule.angle_deg)
    args = parser.parse_intermixed_args()
    if min(args.dilations) < 1:
        parser.error(f"--dilations: expected at least 1, got {min(args.dilations)}.")
    experiment = Experiment.load(args.experiment, args.overrides)
    if len(experiment.all_tasks) < 2:
        parser.error(f"{args.experiment}: expected at least two tasks, got {', '.join(experiment.all_tasks)}.")
    tasks, source = experiment.resolved_tasks(), open_source(experiment, args.split)
    counts: dict[Key, Count] = {}
    number = min(args.count, len(source))
    for index in range(number):
        count_sample(source[index], tasks, args.dilations, args.patch, Rule(args.relative, args.angle_deg), counts)
    write_text(args.out / "task_affinity.csv", to_csv(counts))
    title = f"Agreement on similar or not, {experiment.name} {args.split} ({number} images)"
    print(canvas.save(draw(counts, list(tasks), title), args.out / "task_affinity.png"))


if __name__ == "__main__":
    main()
