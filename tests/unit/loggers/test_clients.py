"""What each logger was given is read back with its project's own reader; nothing leaves this machine."""

from __future__ import annotations

import io
import json
import re
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrcnas.ground.registry import resolve
from atrcnas.loggers.client import Client, Place
from atrcnas.spec.loggers import LOGGERS

# Name -> value by step; name -> size and colour of the last picture.
Scalars = dict[str, dict[int, float]]
Pictures = dict[str, tuple[tuple[int, int], tuple[int, int, int]]]
OFFLINE = {"wandb": {"mode": "offline"}}
RED, SIZE = (255, 0, 0), (20, 10)


def _picture(data: bytes | Path) -> tuple[tuple[int, int], tuple[int, int, int]]:
    with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as image:
        return image.size, tuple(np.asarray(image.convert("RGB"))[0, 0].tolist())


def read_tensorboard(run: Path) -> tuple[Scalars, Pictures]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    scalars: Scalars = {}
    pictures: Pictures = {}
    for folder in (run / "tensorboard").iterdir():
        events = EventAccumulator(str(folder)).Reload()
        for name in events.Tags()["scalars"]:
            scalars[name] = {event.step: event.value for event in events.Scalars(name)}
        for name in events.Tags()["images"]:
            pictures[name] = _picture(events.Images(name)[-1].encoded_image_string)
    return scalars, pictures


def leveldb_records(data: bytes) -> Iterator[bytes]:
    """Records of a log in LevelDB's form: 7 bytes of header, then blocks of fragments (checksum, length, type, data)."""
    place, whole = 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a record in one fragment, or the last one
            yield whole
            whole = b""


def read_wandb(run: Path) -> tuple[Scalars, Pictures]:
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record

    wandb.teardown()  # its service may still be writing when a run is finished, until this process ends
    scalars: Scalars = {}
    pictures: Pictures = {}
    for path in sorted(run.glob("wandb/offline-run-*/*.wandb")):
        for data in leveldb_records(path.read_bytes()):
            record = Record.FromString(data)
            items = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            (step,) = [value for name, value in items.items() if name.endswith("/step")] or [None]
            for name, value in items.items():
                group, _, last = name.rpartition("/")
                if f"{group}/_type" not in items and not name.startswith("_") and last != "step":
                    scalars.setdefault(name, {})[step] = value
                elif last == "path":
                    pictures[group] = _picture(path.parent / "files" / value)
    return scalars, pictures


def read_mlflow(run: Path) -> tuple[Scalars, Pictures]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient((run / "mlflow").as_uri())
    (found,) = client.search_runs([client.get_experiment_by_name("atrcnas").experiment_id])
    scalars = {
        name: {point.step: point.value for point in client.get_metric_history(found.info.run_id, name)}
        for name in found.data.metrics
    }
    pictures = {
        re.split("[+%]", path.name)[0].replace("~", "/").replace("#", "/"): _picture(path)
        for path in run.glob("mlflow/*/*/artifacts/images/*.png")
    }
    return scalars, pictures


READERS: dict[str, Callable[[Path], tuple[Scalars, Pictures]]] = {
    "tensorboard": read_tensorboard,
    "wandb": read_wandb,
    "mlflow": read_mlflow,
}


def client(name: str, place: Place) -> Client:
    record = LOGGERS[name]
    pytest.importorskip(record.needs)
    opened: Client = resolve(record.client)(place, record.options.model_validate(OFFLINE.get(name, {})))
    return opened


@pytest.mark.parametrize("name", READERS)
def test_scalars_and_pictures_of_all_stages_are_read_back(name: str, tmp_path: Path) -> None:
    picture = tmp_path / "red.png"
    Image.new("RGB", SIZE, RED).save(picture)
    first = client(name, Place(tmp_path, "mine", "search"))
    for step in (1, 2):
        first.scalars({"search/train/loss": 1.5 / step, "search/train/depth/loss": 0.25}, step)
    first.figure("search/contexts", picture, 2)
    first.close()
    # As a process of its own would: with the id alone, and steps that begin at 1 again.
    second = client(name, Place(tmp_path, "mine", "retrain", 0, first.id))
    second.scalars({"retrain/train/loss": 4.0}, 1)
    second.close()
    assert second.id == first.id
    scalars, pictures = READERS[name](tmp_path)
    assert scalars == {
        "search/train/loss": {1: 1.5, 2: 0.75},
        "search/train/depth/loss": {1: 0.25, 2: 0.25},
        "retrain/train/loss": {1: 4.0},
    }
    assert pictures == {"search/contexts": (SIZE, RED)}


@pytest.mark.parametrize("name", READERS)
def test_what_a_killed_process_logged_after_the_checkpoint_is_replaced(name: str, tmp_path: Path) -> None:
    first = client(name, Place(tmp_path, "mine", "search"))
    for step in (1, 2, 3):
        first.scalars({"search/train/loss": float(step)}, step)
    first.close()
    if name == "wandb":
        time.sleep(1)  # its older versions name a folder by the second
    second = client(name, Place(tmp_path, "mine", "search", 1, first.id))
    second.scalars({"search/train/loss": 20.0}, 2)
    second.close()
    found = READERS[name](tmp_path)[0]["search/train/loss"]
    assert (found[1], found[2]) == (1.0, 20.0)
    assert name != "tensorboard" or 3 not in found
