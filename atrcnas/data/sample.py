"""One labelled image, as every data set yields it, and the interface of a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Sample:
    """An image and its ground truth; no sentinel values, missing ground truth is in ``valid``.

    Attributes:
        name: unique within its split.
        image: [H, W, 3] uint8 RGB.
        targets: task -> [H, W] int64 classes, [H, W] float32 (depth, metres) or [H, W, 3] float32 (normals, unit length).
        valid: task -> [H, W] bool, True where ground truth exists; target values elsewhere carry no meaning.
    """

    name: str
    image: np.ndarray
    targets: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]


class Samples(Protocol):
    """Samples by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class Source(Samples, Protocol):
    """One split of a data set."""

    class_names: Mapping[str, Sequence[str]]


def labelled_indices(source: Samples, task: str) -> Sequence[int]:
    """The samples that have ground truth for ``task``, as far as is known without reading them.

    A source that is partly labelled says so by a method ``labelled(task)``; of any other, all samples count.
    """
    known: Callable[[str], Sequence[int]] | None = getattr(source, "labelled", None)
    return range(len(source)) if known is None else known(task)
