"""Writing a fixed network as ``.onnx`` or ``.pt2``, and proving that the file computes the same."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from atrcnas.deploy.agreement import compare, measure_rounding, predict, require_close
from atrcnas.deploy.loading import MISSING_PACKAGES, RawOutputs, load_exported
from atrcnas.deploy.metadata import INPUT, KEY, Metadata, task_records
from atrcnas.ground.errors import AtrcnasError, ExportError
from atrcnas.ground.files import write_atomically
from atrcnas.nn.fold import fold_batch_norm, inference_copy
from atrcnas.nn.net import MultiTaskNet

BATCHES = (1, 3)
MAX_ONNX_BYTES = 2_000_000_000


@dataclass(frozen=True)
class ExportReport:
    """What was written and how close it is.

    Attributes:
        path: the file.
        size: (height, width) of its image, pixels.
        file_bytes: its size.
        differences: task -> largest absolute difference to the live network, relative to the range of that task's output.
        num_batch_norms: those that could not be folded.
        seconds: spent, with the comparison.
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
            lines.append(f"  {self.num_batch_norms} BatchNorm remain: no convolution directly before them")
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
        out: ends in ``.onnx`` or ``.pt2``; the batch size stays free in both.
        example: [B, 3, H, W] float RGB in [0, 1] of ``size``, compared in addition.
        tolerance: largest allowed absolute difference, relative to the range of a task's output.

    Raises:
        ExportError: another suffix, a network still searching, a missing package, an operation the format does not
            have, or a difference that is too large; a file that was at ``out`` stays as it was.
    """
    begin = time.perf_counter()
    write = _writer(out)
    live = inference_copy(net).to("cpu", torch.float32)
    metadata = Metadata(task_records(live), size)
    images = _images(size, example)
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


def _writer(out: Path) -> Callable[[ExportedProgram, Path, Metadata], None]:
    writer = WRITERS.get(out.suffix.lower())
    if writer is None:
        raise ExportError(f"{out}: expected a file ending in {' or '.join(WRITERS)}, got '{out.suffix}'. Rename it.")
    if out.is_dir():
        raise ExportError(f"{out}: expected a file to write, this is a folder. Choose another name.")
    return writer


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


def _write_onnx(program: ExportedProgram, path: Path, metadata: Metadata) -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(MISSING_PACKAGES.format(feature=".onnx", package=error.name)) from error
    num_bytes = sum(tensor.nbytes for tensor in program.state_dict.values())
    if num_bytes > MAX_ONNX_BYTES:
        raise ExportError(f"an .onnx file holds at most 2 GB, the weights take {num_bytes / 1e9:.1f} GB. Use .pt2.")
    names = list(metadata.tasks)
    shapes = {INPUT: {0: "batch"}}
    exported: Any = torch.onnx.export(
        program, input_names=[INPUT], output_names=names, dynamic_shapes=shapes, dynamo=True, verbose=False
    )
    exported.model.metadata_props[KEY] = metadata.to_json()
    exported.save(path, external_data=False)


def _write_pt2(program: ExportedProgram, path: Path, metadata: Metadata) -> None:
    torch.export.save(program, path, extra_files={KEY: metadata.to_json()})


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
                f"Try {' or '.join(suffix for suffix in WRITERS if suffix != out.suffix.lower())}, or another backbone."
            ) from error


WRITERS: dict[str, Callable[[ExportedProgram, Path, Metadata], Any]] = {".onnx": _write_onnx, ".pt2": _write_pt2}
