"""Videos and cameras in, a video per task out; needs OpenCV, an extra."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrcnas.data.rasters import MAX_PIXELS
from atrcnas.deploy.pictures import picture
from atrcnas.deploy.predictor import Predictor
from atrcnas.deploy.progress import shown
from atrcnas.ground.errors import DataError, ExportError
from atrcnas.ground.files import write_atomically
from atrcnas.ground.opening import open_regular
from atrcnas.ground.paths import below
from atrcnas.plots.colourise import own_range

# FFmpeg knows formats that name other files and addresses, which it would open.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
_USUAL_RATE = 25.0


def predict_video(predictor: Predictor, source: Path | int, out: Path, name: str) -> list[Path]:
    """Predict every frame; colours mean the same in all of them, by the range of the first.

    Args:
        predictor: of a run, a saved model or a file.
        source: a video file, or the number of a camera, which is read until Ctrl-C.
        out: folder.
        name: of the files.

    Returns:
        The files written, ``NAME.TASK.mp4`` per task, of the frames' size and rate.

    Raises:
        DataError: it cannot be opened, or has no frame.
        ExportError: OpenCV is missing.
    """
    with _opened(source) as (frames, rate, count):
        first = next(frames, None)
        if first is None:
            raise DataError(f"{_said(source)}: expected a video with at least one frame, got none. Try another file.")
        ranges = {task: own_range(predictor.tasks[task], array) for task, array in predictor(first).items()}
        paths = [below(out, f"{name}.{task}.mp4") for task in predictor.tasks]

        def write(temporary: list[Path]) -> None:
            with ExitStack() as stack:
                writers = [stack.enter_context(_writer(path, rate, first.shape)) for path in temporary]
                # Ctrl-C is how a camera is stopped; what was seen until then is kept.
                with suppress(*([KeyboardInterrupt] if isinstance(source, int) else [])):
                    for frame in shown(chain([first], frames), f"predicting {name}", count):
                        for add, (task, array) in zip(writers, predictor(frame).items(), strict=True):
                            add(np.array(picture(predictor.tasks[task], array, ranges[task]).convert("RGB")))

        _write_together(paths, write)
    return paths


def require_reader() -> Any:
    """OpenCV, told to open nothing that a video names.

    Raises:
        ExportError: it is not installed.
    """
    for key, silent in (("OPENCV_LOG_LEVEL", "OFF"), ("OPENCV_FFMPEG_LOGLEVEL", "-8")):  # we report what fails
        os.environ.setdefault(key, silent)
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"format_whitelist;{_FORMATS}|protocol_whitelist;file"
    try:
        import cv2
    except ImportError as error:
        raise ExportError(
            "videos and cameras need OpenCV, which is not installed. Run: pip install 'atrcnas[video]'"
        ) from error
    return cv2


@contextmanager
def _opened(source: Path | int) -> Iterator[tuple[Iterator[NDArray[np.uint8]], float, int | None]]:
    """Frames [H, W, 3] uint8 RGB, frames per second, and how many there are, if that is known."""
    cv2 = require_reader()
    with ExitStack() as stack:
        try:
            if isinstance(source, int):
                capture = cv2.VideoCapture(source)
            else:
                # By its content, not by its name, which OpenCV might take for an address.
                capture = cv2.VideoCapture(stack.enter_context(open_regular(source)), cv2.CAP_FFMPEG, [])
        except OSError as error:
            raise DataError(f"{source}: cannot read the video ({error.strerror}). Check the path.") from error
        stack.callback(capture.release)
        if not capture.isOpened():
            kind = "a camera that is there" if isinstance(source, int) else "a video (MP4, MOV, MKV, WebM or AVI)"
            raise DataError(f"{_said(source)}: expected {kind}, got none that can be opened. Try another.")
        height, width, rate, count = (
            capture.get(key)
            for key in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT)
        )
        if height * width > MAX_PIXELS:
            raise DataError(f"{_said(source)}: expected at most {MAX_PIXELS} pixels, got {height:.0f} x {width:.0f}.")
        yield _frames(capture), rate if 1 <= rate <= 1000 else _USUAL_RATE, int(count) if count > 0 else None


def _frames(capture: Any) -> Iterator[NDArray[np.uint8]]:
    while True:
        read, frame = capture.read()
        if not read:
            return
        yield np.ascontiguousarray(frame[..., ::-1])  # OpenCV's colours are blue, green, red


@contextmanager
def _writer(path: Path, rate: float, shape: tuple[int, ...]) -> Iterator[Callable[[NDArray[np.uint8]], None]]:
    cv2 = require_reader()
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"mp4v"), rate, (shape[1], shape[0]))
    if not writer.isOpened():
        raise OSError(errno.EIO, "OpenCV cannot write MPEG-4 here")
    try:
        yield lambda frame: writer.write(np.ascontiguousarray(frame[..., ::-1]))
    finally:
        writer.release()


def _write_together(paths: list[Path], write: Callable[[list[Path]], None]) -> None:
    """:func:`write_atomically` for several files that are filled at the same time."""

    def open_next(opened: list[Path]) -> None:
        if len(opened) == len(paths):
            write(opened)
        else:
            write_atomically(paths[len(opened)], lambda temporary: open_next([*opened, temporary]))

    open_next([])


def _said(source: Path | int) -> str:
    return f"camera:{source}" if isinstance(source, int) else str(source)
