"""The published augmentation: what its code made, with OpenCV 4.8.1, of a small picture and of single colours.

`augmentation.safetensors` holds its input and output; the labels are the numbers of their pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from atrcnas import Experiment
from atrcnas.data.normals_centroids import published_centroids
from atrcnas.data.photometric import distort_colours
from atrcnas.data.resizing import INTERPOLATIONS, resize_linear
from atrcnas.data.sample import Sample
from atrcnas.data.transforms import augment
from atrcnas.engine.label_states import label_states
from atrcnas.ground.errors import ConfigError
from atrcnas.spec.data import AugmentSpec
from atrcnas.spec.tasks import TASKS

RECORDED = load_file(Path(__file__).parent / "data/augmentation.safetensors")
PICTURE = RECORDED["image"]
SHAPE = PICTURE.shape[:2]
FACTORS = [key.removeprefix("labels.") for key in RECORDED if key.startswith("labels.")]
NUMBERS = np.arange(PICTURE[..., 0].size).reshape(SHAPE)
TASK = {"semseg": TASKS["semseg"].with_options(NUMBERS.size)}


def numbered() -> Sample:
    return Sample("numbered", PICTURE, {"semseg": NUMBERS}, {"semseg": np.ones(SHAPE, np.bool_)})


def published(size: tuple[int, int], scale: float = 1.0) -> AugmentSpec:
    """The recipe's geometry without its chance."""
    given = Experiment.load("nyud-hrnet18").data.augment
    assert given is not None
    fixed = {"crop_size": size, "scale": (scale, scale), "flip": 0.0, "photometric": False, "crop_max_share": 1.0}
    return AugmentSpec(**{**given.model_dump(), **fixed})


@pytest.mark.parametrize("factor", FACTORS)
def test_a_scaled_sample_is_the_published_one(factor: str) -> None:
    labels, image = RECORDED[f"labels.{factor}"], RECORDED[f"image.{factor}"]
    item = augment(numbered(), published(labels.shape, float(factor)), TASK, np.random.default_rng(0))
    assert np.array_equal(item.sample.targets["semseg"], labels)
    assert item.image_valid.all(), "sizes are rounded down"
    difference = np.abs(item.sample.image.astype(int) - image)
    # A value that float32 puts just below a whole number there, and not here.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 2e-3


def test_a_part_of_a_scaled_image_is_cut_from_the_whole() -> None:
    full, part = (31, 42), resize_linear(PICTURE, (31, 42), (7, 11), (20, 13))
    assert np.array_equal(part, INTERPOLATIONS["opencv"].image(PICTURE, full, (0, 0), full)[7:27, 11:24])


def test_our_default_differs_so_that_the_setting_has_an_effect() -> None:
    factor = "0.5"
    default = published(RECORDED[f"labels.{factor}"].shape, float(factor)).model_copy(
        update={"interpolation": "antialiased"}
    )
    item = augment(numbered(), default, TASK, np.random.default_rng(0))
    assert np.abs(item.sample.image.astype(int) - RECORDED[f"image.{factor}"]).mean() > 3


def test_padding_is_where_the_published_code_puts_it() -> None:
    marked = RECORDED["padded"] != 255  # and so is pixel 255, inside the picture
    inside = np.outer(marked.any(axis=1), marked.any(axis=0))
    item = augment(numbered(), published(inside.shape), TASK, np.random.default_rng(0))
    assert np.array_equal(item.image_valid, inside)
    assert np.array_equal(item.sample.targets["semseg"][inside], RECORDED["padded"][inside])
    assert np.array_equal(item.sample.valid["semseg"], inside)


class Fixed(np.random.Generator):
    """Draws what it is given, first all chances, then all amounts."""

    def __init__(self, chances: list[float], amounts: list[float]) -> None:
        super().__init__(np.random.PCG64(0))
        self.chances, self.amounts = iter(chances), iter(amounts)

    def random(self) -> float:  # type: ignore[override]
        return next(self.chances)

    def uniform(self, *_: float) -> float:  # type: ignore[override]
        return next(self.amounts)


def colours() -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Colours made here and there, and how far apart they may be on average."""
    source = RECORDED["colours"][None]
    for row, step in enumerate(RECORDED["hue_steps"]):
        for column, factor in enumerate(RECORDED["saturation"]):
            rng = Fixed([1, 1, 0, 0, 0], [float(factor), 2.0 * float(step)])
            yield distort_colours(source, rng)[0], RECORDED["distorted"][row, column], 1.0
    for row, (brightness, contrast) in enumerate(RECORDED["brightness_contrast"]):
        rng = Fixed([0, 0, 0, 1, 1], [float(brightness), float(contrast)])
        yield distort_colours(source, rng)[0], RECORDED["lit"][row], 1.0


def test_colours_are_the_published_ones_but_for_their_truncation_to_whole_numbers() -> None:
    """OpenCV keeps hue in steps of 2 degrees and saturation in bytes, and the published code rounds down each time."""
    for ours, theirs, mean in colours():
        difference = np.abs(ours.astype(int) - theirs)
        assert difference.mean() < mean
        assert difference.max() <= 6


def test_hue_turns_by_up_to_36_degrees_both_ways() -> None:
    limits = []

    class Watched(Fixed):
        def uniform(self, *ends: float) -> float:  # type: ignore[override]
            limits.append(ends)
            return 1.0

    distort_colours(RECORDED["colours"][None], Watched([1, 1, 1, 1, 0], []))
    assert limits == [(-36.0, 36.0)]


def human_parts(crop: np.ndarray, *required: str) -> np.ndarray:
    """Where the crop counts as labelled."""
    shape = crop.shape
    sample = Sample("a", np.zeros((*shape, 3), np.uint8), {"human_parts": crop}, {"human_parts": np.ones(shape, bool)})
    options = published(shape).model_copy(update={"require_foreground": required})
    return augment(sample, options, {"human_parts": TASKS["human_parts"]}, np.random.default_rng(0)).sample.valid[
        "human_parts"
    ]


def test_a_crop_without_people_is_not_labelled_and_one_with_a_single_pixel_is() -> None:
    empty, person = np.zeros((8, 9), np.int64), np.zeros((8, 9), np.int64)
    person[2, 3] = 4
    assert not human_parts(empty, "human_parts").any()
    assert human_parts(person, "human_parts").all()
    assert human_parts(empty).all(), "a crop of an annotated image, where nothing asks for people"


@pytest.mark.parametrize(
    ("name", "first"),
    [("nyud", (-0.28255805, 0.01221727, 0.95917243)), ("pascal", (-0.02203122, 0.03444583, 0.99916363))],
)
def test_the_published_directions_are_taken_as_they_are(name: str, first: tuple[float, ...]) -> None:
    class Source:
        centroids = {"normals": published_centroids(name)}

    (state,) = label_states(Experiment.load(f"{name}-hrnet18"), Source()).values()  # type: ignore[arg-type]
    assert state.shape == (40, 3)
    assert state[0].tolist() == pytest.approx(first, abs=1e-7)
    assert np.abs(np.linalg.norm(state.numpy(), axis=1) - 1).max() < 1e-6


def test_a_data_set_that_publishes_no_directions_says_so() -> None:
    experiment = Experiment.load("quickstart", ["data.centroids=published", "tasks=[semseg,normals]"])
    with pytest.raises(ConfigError, match=r"data\.centroids: 'rooms' has no published ones for normals"):
        label_states(experiment, [])  # type: ignore[arg-type]
