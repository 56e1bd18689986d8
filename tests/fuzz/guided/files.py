"""Targets that read binary files: rasters, arrays, MATLAB files, checkpoints, weights and archives."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from scipy.io import savemat
from torch import nn

from atrcnas.data.pascal_context import read_label_map
from atrcnas.data.pascal_parts import read_parts
from atrcnas.data.rasters import read_array, read_image, read_size
from atrcnas.data.unpack import unpack
from atrcnas.engine.checkpoints import read_checkpoint, read_weights, save_weights
from atrcnas.engine.init_reference import read_reference
from atrcnas.ground.errors import AtrcnasError
from atrcnas.plots.samples import read_sample
from tests.fuzz.guided.containers import entries, matlab, npy, or_raw, plain, png, safetensors, tar
from tests.fuzz.guided.mutators import Raw, tree, words
from tests.fuzz.guided.rule import HOME, Target

SHAPE = (6, 5)
MAX_PIXELS = 1_000_000  # the readers' own limit of 50 million takes a second to decode
_PIXELS = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8)


def _to_bytes(save: Callable[[io.BytesIO], Any]) -> bytes:
    sink = io.BytesIO()
    save(sink)
    return sink.getvalue()


def _images() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    colour = Image.fromarray(_PIXELS)
    palette, deep = colour.quantize(4), Image.fromarray(_PIXELS[..., 0].astype(np.uint16) * 99)
    forms: list[tuple[Image.Image, dict[str, Any]]] = [
        *((colour, {"format": form, "exif": exif}) for form in ("PNG", "JPEG", "WEBP", "TIFF")),
        (colour, {"format": "BMP"}), (deep, {"format": "PNG"}), (deep, {"format": "TIFF", "compression": "tiff_lzw"}),
        (palette, {"format": "PNG", "bits": 2, "transparency": 1}), (colour.convert("CMYK"), {"format": "JPEG"}),
        (colour.convert("1"), {"format": "TIFF", "compression": "group4"}),
        (colour.convert("RGBA"), {"format": "WEBP", "lossless": True}),
    ]  # fmt: skip
    return [_to_bytes(lambda sink, how=how, image=image: image.save(sink, **how)) for image, how in forms]


def _raster(path: Path) -> None:
    refusals = []
    for read in (read_size, read_array, read_image):
        try:
            read(path, MAX_PIXELS)
        except AtrcnasError as refusal:
            refusals.append(refusal)
    if len(refusals) == 3:
        raise refusals[0]


def _array(path: Path) -> None:
    if read_array(path).shape[:2] != read_size(path):
        raise ValueError("the size is not that of the array")


def _arrays() -> list[bytes]:
    every = [_PIXELS, _PIXELS[..., 0] > 9, _PIXELS.astype(">f4"), np.asfortranarray(_PIXELS[..., 0].astype(np.int64))]
    return [_to_bytes(lambda sink, array=array: np.save(sink, array)) for array in every]


def _annotations() -> list[bytes]:
    parts = np.array(
        [("head", np.ones(SHAPE, np.uint8)), ("lear", np.zeros(SHAPE, np.uint8))],
        [("part_name", object), ("mask", object)],
    )
    person = np.array(
        [(15, np.ones(SHAPE, np.uint8), parts), (7, np.ones(SHAPE, np.uint8), np.zeros((0, 0)))],
        [(key, object) for key in ("class_ind", "mask", "parts")],
    )
    return [
        _to_bytes(lambda sink, packed=packed: savemat(sink, {"anno": {"imname": "a", "objects": person}}, do_compression=packed))
        for packed in (False, True)
    ]  # fmt: skip


def _label_maps() -> list[bytes]:
    maps = [np.arange(30).reshape(SHAPE).astype(kind) for kind in ("uint16", "int32", "uint8")]
    return [_to_bytes(lambda sink, labels=labels: savemat(sink, {"other": 1.0, "LabelMap": labels})) for labels in maps]


def _state() -> dict[str, Any]:
    return {
        "net": {"w": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)},
        "step": 7,
        "best": 0.5,
        "average": None,
    }


def _saved(state: dict[str, Any]) -> list[bytes]:
    """In the form of today, a zip, and in that before it."""
    return [
        _to_bytes(lambda sink, new=new: torch.save(state, sink, _use_new_zipfile_serialization=new))
        for new in (True, False)
    ]


def _weights() -> list[bytes]:
    tensors = {
        "a": torch.arange(4.0),
        "b": torch.ones(2, 2, dtype=torch.bfloat16),
        "c": torch.tensor(3),
        "d": torch.tensor([True]),
    }
    net, path = nn.ParameterDict({"a": torch.arange(4.0), "b": torch.ones(2, 2)}), HOME / "seed.safetensors"
    save_weights(net, path)
    return [save(tensors), path.read_bytes(), save({"a": torch.zeros(0, 3, dtype=torch.int8)})]


def _samples() -> list[bytes]:
    maps = {f"{part}.semseg": np.ones(SHAPE, np.int64) for part in ("prediction", "target", "valid")}
    return [
        _to_bytes(lambda sink, how=how: how(sink, image=_PIXELS, **maps)) for how in (np.savez, np.savez_compressed)
    ]


def _archives() -> list[bytes]:
    members = {"a/x.txt": b"1" * 700, "a/b/y.txt": b"22"}

    def write_tar(sink: io.BytesIO, form: int) -> None:
        with tarfile.open(fileobj=sink, mode="w", format=form) as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(name if form != tarfile.PAX_FORMAT else f"{name}\u00e9")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            folder = tarfile.TarInfo("a/c" + "d" * 120 * (form == tarfile.GNU_FORMAT))
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)

    def write_zip(sink: io.BytesIO, form: int) -> None:
        with zipfile.ZipFile(sink, "w", form) as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    tars = [_to_bytes(lambda sink, form=form: write_tar(sink, form)).rstrip(b"\0") + bytes(1024) for form in (0, 1, 2)]
    zips = [
        _to_bytes(lambda sink, form=form: write_zip(sink, form)) for form in (0, 8, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    ]
    return [*tars, gzip.compress(tars[0], mtime=0), *zips]


def _unpack(path: Path) -> None:
    above = path.with_name("unpacked")
    shutil.rmtree(above, ignore_errors=True)
    before = {*path.parent.iterdir(), above}
    try:
        unpack(path, above / "root")
    finally:
        if {*path.parent.iterdir()} - before or (above.is_dir() and [*above.iterdir()] != [above / "root"]):
            raise ValueError("a file outside of the root")


def _archive(content: bytes, random: Any, raw: Raw) -> bytes:
    return (entries(lambda name: plain, compresses=True) if content[:2] == b"PK" else tar)(content, random, raw)


def _image(content: bytes, random: Any, raw: Raw) -> bytes:
    return (png if content[:4] == b"\x89PNG" else plain)(content, random, raw)


_DTYPES = ["'<f8'", "'|O'", "'<f16'", "'<M8[s]'", "'|V4'", "[('a','<f4')]"]
_NPY = npy(
    words(["descr", "fortran_order", "shape", "True", "False", "(", ")", ",", "-", "0", "6", "5", "3", *_DTYPES])
)
_KINDS = [
    "F64",
    "F32",
    "BF16",
    "F16",
    "F8_E4M3",
    "F8_E5M2",
    "F8_E8M0",
    "F4",
    "F6_E2M3",
    "C64",
    "I64",
    "U64",
    "U8",
    "BOOL",
]
_TENSORS = safetensors(tree(["dtype", "shape", "data_offsets", "__metadata__", "crc32", *_KINDS, *"abcd"]))
_PICKLES, _ARRAYS = (
    entries(lambda name: plain),
    entries(lambda name: _NPY if name.endswith(".npy") else plain, compresses=True),
)
_ON_THE_DISK = ("cannot read the archive or write",)

TARGETS = {
    "raster": Target("x.png", _raster, _images, or_raw(_image), 150_000),
    "npy": Target("x.npy", _array, _arrays, or_raw(_NPY), 200_000, 2048),
    "mat-parts": Target(
        "parts.mat", lambda path: read_parts(path, SHAPE, "six"), _annotations, or_raw(matlab), 100_000
    ),
    "mat-labels": Target("labels.mat", read_label_map, _label_maps, or_raw(matlab), 200_000, 2048),
    "checkpoint": Target("last.ckpt", read_checkpoint, lambda: _saved(_state()), or_raw(_PICKLES), 40_000),
    "reference-weights": Target("weights.pth", read_reference, lambda: _saved(_state()["net"]), or_raw(_PICKLES)),
    "weights": Target("model.safetensors", read_weights, _weights, or_raw(_TENSORS), 150_000, 4096),
    "sample": Target("0.npz", read_sample, _samples, or_raw(_ARRAYS), 30_000),
    "archive": Target("a.tgz", _unpack, _archives, or_raw(_archive), 30_000, names=_ON_THE_DISK),
}
