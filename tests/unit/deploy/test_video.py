from __future__ import annotations

import http.server
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_networks import records

from atrcnas import Predictor
from atrcnas.deploy.predict import predict_images
from atrcnas.ground.errors import DataError, ExportError
from atrcnas.plots.palette import palette

SIZE = (48, 64)


def _bright_or_dark() -> Predictor:
    """Class 1 where the image is bright."""

    def run(image: torch.Tensor) -> dict[str, torch.Tensor]:
        bright = image.mean(1, keepdim=True)
        return {"semseg": torch.cat([1 - bright, bright], 1)}

    return Predictor(records("semseg"), run)


@pytest.fixture
def cv2() -> Any:
    return pytest.importorskip("cv2")


@pytest.fixture
def clip(tmp_path: Path, cv2: Any) -> Path:
    """Six frames at 12 per second: the bright part grows from the left."""
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"mp4v"), 12, SIZE[::-1])
    for number in range(6):
        frame = np.zeros((*SIZE, 3), np.uint8)
        frame[:, : 8 * number] = 255
        writer.write(frame)
    writer.release()
    return path


def _frames(cv2: Any, path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    assert capture.get(cv2.CAP_PROP_FPS) == 12
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1][..., ::-1].astype(int))
    return frames


def test_a_video_gives_a_video_per_task_frame_by_frame(tmp_path: Path, cv2: Any, clip: Path) -> None:
    written = predict_images(_bright_or_dark(), [clip], tmp_path / "out")
    assert [path.name for path in written] == ["clip.semseg.mp4", "legend.png"]
    frames = _frames(cv2, written[0])
    assert [frame.shape for frame in frames] == [(*SIZE, 3)] * 6
    dark, bright = palette(2).astype(int)
    for number, frame in enumerate(frames):
        edge = 8 * number
        for part, colour in ((frame[:, : max(edge - 8, 0)], bright), (frame[:, edge + 8 :], dark)):
            assert not part.size or np.abs(part - colour).mean() < 12  # the codec loses a little


def test_a_camera_is_read_until_ctrl_c_and_what_it_saw_is_kept(
    tmp_path: Path, cv2: Any, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = cv2.VideoCapture

    class Camera:
        """The clip, and Ctrl-C after its fourth frame."""

        def __init__(self, number: int) -> None:
            assert number == 1
            self.clip, self.left = plain(str(clip), cv2.CAP_FFMPEG), 4
            self.isOpened, self.get, self.release = self.clip.isOpened, self.clip.get, self.clip.release

        def read(self) -> Any:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return self.clip.read()

    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    (video, _) = predict_images(_bright_or_dark(), [Path("camera:1")], tmp_path / "out")
    monkeypatch.setattr(cv2, "VideoCapture", plain)
    assert video.name == "camera1.semseg.mp4"
    assert len(_frames(cv2, video)) == 4


def test_without_opencv_a_video_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ExportError, match=r"pip install 'atrcnas\[video\]'"):
        predict_images(_bright_or_dark(), [tmp_path / "clip.mp4"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"no video", None])
def test_what_is_no_video_is_named(tmp_path: Path, cv2: Any, content: bytes | None) -> None:
    path = tmp_path / "broken.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.mp4"):
        predict_images(_bright_or_dark(), [path], tmp_path / "out")


def test_a_camera_that_is_not_there_is_named(tmp_path: Path, cv2: Any) -> None:
    with pytest.raises(DataError, match="camera:977"):
        predict_images(_bright_or_dark(), [Path("camera:977")], tmp_path / "out")


def test_a_video_that_names_an_address_fetches_nothing(tmp_path: Path, cv2: Any) -> None:
    asked: list[str] = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/part.ts"
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n"
        (tmp_path / "list.mp4").write_text(playlist)
        with pytest.raises(DataError, match=r"list\.mp4"):
            predict_images(_bright_or_dark(), [tmp_path / "list.mp4"], tmp_path / "out")
        server.shutdown()
    assert asked == []
