"""`atrcnas init`: looking at a folder of data and writing a first experiment for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from atrcnas.data.arrange import VAL_EVERY, arrange
from atrcnas.data.folder_files import IMAGE_FOLDER
from atrcnas.data.label_numbers import LabelNumbers, label_numbers, some
from atrcnas.data.layout import LEAVE_OUT, Layout, look
from atrcnas.data.rasters import IMAGE_SUFFIXES, TARGET_SUFFIXES, read_size
from atrcnas.ground.errors import AtrcnasError
from atrcnas.ground.files import write_text
from atrcnas.ground.shown import Shown
from atrcnas.proposal import ON_CPU, ON_GPU, Data, Seen, proposal, relative, require_readable
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import TASKS

_GPU_DRIVER = Path("/dev/nvidiactl")  # torch knows better, and takes seconds to import


def init_lines(folder: Path, out: Path, pretrained: bool) -> Iterator[str]:
    """Look at a folder, write ``out`` and say what to run next; questions are asked on a terminal only.

    Args:
        folder: of images and label maps.
        out: experiment file to write.
        pretrained: timm may download weights; otherwise asked on a terminal.

    Yields:
        Lines to show.

    Raises:
        AtrcnasError: ``out`` is there and may not be replaced, or the data cannot be used.
    """
    asks = _on_terminal()
    if out.exists() and not (asks and typer.confirm(f"{out} is there already. Replace it?", err=True)):
        raise AtrcnasError(f"{out}: expected no file there yet, got one. Choose another --out, or remove it first.")
    layout = look(folder, _ask if asks else lambda _: LEAVE_OUT)
    yield f"{folder}: {_found(layout)}"
    if len(layout.tasks) == 1:
        yield "one task alone has no pairs to search; label maps of another one would give it some"
    for path in layout.left_out:
        yield f"left out: {path} (a name that says nothing; rename it to image or a task: {', '.join(TASKS.names)})"
    seen = _look_inside(layout)
    if not layout.readable:
        linked = out.with_name(f"{out.stem}-data")
        counts = arrange(layout, linked)
        yield f"linked into {linked}, nothing was copied or moved: " + _numbers(counts)
        if "val" not in layout.folders:
            yield f"every {VAL_EVERY}th image was taken for the validation split; if neighbours look alike, choose it yourself"
        layout = look(linked)
    if asks and not pretrained:
        pretrained = typer.confirm("May timm download pretrained weights when the run starts?", err=True)
    splits = {split: layout.split_names[split] for split in layout.folders}
    num_train = len(_files(layout.folders["train"][IMAGE_FOLDER], IMAGE_SUFFIXES))
    data = Data(relative(layout.root, out), splits, num_train)
    text = proposal(_name(out), data, seen, ON_GPU if _GPU_DRIVER.exists() else ON_CPU, "hub" if pretrained else "none")
    write_text(out, text)
    Experiment.load(out)
    yield f"experiment: {out}"
    yield "next:"
    yield f"  atrcnas data check {out}   # reads every file, reports every fault"
    yield f"  atrcnas run {out}"


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(folder: Path) -> str:
    words = (IMAGE_FOLDER, *TASKS.names, LEAVE_OUT)
    while True:
        question = f"What is in {folder}? ({', '.join(words[:-1])}, or {LEAVE_OUT} to leave it out)"
        answer = str(typer.prompt(question, default=LEAVE_OUT, err=True)).strip()
        if answer in words:
            return answer


def _found(layout: Layout) -> str:
    splits = [split or "undivided" for split in layout.folders]
    return f"images and {', '.join(layout.tasks)} ({', '.join(splits)})"


def _numbers(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} images to {split}" for split, number in counts.items())


def _look_inside(layout: Layout) -> Seen:
    """Read some of the files that are to be trained on."""
    parts = layout.folders.get("train") or next(iter(layout.folders.values()))
    sizes = [read_size(path, upright=True) for path in some(_files(parts[IMAGE_FOLDER], IMAGE_SUFFIXES))]
    labels: dict[str, LabelNumbers] = {}
    with Shown("reading label maps") as shown:
        for number, task in enumerate(layout.tasks, 1):
            labels[task] = label_numbers(TASKS[task], _files(parts[task], TARGET_SUFFIXES))
            require_readable(TASKS[task], labels[task], parts[task])
            shown.update(number, len(layout.tasks))
    ordered = sorted(sizes, key=lambda size: size[0] * size[1])
    return Seen(ordered[len(ordered) // 2], len(set(sizes)) == 1, labels)


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in suffixes)


def _name(out: Path) -> str:
    """The file's name as an experiment may be called."""
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in out.stem)
    return kept if kept[:1].isalnum() else f"run{kept}"
