"""The folder data set and its readers, on real files of every format and with every fault a user meets."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from atrcnas.data.folder import Folder, FolderOptions
from atrcnas.data.rasters import read_array, read_size
from atrcnas.data.reading import read_classes, read_image, read_scalar, read_vector
from atrcnas.ground.errors import ConfigError, DataError
from atrcnas.spec.tasks import TASKS

SHAPE = (12, 16)
NAMES = ("a", "b", "c.d")
LABELS = (np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 5).astype(np.uint8)
CAMVID = Path("/work/shared/camvid_small")


def save(path: Path, array: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path, **options)
    return path


def target_files(task: str) -> tuple[str, np.ndarray]:
    """Suffix and stored numbers of a plain file of any task in the table."""
    kind = TASKS[task].target
    if kind == "scalar":
        return ".npy", np.full(SHAPE, 2.5, np.float32)
    if kind == "vector":
        return ".npy", np.broadcast_to(np.float32([0, 0, -2]), (*SHAPE, 3)).copy()
    return ".png", LABELS % 2


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three samples per split, every task."""
    for split in ("train", "val"):
        for number, name in enumerate(NAMES):
            save(tmp_path / split / "image" / f"{name}.png", np.full((*SHAPE, 3), 40 * number, np.uint8))
            for task in TASKS.names:
                suffix, array = target_files(task)
                save(tmp_path / split / task / f"{name}{suffix}", array)
    return tmp_path


def open_folder(root: Path, *tasks: str, split: Any = "train", **options: Any) -> Folder:
    return Folder(FolderOptions(root=root, **{"classes": {"semseg": 5}, **options}), split, tasks or TASKS.names)


def expect_error(match: str, call: Callable[[], object]) -> str:
    with pytest.raises(DataError, match=match) as caught:
        call()
    return str(caught.value)


def test_every_task_of_the_table_is_read_with_its_shape_and_type(root: Path) -> None:
    folder = open_folder(root)
    assert [folder[index].name for index in range(len(folder))] == ["a", "b", "c.d"]
    sample = folder[1]
    assert sample.image.shape == (*SHAPE, 3)
    assert (sample.image == 40).all()
    for task in TASKS:
        kind = {"classes": (SHAPE, np.int64), "scalar": (SHAPE, np.float32), "vector": ((*SHAPE, 3), np.float32)}
        assert (sample.targets[task.name].shape, sample.targets[task.name].dtype) == kind[task.target]
        assert sample.valid[task.name].dtype == bool
        assert sample.valid[task.name].all()
    assert np.allclose(sample.targets["normals"], [0, 0, -1])


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
    assert read_scalar(path, missing=-9)[1][0, :2].all()
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
    stored = np.broadcast_to(np.uint8([255, 128, 128]), (*SHAPE, 3)).copy()
    stored[0, :3] = [[0, 0, 0], [128, 127, 128], [37, 218, 128]]
    vectors, valid = read_vector(save(tmp_path / "n.png", stored))
    assert np.allclose(vectors[1, 1], [1, 0, 0], atol=0.01)
    assert valid[0].tolist()[:4] == [False, False, True, True]
    assert np.allclose(np.linalg.norm(vectors[valid], axis=1), 1, atol=1e-6)


def test_normals_of_npy_that_are_zero_or_not_finite_are_missing(tmp_path: Path) -> None:
    stored = np.full((*SHAPE, 3), 3.0)
    stored[0, :3] = [[0, 0, 0], [np.nan, 0, 1], [np.inf, 0, 0]]
    vectors, valid = read_vector(save(tmp_path / "n.npy", stored))
    assert valid.sum() == valid.size - 3
    assert np.isfinite(vectors).all()
    assert np.allclose(vectors[1, 1], 3**-0.5)


def test_label_out_of_range_names_file_value_range_and_way_out(root: Path) -> None:
    stored = LABELS.copy()
    stored[3, 7] = 9
    path = save(root / "train/semseg/b.png", stored)
    message = expect_error(r"expected class numbers 0\.\.4, got 9 \(1 pixels", lambda: open_folder(root)[1])
    assert message.startswith(f"{path}: ")
    assert "row 3, column 7" in message
    assert "data.options.classes.semseg" in message


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


def test_folders_that_do_not_exist_are_named_with_what_is_there(root: Path, tmp_path: Path) -> None:
    expect_error("nothing/here: expected the data set's folder", lambda: open_folder(tmp_path / "nothing/here"))
    expect_error(r"beside it: train, val|beside it: val, train", lambda: open_folder(root, train_split="training"))
    expect_error("expected a test split, got none declared", lambda: open_folder(root, split="test"))


def test_all_problems_are_told_at_once(root: Path) -> None:
    for path in (root / "train/depth").iterdir():
        path.unlink()
    (root / "train/edge/b.png").unlink()
    (root / "train/sal").rename(root / "train/saliency")
    save(root / "train/image/a.jpg", np.zeros((*SHAPE, 3), np.uint8))
    save(root / "train/semseg/a.png", LABELS[:, :-1])
    (root / "train/normals/b.npy").write_bytes(b"")
    lines = expect_error("expected", lambda: open_folder(root)).splitlines()
    for expected in (
        "train/depth: expected .png .jpg .jpeg .npy files, got no files",
        "train/edge: expected a file for each of 3 images, got none for 1: b.",
        "train/sal: expected a folder, got nothing there",
        "train/image: expected one file per name, got a.jpg and a.png.",
        "train/semseg/a.png: expected the image's size, 12 x 16, got 12 x 15.",
        "train/normals/b.npy: expected a readable .npy",
    ):
        assert sum(expected in line for line in lines) == 1, expected
    assert len(lines) == 6


def test_long_lists_are_shortened_and_misnamed_files_shown(root: Path) -> None:
    for number in range(20):
        save(root / f"train/image/n{number:02}.png", np.zeros((*SHAPE, 3), np.uint8))
        save(root / f"train/edge/n{number:02}_edge.png", LABELS[:-1])
        save(root / f"train/sal/n{number:02}.png", LABELS[:-1])
    message = expect_error("got none for 20: n00, n01, n02, n03, n04 and 15 more", lambda: open_folder(root, "edge"))
    assert "n00_edge.png" in message
    lines = expect_error("expected", lambda: open_folder(root, "sal")).splitlines()
    assert len(lines) == 6
    assert lines[-1].endswith("train/sal: 15 more files with such problems.")


def test_split_without_usable_images_is_refused(root: Path) -> None:
    for path in (root / "train/image").iterdir():
        path.rename(path.with_suffix(".heic"))
    expect_error(r"image: expected .*got only other files \(a\.heic", lambda: open_folder(root))


def test_turned_target_is_told_about_exif(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    save(root / "train/image/a.png", np.zeros((*SHAPE, 3), np.uint8), exif=exif)
    expect_error("16 x 12, got 12 x 16. The image's EXIF rotation", lambda: open_folder(root, "sal"))


def test_file_changed_after_the_check_is_noticed(root: Path) -> None:
    folder = open_folder(root, "sal")
    save(root / "train/sal/a.png", LABELS[1:] % 2)
    expect_error("The file has changed", lambda: folder[0])


def test_resizing_on_reading_keeps_labels_whole_and_depth_unchanged(root: Path) -> None:
    save(root / "train/semseg/a.png", np.where(LABELS == 4, 255, LABELS))
    sample = open_folder(root, image_size=(30, 21))[0]
    assert sample.image.shape == (30, 21, 3)
    assert {values.shape[:2] for values in sample.targets.values()} == {(30, 21)}
    assert set(np.unique(sample.targets["semseg"][sample.valid["semseg"]])) <= {0, 1, 2, 3}
    assert 0.1 < 1 - sample.valid["semseg"].mean() < 0.3
    assert (sample.targets["depth"] == 2.5).all()


def test_value_rules_reach_the_reader(root: Path) -> None:
    save(root / "train/depth/a.npy", np.full(SHAPE, 1500, np.int32))
    sample = open_folder(root, "depth", values={"depth": {"scale": 0.001}})[0]
    assert np.allclose(sample.targets["depth"], 1.5)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"classes": {}}, "semseg' needs the number of classes"),
        ({"classes": {"semsg": 5}}, "Did you mean 'semseg'"),
        ({"classes": {"semseg": 5, "depth": 5}}, r"classes\.depth: task 'depth' has no classes"),
        ({"classes": {"semseg": 5, "edge": 3}}, "edge' has 2 classes"),
        ({"values": {"dept": {}}}, "Did you mean 'depth'"),
        ({"values": {"depth": {"shift": 1}}}, r"values\.depth\.shift: has no effect"),
        ({"values": {"edge": {"offset": 1}}}, r"values\.edge\.offset: has no effect"),
        ({"values": {"normals": {"scale": 2}}}, r"values\.normals\.scale: has no effect"),
    ],
)
def test_options_that_do_not_fit_the_tasks_are_refused(root: Path, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        open_folder(root, **options)


def test_class_names_imply_the_count_and_must_agree_with_it(root: Path) -> None:
    names = ["sky", "road", "car", "tree", "person"]
    options = FolderOptions(root=root, class_names={"semseg": names})
    assert Folder.num_classes(options) == {"semseg": 5}
    assert Folder(options, "val", ["semseg", "edge"]).class_names == {"semseg": tuple(names)}
    with pytest.raises(ValidationError, match="expected 4 names"):
        FolderOptions(root=root, classes={"semseg": 4}, class_names={"semseg": names})


def test_check_values_finds_each_fault_inside_files(root: Path) -> None:
    save(root / "train/semseg/a.png", np.full(SHAPE, 77, np.uint8))
    save(root / "train/edge/b.png", np.full(SHAPE, 255, np.uint8))
    save(root / "train/depth/c.d.npy", np.where(LABELS == 1, np.nan, 3.0))
    write_truncated(root / "train/image/b.png")
    done: list[int] = []
    report = open_folder(root).check_values(done.append)
    assert done == [1, 2, 3]
    assert report.num_samples == 3
    assert len(report.problems) == 4
    for expected in (
        "semseg/a.png: expected class numbers 0..4, got 77",
        "edge/b.png: expected ground truth somewhere",
        "depth/c.d.npy: expected finite numbers, got 39 that are not",
        "image/b.png: expected a readable image",
    ):
        assert any(expected in problem for problem in report.problems), expected


def test_check_values_counts_classes_missing_pixels_and_ranges(root: Path) -> None:
    save(root / "train/depth/a.npy", np.linspace(0, 9, LABELS.size).reshape(SHAPE))
    save(root / "train/edge/a.png", np.where(LABELS == 0, 255, 1).astype(np.uint8))
    report = open_folder(root, "depth", "edge", "normals").check_values()
    assert report.problems == []
    assert report.ranges["depth"] == pytest.approx((9 / (LABELS.size - 1), 9))
    assert report.missing_shares["depth"] == pytest.approx(1 / (3 * LABELS.size))
    assert report.missing_shares["normals"] == 0
    assert sum(report.class_shares["edge"]) == pytest.approx(1)
    ones = (LABELS != 0).sum() + 2 * (LABELS % 2).sum()
    assert report.class_shares["edge"][1] == pytest.approx(ones / (3 * LABELS.size - (LABELS == 0).sum()))


@pytest.mark.skipif(not CAMVID.is_dir(), reason="needs shared/camvid_small")
def test_camvid_small_opens() -> None:
    folder = open_folder(CAMVID, "semseg", "edge", "sal", split="val", classes={"semseg": 11})
    assert len(folder) == 101
    assert folder[0].image.shape == (180, 240, 3)
