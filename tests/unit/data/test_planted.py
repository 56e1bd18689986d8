"""The planted scenes: the bit is where the plant says, read from the drawn pixels; determinism; the data set's interface."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from atrcnas.data.loading import open_source
from atrcnas.data.planted import Planted, PlantedOptions
from atrcnas.data.plants import PLANTS
from atrcnas.data.sample import Sample
from atrcnas.data_job import check_lines
from atrcnas.engine.devices import connect
from atrcnas.engine.gradient_search import search_batches, search_training
from atrcnas.engine.networks import fixed_network
from atrcnas.engine.splits import open_splits
from atrcnas.engine.step import take_step
from atrcnas.ground.errors import ConfigError
from atrcnas.nn.contexts.local import KERNEL
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.pairs import Pair

NUM_SEEN = 40
SIGHT = 7  # pixels that the features of a pixel see in every direction
TASKS = ("source", "target")
hidden = pytest.mark.parametrize("plant", [name for name in PLANTS if name != "own_value"])


@cache
def samples(plant: str) -> list[Sample]:
    """Without noise, so that red is exactly 32, 128 or 224, or nearer to 128 where evidence is faint."""
    source = Planted(PlantedOptions(plant=plant, noise=0), "train", TASKS)
    return [source[index] for index in range(NUM_SEEN)]


def red(sample: Sample) -> np.ndarray:
    """Evidence, positive for 1."""
    return sample.image[..., 0].astype(int) - 128


def questions(sample: Sample, own: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Row, column and bit of the pixels that count and are of one of the classes ``own``."""
    asked = sample.valid["target"] & np.isin(sample.targets["target"] // 2, own)
    return [(y, x, int(sample.targets["target"][y, x] % 2)) for y, x in np.argwhere(asked)]


def right(sample: Sample, answer: np.ndarray, own: tuple[int, ...] = (0, 1, 2, 3)) -> bool:
    """Whether the sign of ``answer`` is the bit wherever one is asked for."""
    return all((answer[y, x] > 0) == bool(bit) and answer[y, x] != 0 for y, x, bit in questions(sample, own))


def means_over(evidence: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """At each pixel the mean of ``evidence`` over all pixels of its class."""
    return sum((classes == one) * evidence[classes == one].mean() for one in np.unique(classes))


def in_windows(evidence: np.ndarray, classes: np.ndarray, reach: int) -> np.ndarray:
    """At each pixel the mean of ``evidence`` over the pixels of its class that are at most ``reach`` away."""
    height, width = evidence.shape
    answer = np.zeros(evidence.shape)
    for y in range(height):
        for x in range(width):
            window = np.s_[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
            answer[y, x] = evidence[window][classes[window] == classes[y, x]].mean()
    return answer


def test_own_value_is_where_it_is_needed() -> None:
    assert all(right(sample, red(sample)) for sample in samples("own_value"))


def test_near_value_is_the_only_evidence_in_the_window_of_local_and_the_scene_cancels() -> None:
    reach = 4 * (KERNEL // 2 + 1)  # a window's last feature sees a further one
    for sample in samples("near_value")[:5]:
        assert right(sample, in_windows(red(sample), np.zeros((32, 96)), reach))
        assert red(sample).sum() == 0


def test_scene_average_is_that_of_all_pixels_and_no_part_will_do() -> None:
    parts = []
    for sample in samples("scene_average"):
        assert right(sample, np.full((32, 96), red(sample).mean()))
        parts.append(right(sample, np.full((32, 96), red(sample)[:, :36].mean())))
    assert np.mean(parts) < 0.95


def test_target_regions_show_the_bit_of_the_own_class_and_the_scene_cancels() -> None:
    for sample in samples("target_regions"):
        own = sample.targets["target"] // 2
        assert right(sample, means_over(red(sample), own), (1,))
        assert red(sample).sum() == 0
    by_source = [
        right(sample, means_over(red(sample), sample.targets["source"]), (1,)) for sample in samples("target_regions")
    ]
    assert np.mean(by_source) < 0.75


def test_source_regions_show_the_bit_of_the_source_s_class_and_those_of_the_target_do_not() -> None:
    for sample in samples("source_regions"):
        assert right(sample, means_over(red(sample), sample.targets["source"]))
    own = [
        right(sample, means_over(red(sample), sample.targets["target"] // 2)) for sample in samples("source_regions")
    ]
    assert np.mean(own) < 0.75


def test_beside_value_is_at_the_left_and_its_opposite_at_the_right() -> None:
    for sample in samples("beside_value"):
        evidence = red(sample)
        assert right(sample, np.roll(evidence, 10, axis=1))
        assert right(sample, -np.roll(evidence, -9, axis=1))


def test_source_structure_is_needed_to_tell_two_bits_apart() -> None:
    for sample in samples("source_structure")[:5]:
        evidence, source = red(sample), sample.targets["source"]
        assert right(sample, in_windows(evidence, source, 20))
        assert not means_over(evidence, source).any()
        assert not evidence.mean(axis=0).any()


@pytest.mark.parametrize("plant", ["near_value", "source_regions", "beside_value", "source_structure"])
def test_no_evidence_is_in_sight_of_a_pixel_that_asks(plant: str) -> None:
    for sample in samples(plant):
        shown = np.pad(red(sample) != 0, SIGHT)
        near = np.lib.stride_tricks.sliding_window_view(shown, (2 * SIGHT + 1,) * 2).any(axis=(2, 3))
        # A feature stands for 4x4 pixels and sees 7 to either side of the first: 4 less of the last.
        first = near[::4, ::4].repeat(4, axis=0).repeat(4, axis=1)
        assert not (first & sample.valid["target"]).any()


def test_features_see_as_far_as_the_scenes_assume() -> None:
    """By the gradient of a feature: 7 pixels around the first of its 4x4, and `mti` 4 more."""
    experiment = Experiment.load("planted")
    for kind, sight in (("none", SIGHT), ("mti", SIGHT + 4)):
        net = network(experiment, kind).eval()
        torch.manual_seed(0)
        image = torch.rand(1, 3, 96, 96, requires_grad=True)
        encoded = net.encode(image)
        refined = net.refiners["4"](encoded.features[4], {})["target"]
        refined[0, :, 12, 12].sum().backward()
        seen = np.flatnonzero(image.grad[0].abs().sum((0, 1)))
        assert (48 - seen.min(), seen.max() - 48) == (sight, sight)


def network(experiment: Experiment, kind: str) -> MultiTaskNet:
    kinds = {pair: pool[0] for pair, pool in experiment.search_space().pools(experiment.tasks).items()}
    net = fixed_network(experiment, ContextConfig.from_kinds({**kinds, Pair("target", "source"): kind}))
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if name.endswith("project.1.weight"):  # starts closed
                weight.fill_(1.0)
    return net


@hidden
def test_bits_are_even_and_the_class_does_not_tell_them(plant: str) -> None:
    classes = (1,) if plant == "target_regions" else (0, 1, 2, 3)  # there, class a never has a bit
    seen = [(sample, found) for sample in samples(plant) for found in questions(sample, classes)]
    asked = [(sample.targets["target"][y, x] // 2, bit) for sample, (y, x, bit) in seen]
    for one in {own for own, _ in asked}:
        assert 0.3 < np.mean([bit for own, bit in asked if own == one]) < 0.7


@pytest.mark.parametrize("plant", PLANTS)
def test_a_sample_depends_on_seed_split_and_index_alone(plant: str) -> None:
    one = Planted(PlantedOptions(plant=plant), "val", TASKS)
    other = Planted(PlantedOptions(plant=plant, val_size=9, train_size=1), "val", TASKS)
    first, again = one[3], [other[5], other[3]][1]
    assert np.array_equal(first.image, again.image)
    assert all(np.array_equal(first.targets[task], again.targets[task]) for task in TASKS)
    others = [
        Planted(PlantedOptions(plant=plant, seed=1), "val", TASKS)[3],
        Planted(PlantedOptions(plant=plant), "train", TASKS)[3],
        one[4],
    ]
    assert not any(np.array_equal(first.image, different.image) for different in others)


@pytest.mark.parametrize("plant", PLANTS)
def test_what_is_read_fits_what_is_declared(plant: str) -> None:
    experiment = Experiment.load("planted", [f"data.options.plant={plant}", "data.options.train_size=4"])
    counts = {name: task.channels for name, task in experiment.resolved_tasks().items()}
    sample = open_source(experiment, "train")[0]
    for task in TASKS:
        assert sample.targets[task].min() >= 0 and sample.targets[task].max() < (counts[task] or 0)
        assert sample.valid[task].any()


def test_check_reads_them() -> None:
    text = "\n".join(check_lines(Experiment.load("planted", ["data.options.train_size=4", "data.options.val_size=2"])))
    assert "train: 4 samples" in text and "a0" in text


def test_every_planted_kind_is_one_and_is_in_the_pool_that_is_searched() -> None:
    experiment = Experiment.load("planted")
    pool = experiment.search_space().pools(experiment.tasks)[Pair("target", "source")]
    assert {kind for plant in PLANTS.values() for kind in plant.kinds} == set(pool) <= set(KINDS.names)


def test_unknown_plants_and_tasks_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.options\.plant: .*expected one of own_value, .*, got 'elsewhere'"):
        Experiment.load("planted", ["data.options.plant=elsewhere"])
    with pytest.raises(ConfigError, match="'planted' has source, target, each once; got semseg"):
        Planted(PlantedOptions(), "train", ("semseg",))


@pytest.mark.slow
def test_a_search_finds_what_was_planted() -> None:
    experiment = Experiment.load("planted", ["data.options.plant=near_value", "data.selection=0"])
    splits = open_splits(experiment)
    training, choice = search_training(experiment, splits, connect(experiment))
    for batch in search_batches(experiment, splits, {}):
        take_step(training, batch)
    assert choice.chosen()[Pair("target", "source")] == "local"
