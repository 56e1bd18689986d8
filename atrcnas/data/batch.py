"""A batch of labelled images, and how samples of different sizes become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from atrcnas.data.transforms import Augmented
from atrcnas.data.watched import HINT
from atrcnas.ground.errors import DataError
from atrcnas.spec.tasks import Task


@dataclass
class Batch:
    """A batch of labelled images.

    Attributes:
        image: [B, 3, H, W] uint8 RGB.
        image_valid: [B, 1, H, W] bool, False on padding; None if nothing is padded.
        targets: task -> [B, H, W] int64, [B, 1, H, W] float32 or [B, 3, H, W] float32.
        valid: task -> [B, H, W] bool.
        names: B sample names.
        sizes: B pairs (height, width) before padding.
        corners: B pairs (top, left) of the image on its padded canvas; empty if all are (0, 0).
    """

    image: Tensor
    image_valid: Tensor | None
    targets: dict[str, Tensor]
    valid: dict[str, Tensor]
    names: list[str]
    sizes: list[tuple[int, int]]
    corners: list[tuple[int, int]] = field(default_factory=list)

    def window(self, index: int) -> tuple[slice, slice]:
        """Rows and columns of one image without its padding."""
        (top, left), (height, width) = self.corners[index] if self.corners else (0, 0), self.sizes[index]
        return slice(top, top + height), slice(left, left + width)

    def to(self, device: torch.device) -> Batch:
        """Move to ``device`` without waiting."""
        moved = {name: x.to(device, non_blocking=True) for name, x in self.targets.items()}
        valid = {name: x.to(device, non_blocking=True) for name, x in self.valid.items()}
        mask = None if self.image_valid is None else self.image_valid.to(device, non_blocking=True)
        return Batch(self.image.to(device, non_blocking=True), mask, moved, valid, self.names, self.sizes, self.corners)

    def widened(self, height: int, width: int) -> Batch:
        """Padded on the right and at the bottom, to pixels that are at least as many as there are."""
        extra = (0, width - self.image.shape[-1], 0, height - self.image.shape[-2])
        if not any(extra):
            return self
        mask = torch.ones_like(self.image[:, :1], dtype=torch.bool) if self.image_valid is None else self.image_valid
        targets = {name: F.pad(x, extra) for name, x in self.targets.items()}
        valid = {name: F.pad(x, extra) for name, x in self.valid.items()}
        return replace(
            self, image=F.pad(self.image, extra), image_valid=F.pad(mask, extra), targets=targets, valid=valid
        )

    def share_memory(self) -> Batch:
        """Move into memory that other processes can see.

        Raises:
            DataError: there is no room in it.
        """
        masks = [] if self.image_valid is None else [self.image_valid]
        try:
            for tensor in (self.image, *masks, *self.targets.values(), *self.valid.values()):
                tensor.share_memory_()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise DataError(f"data: a loader process cannot hand over its batch ({reason}). {HINT}") from error
        return self

    def pin_memory(self) -> Batch:
        """Copy into page-locked memory."""
        mask = None if self.image_valid is None else self.image_valid.pin_memory()
        targets = {name: x.pin_memory() for name, x in self.targets.items()}
        valid = {name: x.pin_memory() for name, x in self.valid.items()}
        return Batch(self.image.pin_memory(), mask, targets, valid, self.names, self.sizes, self.corners)


def collate(items: Sequence[Augmented], tasks: Mapping[str, Task]) -> Batch:
    """Stack samples, padding the smaller ones on the right and at the bottom."""
    canvases = [item.image_valid.shape for item in items]
    size = (max(height for height, _ in canvases), max(width for _, width in canvases))
    mask = np.stack([_pad(item.image_valid, size) for item in items])
    image = np.stack([_pad(item.sample.image, size) for item in items])
    targets, valid = {}, {}
    for name, task in tasks.items():
        stacked = torch.from_numpy(np.stack([_pad(item.sample.targets[name], size) for item in items]))
        if task.target == "classes":
            targets[name] = stacked.long()
        else:
            targets[name] = (stacked[:, None] if task.target == "scalar" else stacked.permute(0, 3, 1, 2)).float()
        valid[name] = torch.from_numpy(np.stack([_pad(item.sample.valid[name], size) for item in items]))
    return Batch(
        image=torch.from_numpy(image).permute(0, 3, 1, 2),
        image_valid=None if mask.all() else torch.from_numpy(mask)[:, None],
        targets=targets,
        valid=valid,
        names=[item.sample.name for item in items],
        sizes=[item.size for item in items],
        corners=[item.corner for item in items],
    )


def _pad(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if array.shape[:2] == size:
        return array
    padded = np.zeros((*size, *array.shape[2:]), array.dtype)
    padded[: array.shape[0], : array.shape[1]] = array
    return padded
