"""What a run says of each class: its IoU in results.json, and what it was taken for in confusion.csv."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from atrcnas.objectives.metrics.segmentation import class_ious
from atrcnas.spec.tasks import Task


def class_report(tasks: Mapping[str, Task], confusions: Mapping[str, Tensor]) -> dict[str, list[dict[str, Any]]]:
    """Task -> one entry per class, in class order.

    Args:
        tasks: by name; names of classes are from there.
        confusions: task -> [K, K] int64 pixels by true and predicted class.

    Returns:
        ``class`` (its number), ``name`` (if it has one), ``pixels`` of ground truth, and ``iou`` in [0, 1], None for a class
        that is not in the ground truth.
    """
    return {name: _entries(tasks[name].class_names, confusion) for name, confusion in confusions.items()}


def _entries(names: tuple[str, ...], confusion: Tensor) -> list[dict[str, Any]]:
    ious, pixels = class_ious(confusion).tolist(), confusion.sum(dim=1).tolist()
    return [
        {
            "class": number,
            **({"name": names[number]} if names else {}),
            "pixels": count,
            "iou": round(iou, 6) if count else None,
        }
        for number, (iou, count) in enumerate(zip(ious, pixels, strict=True))
    ]


def confusion_rows(confusions: Mapping[str, Tensor]) -> Iterable[tuple[object, ...]]:
    """Rows of confusion.csv; pairs of classes without a pixel are left out."""
    for task, confusion in confusions.items():
        for truth, prediction in confusion.nonzero().tolist():
            yield task, truth, prediction, int(confusion[truth, prediction])
