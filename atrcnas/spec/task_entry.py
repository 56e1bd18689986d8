"""What an experiment writes under ``tasks``: words of the task table, and tasks of its own made like one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from atrcnas.ground.registry import Registry
from atrcnas.spec.decoders import DECODERS
from atrcnas.spec.labels import LABEL_ENCODERS
from atrcnas.spec.losses import LOSSES
from atrcnas.spec.metrics import METRICS
from atrcnas.spec.schema import Bool, Float, Int, Spec, show
from atrcnas.spec.tasks import TASKS, Task

Byte = Annotated[Int, Field(ge=0, le=255)]
Colour = Annotated[tuple[Byte, Byte, Byte], Field(description="red, green, blue")]
Text = Annotated[str, Field(max_length=200)]
_TABLES: dict[str, Registry[Any]] = {
    "loss": LOSSES,
    "label_loss": LOSSES,
    "label_encoder": LABEL_ENCODERS,
    "decode": DECODERS,
    "metric": METRICS,
}


class TaskEntry(Spec):
    """One task of an experiment; only ``name`` and ``like`` are needed, all else is as in the task that it is like."""

    # A part of file names, of parameter names and of pairs such as depth<-semseg@4.
    name: str = Field(pattern=r"^[^\W\d]\w{0,63}$", description="its word everywhere, and that of its folder of files")
    like: str | None = Field(
        default=None, description="the task of the table that it is made like; null: it is that task"
    )
    description: Text | None = Field(default=None, description="one line for people")
    classes: Int | None = Field(
        default=None, ge=2, le=65535, description="number of classes, if the data do not say it"
    )
    class_names: tuple[Text, ...] = Field(default=(), description="in class order; imply the number of classes")
    class_colours: tuple[Colour, ...] = Field(default=(), description="in class order, for pictures")
    unit: Text | None = Field(default=None, description="of its score")
    missing: Float | None = Field(default=None, description="number that marks missing ground truth in files")
    zoom: Literal["none", "divide"] | None = Field(
        default=None, description="divide: values are distances, halved where an image is enlarged to twice its size"
    )
    flip: Literal["none", "negate_x"] | None = Field(default=None, description="what a horizontal flip does to values")
    loss: str | None = Field(default=None, description="of the final prediction")
    label_loss: str | None = Field(default=None, description="of the label map that tlabel and slabel attend to")
    label_encoder: str | None = Field(default=None, description="how a target becomes the classes of the label map")
    decode: str | None = Field(default=None, description="how network output becomes a prediction")
    metric: str | None = Field(default=None, description="how it is scored; needs score and higher_is_better too")
    score: str | None = Field(default=None, description="the metric's first figure")
    higher_is_better: Bool | None = Field(default=None, description="direction of the score")
    score_scale: Float | None = Field(
        default=None, gt=0, description="where lower is better: the score that counts as half as good as perfect"
    )
    display_range: tuple[Float, Float] | None = Field(default=None, description="values at the ends of the colour map")
    options: dict[str, Any] = Field(
        default={},
        description="its weight and those of its losses and metric, as in task_options, which goes before them",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, TaskEntry | dict):
            return value
        raise ValueError(f"expected the name of a task, or its definition, got {show(value)}.")

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> Any:
        given = {key: value for key, value in handler(self).items() if value not in (None, (), [], {})}
        return self.name if set(given) == {"name"} else given

    @field_validator("loss", "label_loss", "label_encoder", "decode", "metric")
    @classmethod
    def _registered(cls, value: str | None, info: ValidationInfo) -> str | None:
        table = _TABLES[str(info.field_name)]
        if value is not None and value not in table:
            raise ValueError(table.miss(value))
        return value

    @field_validator("like")
    @classmethod
    def _in_the_table(cls, value: str | None) -> str | None:
        if value is not None and value not in TASKS:
            raise ValueError(TASKS.miss(value))
        return value

    @model_validator(mode="after")
    def _fits(self) -> TaskEntry:
        if self.like and self.name in TASKS:
            raise ValueError(
                f"like: '{self.name}' is in the task table already. Choose another name, or leave out like."
            )
        if self.metric and (self.score is None or self.higher_is_better is None):
            raise ValueError("metric: expected score and higher_is_better with it. Add both.")
        if len(self.class_names) == 1 or len(self.class_colours) == 1:
            raise ValueError("classes: expected at least 2 class_names and class_colours, got 1. Name every class.")
        lengths = {len(listed) for listed in (self.class_names, self.class_colours) if listed}
        if len(lengths | ({self.classes} if self.classes else set())) > 1:
            raise ValueError("classes: expected as many class_names and class_colours. Correct one of them.")
        original = self.like or self.name
        if original in TASKS and (self.classes or lengths) and TASKS[original].target != "classes":
            raise ValueError(f"classes: a task like '{original}' has no classes. Remove them.")
        return self

    def record(self) -> Task:
        """The task's record.

        Raises:
            ConfigError: not a task of the table; more or fewer classes than a task of its kind has.
        """
        original = TASKS[self.like or self.name]
        own = {
            key: value for key, value in self if value not in (None, ()) and key not in ("like", "classes", "options")
        }
        task = replace(original, **own)
        num_classes = self.classes or len(self.class_names or self.class_colours) or None
        if num_classes:
            counted = task.with_count(num_classes)
            task = replace(counted, count_varies=False)
        known = {*LOSSES[task.loss].options.model_fields, *LOSSES[task.label_loss].options.model_fields}
        return replace(
            task,
            loss_options={key: value for key, value in task.loss_options.items() if key in known},
            metric_options=task.metric_options if self.metric is None else {},
        )


def task_table(entries: Iterable[TaskEntry]) -> Registry[Task]:
    """The task table as one experiment sees it: its own tasks beside, or in place of, those of the table.

    Raises:
        ConfigError: see :meth:`TaskEntry.record`.
    """
    return TASKS.with_records(entry.record() for entry in entries)
