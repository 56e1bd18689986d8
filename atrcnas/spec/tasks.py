"""THE task table: the one file where a task's name is a literal.

Everything the rest of the toolkit does differently for one task than for another is a field here, so that a new task
is one record. Numbers are those of Bruggemann et al., ICCV 2021 (ATRC), supplementary material and published code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import Field, create_model

from atrcnas.ground.errors import ConfigError
from atrcnas.ground.registry import Registry
from atrcnas.spec.decoders import DECODERS
from atrcnas.spec.labels import LABEL_ENCODERS
from atrcnas.spec.losses import LOSSES
from atrcnas.spec.metrics import METRICS
from atrcnas.spec.schema import Float, Spec, validate


class TaskOptions(Spec):
    """What an experiment may change of any task; and of one task also what its losses and its metric declare."""

    weight: Float = Field(default=1.0, ge=0, description="factor of the task's losses in the total")


@dataclass(frozen=True)
class Task:
    """One dense prediction task.

    Attributes:
        name: the word used in YAML, the command line and the API.
        description: one line for ``atrcnas list tasks``.
        target: what a target map holds: ``classes`` [H, W] int64, ``scalar`` [H, W] float32, ``vector`` [H, W, 3] float32.
        channels: output channels of the network; None until the data set's class count is known.
        label_channels: channels of the auxiliary label map that `tlabel` and `slabel` pool by; None as above.
        count_varies: a data set may have a number of classes other than ``channels``.
        label_encoder: how a target map becomes label classes (spec/labels.py).
        loss: name in spec/losses.py, of the final prediction.
        label_loss: name in spec/losses.py, of the label map.
        loss_options: where they differ from the defaults that its losses declare; each loss takes those it knows.
        metric: name in spec/metrics.py; its first figure is the task's score.
        metric_options: where they differ from the defaults that the metric declares.
        score: name of that first figure.
        higher_is_better: direction of the score.
        score_scale: for a score where lower is better, the value that counts as half as good as perfect
            (used only to choose the best checkpoint over several tasks).
        decode: how raw network output becomes a prediction (spec/decoders.py).
        weight: factor of the task's losses in the total.
        unit: of the score, "" if it has none.
        missing: value that marks missing ground truth in files; readers turn it into a valid mask.
        flip: what a horizontal flip does to values, besides moving them.
        zoom: what enlarging the image by a factor does to values.
        display: how plots draw it: ``palette``, a matplotlib colour map name, or ``vector``.
        display_range: values at the two ends of the colour map, None for the data's own range.
        class_names: in class order; empty if nobody has said them.
        class_colours: red, green and blue of each class in 0..255; empty for the colours of the package.
    """

    name: str
    description: str
    target: Literal["classes", "scalar", "vector"]
    channels: int | None
    label_channels: int | None
    label_encoder: str
    loss: str
    label_loss: str
    metric: str
    score: str
    higher_is_better: bool
    decode: str
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    metric_options: Mapping[str, Any] = field(default_factory=dict)
    count_varies: bool = False
    score_scale: float = 1.0
    weight: float = 1.0
    unit: str = ""
    missing: float = 255
    flip: Literal["none", "negate_x"] = "none"
    zoom: Literal["none", "divide"] = "none"
    display: str = "palette"
    display_range: tuple[float, float] | None = None
    class_names: tuple[str, ...] = ()
    class_colours: tuple[tuple[int, int, int], ...] = ()

    def options(self, given: Mapping[str, Any], key: str | None = None) -> TaskOptions:
        """The weight and every option of its losses and its metric, with its own values where none is ``given``.

        Args:
            given: replace its own.
            key: under which they were written, for messages; ``task_options`` and its name if None.

        Raises:
            ConfigError: a loss, metric, label encoder or decoder that is not registered; an option that none of them
                declares, or of another type or range.
        """
        try:
            parts = (LOSSES[self.loss], LOSSES[self.label_loss], METRICS[self.metric])
            _ = LABEL_ENCODERS[self.label_encoder], DECODERS[self.decode]
        except ConfigError as error:
            raise ConfigError(f"task '{self.name}': {error}") from error
        declared = dict.fromkeys(part.options for part in parts if part.options is not Spec)
        bases: tuple[Any, ...] = (*declared, TaskOptions)
        own = {"weight": self.weight, **self.loss_options, **self.metric_options}
        checked: TaskOptions = validate(
            create_model(f"options of {self.name}", __base__=bases),
            {**own, **given},
            "",
            key=key or f"task_options.{self.name}",
        )
        return checked

    def with_options(
        self, num_classes: int | None = None, options: Mapping[str, Any] | None = None, key: str | None = None
    ) -> Task:
        """This task for one experiment.

        Args:
            num_classes: from the data set; needed for a task without a count of its own.
            options: replace the table's weight, loss and metric options.
            key: see :meth:`options`.

        Raises:
            ConfigError: the class count is needed and missing, or contradicts a fixed one; see also :meth:`options`.
        """
        task = self.with_count(num_classes)
        key = key or f"task_options.{self.name}"
        values = self.options(options or {}, key).model_dump()
        weights = values.get("class_weights")
        if isinstance(weights, tuple) and len(weights) != task.channels:
            raise ConfigError(
                f"{key}.class_weights: expected {task.channels} numbers, one per class, got {len(weights)}."
            )
        return replace(
            task,
            weight=values["weight"],
            loss_options=LOSSES[self.loss].own(values) | LOSSES[self.label_loss].own(values),
            metric_options={key: values[key] for key in METRICS[self.metric].options.model_fields},
        )

    def with_classes(self, names: Sequence[str], colours: Sequence[tuple[int, int, int]]) -> Task:
        """This task with the data set's names and colours of its classes where it has none of its own."""
        if self.target != "classes":
            return self
        own_names, own_colours = self.class_names, self.class_colours
        if not own_names and len(names) == self.num_labels:
            own_names = tuple(names)
        if not own_colours and len(colours) == self.num_labels:
            own_colours = tuple(colours)
        return replace(self, class_names=own_names, class_colours=own_colours)

    def with_count(self, num_classes: int | None) -> Task:
        """This task with a number of classes; None where the data set does not say one.

        Raises:
            ConfigError: the number is needed and missing, or contradicts a fixed one.
        """
        if self.channels is None and num_classes is None:
            raise ConfigError(f"task '{self.name}' needs the number of classes. Set data.options.classes.{self.name}.")
        if num_classes is not None and (self.channels is None or self.count_varies):
            return replace(self, channels=num_classes, label_channels=num_classes)
        own = self.label_channels or self.channels
        if self.target == "classes" and num_classes not in (None, own):
            raise ConfigError(f"task '{self.name}' has {own} classes, the data set has {num_classes}.")
        return self

    @property
    def num_channels(self) -> int:
        """Output channels, once known."""
        if self.channels is None:
            raise ConfigError(f"task '{self.name}' has no class count yet. Set data.options.classes.{self.name}.")
        return self.channels

    @property
    def num_labels(self) -> int:
        """Label channels, once known."""
        if self.label_channels is None:
            raise ConfigError(f"task '{self.name}' has no class count yet. Set data.options.classes.{self.name}.")
        return self.label_channels


TASKS: Registry[Task] = Registry("task")

TASKS.register(
    Task(
        name="semseg",
        description="semantic segmentation",
        target="classes",
        channels=None,
        label_channels=None,
        label_encoder="classes",
        loss="weighted_cross_entropy",
        label_loss="weighted_cross_entropy",
        metric="segmentation",
        score="miou",
        higher_is_better=True,
        decode="argmax",
    )
)
TASKS.register(
    Task(
        name="human_parts",
        description="human part segmentation: background and 6 parts, or as many as the data set distinguishes",
        target="classes",
        channels=7,
        label_channels=7,
        count_varies=True,
        label_encoder="classes",
        loss="weighted_cross_entropy",
        label_loss="weighted_cross_entropy",
        metric="segmentation",
        score="miou",
        higher_is_better=True,
        decode="argmax",
        weight=2.0,
    )
)
TASKS.register(
    Task(
        name="depth",
        description="depth along the optical axis, metres",
        target="scalar",
        channels=1,
        label_channels=40,
        label_encoder="depth_bins",
        loss="l1",
        label_loss="cross_entropy",
        metric="depth",
        score="rmse",
        higher_is_better=False,
        score_scale=1.0,
        decode="clamp",
        unit="m",
        missing=0.0,
        zoom="divide",
        display="viridis_r",
    )
)
TASKS.register(
    Task(
        name="normals",
        description="surface normals, unit vectors in the camera frame (x right, y down, z forward)",
        target="vector",
        channels=3,
        label_channels=40,
        label_encoder="normal_centroids",
        loss="normals_l1",
        label_loss="cross_entropy",
        metric="normals",
        score="mean_error",
        higher_is_better=False,
        score_scale=30.0,
        decode="unit",
        weight=10.0,
        unit="deg",
        missing=0.0,
        flip="negate_x",
        display="vector",
    )
)
TASKS.register(
    Task(
        name="sal",
        description="saliency: what one looks at first",
        target="classes",
        channels=2,
        label_channels=2,
        label_encoder="classes",
        loss="balanced_cross_entropy",
        label_loss="balanced_cross_entropy",
        metric="saliency",
        score="max_f",
        higher_is_better=True,
        decode="foreground",
        weight=5.0,
        display="gray",
        display_range=(0.0, 1.0),
    )
)
TASKS.register(
    Task(
        name="edge",
        description="object and surface boundaries",
        target="classes",
        channels=1,
        label_channels=2,
        label_encoder="classes",
        loss="balanced_bce",
        label_loss="balanced_edge_cross_entropy",
        loss_options={"positive_weight": 0.8},
        metric="edge",
        metric_options={"max_dist": 0.0075, "thin_target": True},
        score="ods_f",
        higher_is_better=True,
        decode="sigmoid",
        weight=50.0,
        display="gray_r",
        display_range=(0.0, 1.0),
    )
)
