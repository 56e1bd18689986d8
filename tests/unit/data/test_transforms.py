"""Augmentation: a pixel keeps its identity in every label type, values follow the geometry, padding is never valid."""

from __future__ import annotations

import colorsys
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from atrcnas.data.photometric import distort_colours, shift_hsv
from atrcnas.data.resizing import nearest_indices, resize_sample
from atrcnas.data.sample import Sample
from atrcnas.data.transforms import PAD_COLOUR, Augmented, AugmentSpec, augment
from atrcnas.spec.tasks import TASKS, Task

NUM_CLASSES = 60_000
MIRROR_X = np.array([-1, 1, 1], np.float32)
PLAIN = {"scale": (1.0, 1.0), "flip": 0.0, "photometric": False}


def table(num_classes: int = NUM_CLASSES) -> dict[str, Task]:
    """Every registered task, with a class count where one is needed."""
    return {task.name: task.with_options(num_classes if task.channels is None else None) for task in TASKS}


def identity(height: int, width: int) -> np.ndarray:
    return np.arange(height * width).reshape(height, width)


def coded_sample(height: int, width: int, seed: int = 0) -> Sample:
    """Each label holds its pixel's number, classes modulo their count; the same fifth of all maps is not valid.

    The image's red and green run with the column and the row.
    """
    number = identity(height, width)
    targets: dict[str, np.ndarray] = {}
    for name, task in table().items():
        if task.target == "classes":
            targets[name] = number % task.num_labels
        elif task.target == "scalar":
            targets[name] = (number + 1).astype(np.float32)
        else:
            angle = (number + 1) * (1.5 / (number.size + 1))
            targets[name] = np.stack([np.sin(angle), np.zeros_like(angle), np.cos(angle)], 2).astype(np.float32)
    valid = np.random.default_rng(seed).random((height, width)) < 0.8
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 250, width)
    image[..., 1] = np.linspace(0, 250, height)[:, None]
    return Sample("coded", image, targets, {name: valid.copy() for name in targets})


def options(**changes: Any) -> AugmentSpec:
    return AugmentSpec(**{**PLAIN, **changes})


def draw(sample: Sample, chosen: AugmentSpec, seed: int = 0) -> Augmented:
    return augment(sample, chosen, table(), np.random.default_rng(seed))


def arrays(item: Augmented) -> list[np.ndarray]:
    return [item.sample.image, item.image_valid, *item.sample.targets.values(), *item.sample.valid.values()]


def is_mirrored(item: Augmented) -> bool:
    """Whether red, which grows with the column in the source, falls with it inside the image area."""
    row = item.sample.image[0][item.image_valid[0]].astype(int)
    return bool(row[-1, 0] < row[0, 0])


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sides=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    crop=st.none() | st.tuples(st.integers(8, 60), st.integers(8, 60)),
)
def test_a_pixel_keeps_its_identity_in_every_label_type(
    seed: int, sides: tuple[int, int], crop: tuple[int, int] | None
) -> None:
    source = coded_sample(*sides, seed=seed)
    item = draw(source, AugmentSpec(crop_size=crop, photometric=False), seed)
    assert item.image_valid.shape == (crop or sides)
    inside = item.image_valid
    number = item.sample.targets["semseg"]
    flipped = is_mirrored(item)
    factor = 1.0
    for name, task in table().items():
        values, valid = item.sample.targets[name], item.sample.valid[name]
        expected = source.targets[name].reshape(-1, *source.targets[name].shape[2:])[number]
        if task.zoom == "divide":
            factor = float((expected / np.where(inside, values, 1))[inside][0])
            expected = expected / factor
        if task.flip == "negate_x" and flipped:
            expected = expected * MIRROR_X
        assert np.allclose(values[inside], expected[inside], rtol=1e-5), name
        assert np.array_equal(valid[inside], source.valid[name].ravel()[number][inside]), name
        assert not valid[~inside].any(), name
    assert 0.5 <= factor <= 2.0
    rows, columns = np.divmod(number, sides[1])
    steps = np.diff(np.where(inside, columns, -1)[0][inside[0]])
    assert (steps <= 0).all() if flipped else (steps >= 0).all()
    # Red and green tell the source column and row too: within a pixel and a half of what the labels say.
    tolerance = 1.5 * 250 / (np.array([sides[1], sides[0]]) - 1) + 2
    image = item.sample.image.astype(float)
    assert (np.abs(image[..., 0] - columns * 250 / (sides[1] - 1))[inside] <= tolerance[0]).all()
    assert (np.abs(image[..., 1] - rows * 250 / (sides[0] - 1))[inside] <= tolerance[1]).all()


def test_without_changes_the_sample_comes_back_in_fresh_arrays() -> None:
    source = coded_sample(20, 30)
    item = draw(source, options())
    assert np.array_equal(item.sample.image, source.image)
    assert item.image_valid.all()
    for name, values in source.targets.items():
        assert np.array_equal(item.sample.targets[name], values)
        assert not np.shares_memory(item.sample.targets[name], values)
        assert not np.shares_memory(item.sample.valid[name], source.valid[name])


def test_augmenting_leaves_the_source_as_it_was() -> None:
    source, same = coded_sample(20, 30), coded_sample(20, 30)
    for seed in range(10):
        draw(source, AugmentSpec(flip=1.0), seed)
    assert np.array_equal(source.image, same.image)
    for name, values in source.targets.items():
        assert np.array_equal(values, same.targets[name])


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.7, 2.0])
def test_values_of_zoomed_tasks_are_divided_by_the_scale_and_others_kept(factor: float) -> None:
    source = coded_sample(24, 32)
    for name in source.targets:
        source.targets[name][:] = 1
    item = draw(source, options(scale=(factor, factor)))
    for name, task in table().items():
        inside = item.sample.targets[name][item.image_valid]
        assert np.allclose(inside, 1 / factor if task.zoom == "divide" else 1), name


def test_flip_mirrors_every_map_and_negates_x_of_vectors_only() -> None:
    source = coded_sample(20, 30)
    item = draw(source, options(flip=1.0))
    assert np.array_equal(item.sample.image, source.image[:, ::-1])
    for name, task in table().items():
        sign = MIRROR_X if task.flip == "negate_x" else np.ones((), np.int8)
        assert np.array_equal(item.sample.targets[name], source.targets[name][:, ::-1] * sign), name
        assert np.array_equal(item.sample.valid[name], source.valid[name][:, ::-1])


def test_flip_happens_with_its_probability() -> None:
    source = coded_sample(8, 8)
    rng = np.random.default_rng(0)
    flips = [is_mirrored(augment(source, options(flip=0.3), table(), rng)) for _ in range(500)]
    assert 0.22 < np.mean(flips) < 0.38


def test_scales_cover_their_range() -> None:
    source = coded_sample(16, 16)
    factors = []
    for seed in range(300):
        item = draw(source, options(scale=(0.5, 2.0)), seed)
        source_depth = source.targets["depth"].ravel()[item.sample.targets["semseg"][0, 0]]
        factors.append(source_depth / item.sample.targets["depth"][0, 0])
    assert 0.5 <= min(factors) < 0.53
    assert 1.95 < max(factors) <= 2.0
    assert 1.15 < np.mean(factors) < 1.35


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_padding_is_mean_coloured_and_never_valid(flip: float) -> None:
    item = draw(coded_sample(20, 30), options(crop_size=(32, 48), flip=flip))
    assert item.image_valid.sum() == 20 * 30
    assert item.image_valid[0, -1 if flip else 0]
    assert (item.sample.image[~item.image_valid] == PAD_COLOUR).all()
    assert all(not valid[~item.image_valid].any() for valid in item.sample.valid.values())


def test_padding_is_near_zero_after_normalisation() -> None:
    normalised = (np.array(PAD_COLOUR) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert np.abs(normalised).max() < 0.01


def corner_sample(share_valid: float = 1.0) -> Sample:
    """Class 0 almost everywhere, classes 1 and 2 in the lower right corner."""
    sample = coded_sample(40, 40)
    labels = np.zeros((40, 40), np.int64)
    labels[28:, 28:] = 1
    labels[34:, 28:] = 2
    valid = np.random.default_rng(3).random((40, 40)) < share_valid
    return Sample("corner", sample.image, {"semseg": labels}, {"semseg": valid})


def dominated_share(chosen: AugmentSpec, tasks: dict[str, Task], sample: Sample) -> float:
    dominated = 0
    for seed in range(200):
        item = augment(sample, chosen, tasks, np.random.default_rng(seed)).sample
        labels = item.targets["semseg"][item.valid["semseg"]]
        dominated += bool(np.bincount(labels).max() > chosen.crop_max_share * labels.size)
    return dominated / 200


def test_dominated_crops_are_redrawn_up_to_ten_times() -> None:
    crop = options(crop_size=(16, 16))
    once = dominated_share(options(crop_size=(16, 16)), {"semseg": table(2)["semseg"]}, corner_sample())
    redrawn = dominated_share(crop, table(3), corner_sample())
    assert 0.8 < once < 1.0
    # One draw and ten more, all independent: dominated with that power of the chance of one.
    assert redrawn == pytest.approx(once**11, abs=0.12)


def test_crop_rule_counts_labelled_pixels_only() -> None:
    sample = corner_sample()
    labels, valid = sample.targets["semseg"], sample.valid["semseg"]
    labels[:] = identity(40, 40) % 3
    # On the left only class 0 is labelled, though what lies under the unlabelled pixels is mixed.
    valid[:, :20] = labels[:, :20] == 0
    valid[:, 20:] = True
    assert dominated_share(options(crop_size=(16, 16)), {"semseg": table(2)["semseg"]}, sample) > 0.15
    assert dominated_share(options(crop_size=(16, 16)), table(3), sample) < 0.02


def test_crop_rule_lets_a_hopeless_image_pass() -> None:
    sample = corner_sample()
    sample.targets["semseg"][:] = 0
    assert draw(sample, options(crop_size=(16, 16))).image_valid.all()
    sample.valid["semseg"][:] = False
    assert draw(sample, options(crop_size=(16, 16))).image_valid.all()


def test_same_generator_state_gives_the_same_result_and_another_a_different_one() -> None:
    source = coded_sample(24, 32)
    first, again, other = (draw(source, AugmentSpec(crop_size=(20, 24)), seed) for seed in (5, 5, 6))
    assert all(np.array_equal(one, two) for one, two in zip(arrays(first), arrays(again), strict=True))
    assert not np.array_equal(first.sample.image, other.sample.image)


def test_results_are_contiguous_and_of_the_documented_types() -> None:
    for seed in range(6):
        item = draw(coded_sample(24, 32), AugmentSpec(crop_size=(30, 20)), seed)
        assert all(array.flags.c_contiguous for array in arrays(item))
        assert item.sample.image.dtype == np.uint8
        for name, task in table().items():
            expected = np.int64 if task.target == "classes" else np.float32
            assert item.sample.targets[name].dtype == expected
            assert item.sample.valid[name].dtype == item.image_valid.dtype == bool


def test_hsv_shift_agrees_with_the_standard_library() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (6, 50, 3)).astype(np.float32)
    image[0, :4] = [[0, 0, 0], [255, 255, 255], [9, 9, 9], [255, 0, 0]]
    for saturation, hue_deg in ((1.0, 0.0), (0.5, 18.0), (1.5, -18.0), (1.0, 170.0), (0.0, 0.0)):
        shifted = shift_hsv(image.transpose(2, 0, 1).copy(), saturation, hue_deg).transpose(1, 2, 0)
        for before, after in zip(image.reshape(-1, 3), shifted.reshape(-1, 3), strict=True):
            hue, sat, value = colorsys.rgb_to_hsv(*(before / 255).tolist())
            expected = colorsys.hsv_to_rgb((hue + hue_deg / 360) % 1, min(sat * saturation, 1), value)
            assert after / 255 == pytest.approx(expected, abs=1e-4)


def test_colours_change_within_bounds_and_one_draw_in_sixteen_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3)).astype(np.uint8)
    changed = [distort_colours(image, np.random.default_rng(seed)) for seed in range(400)]
    same = np.mean([np.array_equal(image, other) for other in changed])
    assert 1 / 16 - 0.04 < same < 1 / 16 + 0.04
    flat = np.full((4, 4, 3), 100, np.uint8)
    levels = [int(distort_colours(flat, np.random.default_rng(seed))[0, 0, 0]) for seed in range(400)]
    assert 34 <= min(levels) < 45
    assert 185 < max(levels) <= 198
    bright = [distort_colours(flat + np.uint8(150), np.random.default_rng(seed)).min() for seed in range(400)]
    assert min(bright) >= 109, "a colour has wrapped around"


@given(source=st.integers(1, 500), target=st.integers(1, 500))
def test_nearest_indices_are_the_pixel_under_each_centre(source: int, target: int) -> None:
    indices = nearest_indices(source, target)
    centres = (np.arange(target) + 0.5) * source / target
    assert ((indices <= centres + 1e-9) & (centres - 1e-9 <= indices + 1)).all()
    assert np.array_equal(nearest_indices(source, source), np.arange(source))


def test_resized_sample_stays_aligned() -> None:
    source = coded_sample(18, 24)
    resized = resize_sample(source, (31, 13))
    number = resized.targets["semseg"]
    assert np.array_equal(resized.targets["depth"], number + 1)
    assert np.array_equal(resized.valid["normals"], source.valid["normals"].ravel()[number])
    assert np.abs(resized.image[..., 0] - number % 24 * 250 / 23).max() < 20


@pytest.mark.parametrize(
    "changes", [{"scale": (2.0, 0.5)}, {"scale": (0.0, 1.0)}, {"flip": 1.1}, {"crop_size": (0, 9)}, {"zoom": 1}]
)
def test_options_outside_their_bounds_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AugmentSpec(**changes)


@pytest.mark.parametrize(("height", "width", "limit_ms"), [(96, 128, 4), (425, 560, 60)])
def test_augmentation_keeps_up_with_training(height: int, width: int, limit_ms: float) -> None:
    source = coded_sample(height, width)
    rng = np.random.default_rng(0)
    times_ms = []
    for _ in range(15):
        start = time.process_time()
        augment(source, AugmentSpec(crop_size=(height, width)), table(300_000), rng)
        times_ms.append((time.process_time() - start) * 1e3)
    assert float(np.median(times_ms)) < 2 * limit_ms
