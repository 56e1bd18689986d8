"""Writing a fixed network in any deploy format, and proving that the file computes the same."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from atrcnas.deploy.agreement import compare, measure_rounding, predict, require_close
from atrcnas.deploy.formats import DEPLOY_FORMATS, format_of
from atrcnas.deploy.loading import RawOutputs, load_exported
from atrcnas.deploy.metadata import INPUT, Metadata, task_records
from atrcnas.ground.errors import AtrcnasError, ExportError
from atrcnas.ground.files import write_atomically
from atrcnas.ground.registry import resolve
from atrcnas.nn.fold import fold_batch_norm, inference_copy
from atrcnas.nn.net import MultiTaskNet

BATCHES = (1, 3)


@dataclass(frozen=True)
class ExportReport:
    """What was written and how close it is.

    Attributes:
        path: the file.
        size: (height, width) of its image, pixels.
        file_bytes: size of the file.
        differences: task -> largest absolute difference to the live network, relative to the range of that task's output.
        num_batch_norms: those that could not be folded.
        seconds: spent, including the comparison.
    """

    path: Path
    size: tuple[int, int]
    file_bytes: int
    differences: dict[str, float]
    num_batch_norms: int
    seconds: float

    def __str__(self) -> str:
        height, width = self.size
        lines = [
            f"{self.path}: image {height} x {width}, {self.file_bytes / 1e6:.1f} MB, written in {self.seconds:.0f} s"
        ]
        lines += [
            f"  {task}: largest difference {value:.1e} of the output's range"
            for task, value in self.differences.items()
        ]
        if self.num_batch_norms:
            lines.append(f"  {self.num_batch_norms} BatchNorms remain: no convolution is directly before them")
        return "\n".join(lines)


class _Exported(nn.Module):
    """What the file computes: [batch, 3, H, W] RGB in [0, 1] to task -> [batch, channels, H, W], raw."""

    def __init__(self, net: MultiTaskNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> RawOutputs:
        predictions: RawOutputs = self.net(image).predictions
        return predictions


def export(
    net: MultiTaskNet, size: tuple[int, int], out: Path, *, example: Tensor | None = None, tolerance: float = 1e-4
) -> ExportReport:
    """Write a fixed network to one file, if the file reproduces it.

    The file is loaded back and compared with ``net`` on random images, at two batch sizes, before it takes its place.

    Args:
        net: fixed network on any device, in any mode; unchanged.
        size: (height, width) of the images it will get, pixels.
        out: ends in the suffix of a deploy format, e.g. ``.onnx`` or ``.pt2``; the batch size stays free.
        example: [B, 3, H, W] float RGB in [0, 1] of ``size``, compared in addition.
        tolerance: largest allowed absolute difference, relative to the range of a task's output.

    Raises:
        ExportError: another suffix, a network still searching, a missing package, an operation the format does not
            have, or a difference that is too large; a file that was at ``out`` stays as it was.
    """
    begin = time.perf_counter()
    write = resolve(format_of(out).write)
    if out.is_dir():
        raise ExportError(f"{out}: expected a file to write, got a folder. Choose another name.")
    live = inference_copy(net).to("cpu", torch.float32)
    images = _images(size, example)
    metadata = Metadata.of(task_records(live), size)
    expected = [predict(live, image) for image in images]
    differences: dict[str, float] = {}

    def write_and_compare(temporary: Path) -> None:
        with _explained(out):
            write(program, temporary, metadata)
            run = load_exported(temporary, trusted=True).run
            got = [run(image) for image in images]
        differences.update(compare(expected, got))
        too_far = any(value > tolerance for value in differences.values())
        rounding = measure_rounding(live, images, expected) if too_far else {}
        require_close(differences, rounding, tolerance, out)

    with _explained(out), torch.no_grad():
        program = _trace(fold_batch_norm(live, size), size)
    write_atomically(out, write_and_compare)
    norms = sum("batch_norm" in str(node.target) for node in program.graph.nodes)
    return ExportReport(out, size, out.stat().st_size, differences, norms, time.perf_counter() - begin)


def _images(size: tuple[int, int], example: Tensor | None) -> list[Tensor]:
    if min(size) < 1:
        raise ExportError(f"size: expected a height and width of at least 1 pixel, got {size}.")
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(batch, 3, *size, generator=generator) for batch in BATCHES]
    if example is not None:
        if example.dim() != 4 or tuple(example.shape[1:]) != (3, *size) or not example.is_floating_point():
            raise ExportError(
                f"example: expected float [B, 3, {size[0]}, {size[1]}], got {example.dtype} {list(example.shape)}."
            )
        images.append(example.detach().to("cpu", torch.float32))
    return images


def _trace(net: MultiTaskNet, size: tuple[int, int]) -> ExportedProgram:
    # Two images, since a batch of one would be taken for a constant.
    example = torch.zeros(2, 3, *size)
    return torch.export.export(_Exported(net), (example,), dynamic_shapes={INPUT: {0: Dim("batch", min=1)}})


@contextlib.contextmanager
def _explained(out: Path) -> Iterator[None]:
    """Keep the exporters quiet, and turn what they raise into one readable line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (AtrcnasError, OSError):
            raise
        except Exception as error:  # what exporters and runtimes raise shares no base class
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise ExportError(
                f"{out}: the network cannot be exported as {out.suffix} ({reason}). "
                f"Try {' or '.join(name for name in DEPLOY_FORMATS.names if name != out.suffix.lower())}, "
                "or another backbone."
            ) from error
