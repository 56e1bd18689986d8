"""The readers, on real files of every format and with every fault a file can have."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from atrcnas.data.rasters import read_array, read_size
from atrcnas.data.reading import read_classes, read_image, read_scalar, read_vector
from atrcnas.ground.errors import DataError
from tests.unit.data.files import expect_error, save

SHAPE = (12, 16)
LABELS = (np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 5).astype(np.uint8)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 200, (200, 200, 200)),
        ("1", 1, (255, 255, 255)),
        ("LA", (90, 10), (90, 90, 90)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("RGBA", (1, 2, 3, 0), (1, 2, 3)),
        ("I;16", 257 * 77, (77, 77, 77)),
    ],
)
def test_image_of_any_mode_becomes_rgb(tmp_path: Path, mode: str, colour: Any, expected: tuple[int, ...]) -> None:
    Image.new(mode, SHAPE[::-1], colour).save(tmp_path / "x.png")
    image = read_image(tmp_path / "x.png")
    assert image.dtype == np.uint8
    assert image.shape == (*SHAPE, 3)
    assert (image == expected).all()


def test_palette_and_cmyk_images_become_rgb(tmp_path: Path) -> None:
    palette = Image.new("P", SHAPE[::-1], 3)
    palette.putpalette([0] * 9 + [10, 20, 30])
    palette.save(tmp_path / "p.png", transparency=bytes([0, 255, 255, 128]))
    assert (read_image(tmp_path / "p.png") == (10, 20, 30)).all()
    Image.new("CMYK", SHAPE[::-1], (0, 255, 255, 0)).save(tmp_path / "c.jpg", quality=100)
    red, green, blue = read_image(tmp_path / "c.jpg").reshape(-1, 3).mean(axis=0)
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_exif_rotation_is_applied_and_known_from_the_header(tmp_path: Path, orientation: int, suffix: str) -> None:
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / f"x{suffix}", stored, exif=exif)
    image = read_image(path)
    assert read_size(path, upright=True) == image.shape[:2] == ((16, 32) if orientation < 5 else (32, 16))
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    assert image[corner[orientation]].min() > 200
    assert image.mean() < 60


def test_depth_in_millimetres_from_16_bit_png_with_zero_missing(tmp_path: Path) -> None:
    stored = np.full(SHAPE, 12345, np.uint16)
    stored[0, 0] = 0
    depth_m, valid = read_scalar(save(tmp_path / "d.png", stored), scale=0.001, positive=True)
    assert depth_m[1, 1] == pytest.approx(12.345)
    assert not valid[0, 0]
    assert valid.sum() == valid.size - 1


def test_depth_that_is_zero_negative_or_not_finite_is_missing(tmp_path: Path) -> None:
    stored = np.ones(SHAPE)
    stored[0, :5] = [0, -1, np.nan, np.inf, -9]
    path = save(tmp_path / "d.npy", stored)
    depth_m, valid = read_scalar(path, positive=True, missing=-9)
    assert not valid[0, :5].any()
    assert valid.sum() == valid.size - 5
    assert np.isfinite(depth_m).all()
    assert read_scalar(path, missing=-9)[1][0, :5].tolist() == [True, True, False, False, False]
    assert read_scalar(path, missing=0, offset=2.0)[0][0, 1] == 1.0


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32", ">i2"])
def test_classes_from_npy_of_any_whole_type(tmp_path: Path, dtype: str) -> None:
    stored = (LABELS % 2).astype(dtype)
    classes, valid = read_classes(save(tmp_path / "x.npy", np.asfortranarray(stored)), num_classes=2)
    assert np.array_equal(classes, LABELS % 2)
    assert valid.all()


def test_classes_from_palette_png_are_its_indices(tmp_path: Path) -> None:
    labels = Image.frombytes("P", SHAPE[::-1], LABELS.tobytes())
    labels.putpalette([255, 0, 0] * 256)
    labels.save(tmp_path / "x.png", bits=8)
    assert np.array_equal(read_classes(tmp_path / "x.png", num_classes=5)[0], LABELS)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_classes_from_packed_grey_png_are_the_stored_numbers(tmp_path: Path, bits: int) -> None:
    width, value = 16, 1
    row = b"\0" + bytes([sum(value << shift for shift in range(0, 8, bits))]) * (width * bits // 8)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, 4, bits, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * 4)) + chunk(b"IEND", b"")
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert (read_classes(tmp_path / "x.png", num_classes=2)[0] == value).all()


def test_shift_applies_after_the_missing_class_is_taken_out(tmp_path: Path) -> None:
    classes, valid = read_classes(save(tmp_path / "x.png", LABELS), num_classes=4, missing=0, shift=-1)
    assert np.array_equal(valid, LABELS != 0)
    assert np.array_equal(classes[valid], LABELS[valid].astype(int) - 1)
    up, _ = read_classes(save(tmp_path / "x.png", LABELS), num_classes=6, shift=1)
    assert np.array_equal(up, LABELS + 1)


def test_scale_makes_classes_of_a_jpeg_mask(tmp_path: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[:, 16:] = 255
    path = save(tmp_path / "x.jpg", mask, quality=70)
    classes, valid = read_classes(path, num_classes=2, scale=1 / 255, missing=-1)
    assert np.array_equal(classes, mask // 255)
    assert valid.all()


def test_normals_of_8_bit_png_are_decoded_to_unit_length(tmp_path: Path) -> None:
    stored = np.broadcast_to(np.array([255, 128, 128], np.uint8), (*SHAPE, 3)).copy()
    stored[0, :3] = [[0, 0, 0], [128, 127, 128], [37, 218, 128]]
    vectors, valid = read_vector(save(tmp_path / "n.png", stored))
    assert np.allclose(vectors[1, 1], [1, 0, 0], atol=0.01)
    assert valid[0].tolist()[:4] == [False, False, True, True]
    decoded = 2 * np.array([37, 218, 128]) / 255 - 1
    assert vectors[0, 2] == pytest.approx(decoded / np.linalg.norm(decoded), abs=1e-6)
    assert np.allclose(np.linalg.norm(vectors[valid], axis=1), 1, atol=1e-6)


def test_normals_of_npy_that_are_zero_or_not_finite_are_missing(tmp_path: Path) -> None:
    stored = np.full((*SHAPE, 3), 3.0)
    stored[0, :3] = [[0, 0, 0], [np.nan, 0, 1], [np.inf, 0, 0]]
    vectors, valid = read_vector(save(tmp_path / "n.npy", stored))
    assert valid.sum() == valid.size - 3
    assert np.isfinite(vectors).all()
    assert np.allclose(vectors[1, 1], 3**-0.5)


def write_truncated(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
    save(path, noise if path.suffix != ".npy" else LABELS)
    path.write_bytes(path.read_bytes()[:-60])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".npy"])
@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_damaged_files_are_named(tmp_path: Path, suffix: str, content: bytes | None) -> None:
    path = tmp_path / f"broken{suffix}"
    if content is None:
        write_truncated(path)
    else:
        path.write_bytes(content)
    expect_error("broken.*expected a readable.*intact copy", lambda: read_array(path))
    if suffix != ".npy":
        expect_error("broken.*expected a readable.*intact copy", lambda: read_image(path))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".npy"])
def test_random_damage_gives_a_data_error_or_an_array(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(1)
    intact = save(tmp_path / f"x{suffix}", LABELS).read_bytes()
    for _ in range(150):
        damaged = bytearray(intact)
        for position in rng.integers(0, min(len(damaged), 120), 3):
            damaged[position] = rng.integers(0, 256)
        (tmp_path / f"x{suffix}").write_bytes(damaged)
        try:
            read_size(tmp_path / f"x{suffix}", upright=True)
            assert read_array(tmp_path / f"x{suffix}").ndim in (2, 3)
        except DataError:
            continue


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[{"a": 1}]], dtype=object), allow_pickle=True)
    expect_error(r"x\.npy: expected a readable \.npy file of plain numbers", lambda: read_array(tmp_path / "x.npy"))


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros(5), r"got \[5\]"),
        (np.zeros((2, 4, 4, 3)), r"got \[2, 4, 4, 3\]"),
        (np.zeros((3, 12, 16)), r"got \[3, 12, 16\]"),
        (np.zeros(SHAPE, complex), "got dtype complex128"),
        (np.zeros(SHAPE, "U3"), "got dtype <U3"),
    ],
)
def test_npy_of_wrong_shape_or_type_is_refused(tmp_path: Path, array: np.ndarray, match: str) -> None:
    expect_error(match, lambda: read_array(save(tmp_path / "x.npy", array)))


def test_npy_that_promises_more_than_it_holds_allocates_nothing(tmp_path: Path) -> None:
    with (tmp_path / "x.npy").open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)})
    expect_error("expected a readable", lambda: read_array(tmp_path / "x.npy"))


@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_files_above_max_pixels_are_refused_before_decoding(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"x{suffix}", LABELS)
    for read in (read_array, read_size):
        expect_error(r"at most 100 pixels, got 12 x 16.*max_pixels", lambda read=read: read(path, 100))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda path: read_classes(path, num_classes=9), "one class number per pixel, got 3 channels"),
        (lambda path: read_scalar(path), "one value per pixel, got 3 channels"),
    ],
)
def test_colours_are_not_taken_for_values(tmp_path: Path, call: Any, match: str) -> None:
    path = save(tmp_path / "x.png", np.zeros((*SHAPE, 3), np.uint8))
    expect_error(match, lambda: call(path))


def test_greys_and_whole_numbers_are_not_taken_for_vectors_nor_scores_for_classes(tmp_path: Path) -> None:
    expect_error("three values per pixel", lambda: read_vector(save(tmp_path / "x.png", LABELS)))
    wide = save(tmp_path / "w.npy", np.zeros((*SHAPE, 3), np.int32))
    expect_error("uint8 or float vectors, got int32", lambda: read_vector(wide))
    scores = save(tmp_path / "s.npy", np.full(SHAPE, 0.25))
    expect_error("whole class numbers, got 0.25", lambda: read_classes(scores, num_classes=2))
