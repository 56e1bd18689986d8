"""The rendered rooms: determinism, label conventions, agreement between tasks, options, variety."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from pydantic import ValidationError

from atrcnas.data.rooms import Rooms, RoomsOptions
from atrcnas.data.rooms.camera import Camera
from atrcnas.data.rooms.classes import Semseg
from atrcnas.data.rooms.labels import instance_map
from atrcnas.data.rooms.primitives import Primitives
from atrcnas.data.rooms.raycast import cast
from atrcnas.data.rooms.render import render
from atrcnas.data.rooms.scene import build_scene
from atrcnas.data.sample import Sample
from atrcnas.ground.errors import ConfigError

NUM_SEEN = 60
SHAPE = (96, 128)


@cache
def samples() -> list[Sample]:
    train = Rooms(RoomsOptions(), "train", Rooms.all_tasks)
    return [train[index] for index in range(NUM_SEEN)]


def same(one: Sample, other: Sample) -> bool:
    return np.array_equal(one.image, other.image) and all(
        np.array_equal(one.targets[task], other.targets[task]) and np.array_equal(one.valid[task], other.valid[task])
        for task in one.targets
    )


def test_sample_depends_on_seed_and_index_alone() -> None:
    options = RoomsOptions(label_noise=0.2, missing_depth=0.3)
    one, other = (Rooms(options, "val", Rooms.all_tasks) for _ in range(2))
    forwards = [one[index] for index in (0, 1, 2)]
    backwards = [other[index] for index in (2, 1, 0)][::-1]
    assert all(same(a, b) for a, b in zip(forwards, backwards, strict=True))
    assert same(one[1], forwards[1])


def test_seeds_give_different_rooms() -> None:
    other = Rooms(RoomsOptions(seed=1), "train", Rooms.all_tasks)[0]
    # The geometry, not just the sensor noise.
    assert np.mean(np.abs(other.targets["depth"] - samples()[0].targets["depth"]) > 0.1) > 0.5


def test_rooms_do_not_depend_on_the_size_of_the_split() -> None:
    assert same(Rooms(RoomsOptions(train_size=1), "train", Rooms.all_tasks)[0], samples()[0])


def test_splits_are_disjoint() -> None:
    images = [
        Rooms(RoomsOptions(), split, [])[index].image.tobytes()
        for split in ("train", "val", "test")
        for index in range(4)
    ]
    assert len(set(images)) == 12
    names = [Rooms(RoomsOptions(), split, [])[0].name for split in ("train", "val", "test")]
    assert len(set(names)) == 3


def test_splits_stay_in_their_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        "atrcnas.data.rooms.dataset.build_scene", lambda seed, g: asked.append(g) or build_scene(seed, g)
    )
    for split in ("train", "val", "test"):
        split_of_rooms = Rooms(RoomsOptions(train_size=10**9, val_size=7, test_size=7), split, [])
        split_of_rooms[len(split_of_rooms) - 1]
    assert asked == [10**9 - 1, 10**9 + 6, 2 * 10**9 + 6]


def test_labels_have_the_documented_types_and_ranges() -> None:
    num_classes = Rooms.num_classes(RoomsOptions())
    assert num_classes == {"semseg": len(Semseg), "human_parts": 7}
    assert {task: len(names) for task, names in Rooms.class_names.items()} == num_classes
    for sample in samples():
        assert sample.image.shape == (*SHAPE, 3)
        assert sample.image.dtype == np.uint8
        assert set(sample.targets) == set(sample.valid) == set(Rooms.all_tasks)
        for task, count in {**num_classes, "edge": 2, "sal": 2}.items():
            target = sample.targets[task]
            assert target.shape == SHAPE
            assert target.dtype == np.int64
            assert 0 <= target.min() <= target.max() < count
        assert all(valid.shape == SHAPE and valid.dtype == bool and valid.all() for valid in sample.valid.values())
        depth = sample.targets["depth"]
        assert depth.shape == SHAPE
        assert depth.dtype == np.float32
        assert 0.4 < depth.min() <= depth.max() < 12


def test_normals_are_unit_vectors_towards_the_camera() -> None:
    for index, sample in enumerate(samples()[:20]):
        normals = sample.targets["normals"]
        assert normals.shape == (*SHAPE, 3)
        assert normals.dtype == np.float32
        assert np.allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-4)
        rays = build_scene(0, index).camera.rays(*SHAPE)
        rays /= np.linalg.norm(rays, axis=0)
        assert (np.moveaxis(normals, -1, 0).reshape(3, -1) * rays).sum(axis=0).max() < 1e-2
        # Where the view runs along the optical axis, facing the camera means z <= 0; at the border it may not.
        assert normals[44:52, 60:68, 2].max() < 0.1


def finite_difference_normals(depth: np.ndarray, camera: Camera) -> np.ndarray:
    """Normals from the unprojected depth, [H - 2, W - 2, 3]."""
    points = (camera.rays(*depth.shape) * depth.ravel()).reshape(3, *depth.shape)
    across = points[:, 1:-1, 2:] - points[:, 1:-1, :-2]
    down = points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
    normals = np.cross(across, down, axis=0)
    normals *= -np.sign((normals * points[:, 1:-1, 1:-1]).sum(axis=0))
    return np.moveaxis(normals / np.linalg.norm(normals, axis=0), 0, -1)


def test_depth_agrees_with_normals_inside_surfaces() -> None:
    shares = []
    for index, sample in enumerate(samples()[:15]):
        estimate = finite_difference_normals(sample.targets["depth"].astype(np.float64), build_scene(0, index).camera)
        cosine = (estimate * sample.targets["normals"][1:-1, 1:-1]).sum(axis=-1)
        edge = sample.targets["edge"].astype(bool)
        near_edge = edge[1:-1, 1:-1] | edge[:-2, 1:-1] | edge[2:, 1:-1] | edge[1:-1, :-2] | edge[1:-1, 2:]
        error_deg = np.degrees(np.arccos(np.clip(cosine[~near_edge], -1, 1)))
        shares.append(np.mean(error_deg < 5))
    # The rest are small round things and steps too low for an edge, such as the panels of a door.
    assert np.mean(shares) > 0.95
    assert min(shares) > 0.85


def test_human_parts_cover_people_and_nothing_else() -> None:
    for sample in samples():
        assert np.array_equal(sample.targets["human_parts"] > 0, sample.targets["semseg"] == Semseg.PERSON)
    assert set(np.unique([sample.targets["human_parts"] for sample in samples()])) == set(range(7))


def test_edges_mark_every_instance_boundary_and_few_other_pixels() -> None:
    for index, sample in enumerate(samples()[:15]):
        scene = build_scene(0, index)
        _, surface = render(scene, SHAPE)
        instance = instance_map(scene, surface).reshape(SHAPE)
        edge = sample.targets["edge"].astype(bool)
        assert edge[:, :-1][instance[:, :-1] != instance[:, 1:]].all()
        assert edge[:-1][instance[:-1] != instance[1:]].all()
        assert 0.01 < edge.mean() < 0.3
        # Away from creases and outlines there is none: a flat neighbourhood in normals, depth and instance.
        normals, depth = sample.targets["normals"], sample.targets["depth"]
        smooth = (normals[:-1, :-1] * normals[1:, :-1]).sum(-1) > 0.999
        smooth &= (normals[:-1, :-1] * normals[:-1, 1:]).sum(-1) > 0.999
        for other in (depth[1:, :-1], depth[:-1, 1:]):
            smooth &= np.abs(other - depth[:-1, :-1]) < 0.05 * depth[:-1, :-1]
        for other in (instance[1:, :-1], instance[:-1, 1:]):
            smooth &= other == instance[:-1, :-1]
        assert not edge[:-1, :-1][smooth].any()


def test_salient_people_are_whole() -> None:
    for sample in samples():
        people = sample.targets["semseg"] == Semseg.PERSON
        if people.mean() > 0.02:
            assert sample.targets["sal"][people].mean() > 0.8
    shares = [sample.targets["sal"].mean() for sample in samples()]
    assert np.mean(np.array(shares) > 0) > 0.95


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_missing_depth_removes_the_asked_share_and_only_that(share: float) -> None:
    holes = Rooms(RoomsOptions(missing_depth=share), "train", Rooms.all_tasks)[3]
    whole = samples()[3]
    valid = holes.valid["depth"]
    assert np.mean(~valid) == pytest.approx(share, abs=1e-3)
    assert np.array_equal(holes.targets["depth"][valid], whole.targets["depth"][valid])
    assert np.all(holes.targets["depth"][~valid] == 0)
    assert np.array_equal(holes.image, whole.image)
    # In blobs: next to a hole there is mostly a hole.
    assert np.mean(valid[:, 1:] != valid[:, :-1]) < 0.5 * 2 * share * (1 - share)
    for task in set(Rooms.all_tasks) - {"depth"}:
        assert holes.valid[task].all()
        assert np.array_equal(holes.targets[task], whole.targets[task])


def test_label_noise_grows_with_its_share_and_touches_semseg_alone() -> None:
    changed = []
    for share in (0.1, 0.5):
        noisy = Rooms(RoomsOptions(label_noise=share), "train", Rooms.all_tasks)
        pairs = [(noisy[index], samples()[index]) for index in range(12)]
        changed.append(np.mean([np.mean(a.targets["semseg"] != b.targets["semseg"]) for a, b in pairs]))
        for dirty, clean in pairs:
            assert np.array_equal(dirty.image, clean.image)
            assert 0 <= dirty.targets["semseg"].min() <= dirty.targets["semseg"].max() < len(Semseg)
            assert all(np.array_equal(dirty.targets[t], clean.targets[t]) for t in Rooms.all_tasks if t != "semseg")
    assert 0 < changed[0] < 0.1
    assert 2 * changed[0] < changed[1] < 0.5


def test_sensor_noise_changes_the_image_alone() -> None:
    clean = Rooms(RoomsOptions(sensor_noise=0.0), "train", Rooms.all_tasks)[0]
    difference = clean.image.astype(float) - samples()[0].image
    assert 0.01 < np.std(difference) / 255 < 0.03
    assert all(np.array_equal(clean.targets[task], samples()[0].targets[task]) for task in Rooms.all_tasks)


@pytest.mark.parametrize("task", Rooms.all_tasks)
def test_only_the_asked_task_is_returned(task: str) -> None:
    sample = Rooms(RoomsOptions(label_noise=0.2, missing_depth=0.2), "train", [task])[0]
    assert list(sample.targets) == list(sample.valid) == [task]


@pytest.mark.parametrize("shape", [(32, 32), (33, 47), (128, 64), (192, 256)])
def test_any_size_shows_the_same_room(shape: tuple[int, int]) -> None:
    sample = Rooms(RoomsOptions(image_size=shape), "train", Rooms.all_tasks)[0]
    assert sample.image.shape == (*shape, 3)
    assert sample.targets["normals"].shape == (*shape, 3)
    assert all(sample.targets[task].shape == shape for task in Rooms.all_tasks if task != "normals")


def test_every_class_is_seen_and_none_drowns_the_others() -> None:
    shares = np.array([np.bincount(s.targets["semseg"].ravel(), minlength=len(Semseg)) for s in samples()]) / math.prod(
        SHAPE
    )
    assert ((shares > 0).mean(axis=0) >= 0.05).all()
    assert shares[:, : Semseg.CEILING + 1].sum(axis=1).mean() < 0.8
    assert 0.35 < (shares[:, Semseg.PERSON] > 0.001).mean() < 0.7


def test_rays_along_the_walls_hit_what_is_ahead() -> None:
    room = np.array([4, 3, 2.5], dtype=np.float32)
    straight = Camera.aimed((1.0, 1.5, 1.2), 0.0, 0.0, 0.0, 0.7)
    surface = cast(Primitives.from_rows([]), room, straight, 33, 33)
    assert np.isfinite(surface.point).all()
    assert surface.depth.reshape(33, 33)[16, 16] == pytest.approx(3.0, abs=1e-4)


def test_length_and_range_of_the_index() -> None:
    split = Rooms(RoomsOptions(val_size=3), "val", ["depth"])
    assert len(split) == 3
    for index in (-1, 3):
        with pytest.raises(IndexError, match="val has 3 images"):
            split[index]


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one of train, val, test"):
        Rooms(RoomsOptions(), "dev", ["depth"])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="got depht"):
        Rooms(RoomsOptions(), "train", ["depht"])
    for wrong in (
        {"image_size": (16, 64)},
        {"label_noise": 0.6},
        {"missing_depth": 1.0},
        {"seed": -1},
        {"colour": True},
        {"train_size": "7"},
        {"val_size": True},
    ):
        with pytest.raises(ValidationError):
            RoomsOptions(**wrong)


def test_options_describe_themselves() -> None:
    assert all(field.description for field in RoomsOptions.model_fields.values())
