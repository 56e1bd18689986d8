"""Draw samples of the `rooms` data set with all their labels.

python -m analysis.rooms_samples OUT.png [--split train] [--first 0] [--count 4] [--size 192 256]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from atrcnas import TASKS
from atrcnas.data.rooms import Rooms, RoomsOptions
from atrcnas.plots import colourise

MARGIN, HEADER = 6, 18


def sheet(count: int, first: int, split: str, size: tuple[int, int]) -> Image.Image:
    """One row per sample: the image, then the ground truth of every task."""
    options = RoomsOptions(image_size=size)
    rooms = Rooms(options, split, Rooms.all_tasks)
    tasks = [TASKS[name].with_options(Rooms.num_classes(options).get(name)) for name in Rooms.all_tasks]
    height, width = size
    columns = len(tasks) + 1
    canvas = Image.new("RGB", (columns * (width + MARGIN) - MARGIN, HEADER + count * (height + MARGIN)), "white")
    pen = ImageDraw.Draw(canvas)
    for column, name in enumerate(["image", *Rooms.all_tasks]):
        pen.text((column * (width + MARGIN) + 4, 2), name, fill="black", font_size=13)
    for row in range(count):
        sample = rooms[first + row]
        shown = [sample.image, *(colourise(task, sample.targets[task.name], sample.valid[task.name]) for task in tasks)]
        for column, picture in enumerate(shown):
            place = (column * (width + MARGIN), HEADER + row * (height + MARGIN))
            canvas.paste(Image.fromarray(np.ascontiguousarray(picture)), place)
    return canvas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--size", type=int, nargs=2, default=(192, 256))
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    picture = sheet(args.count, args.first, args.split, tuple(args.size))
    picture.quantize(128).save(args.out, optimize=True)


if __name__ == "__main__":
    main()
