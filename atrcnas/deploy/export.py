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
from atrcnas.deploy.formats import DEPLOY_FORMATS, ROUNDING, DeployFormat, format_of
from atrcnas.deploy.loading import RawOutputs, load_exported
from atrcnas.deploy.metadata import INPUT, Metadata, task_records
from atrcnas.ground.errors import AtrcnasError, ExportError
from atrcnas.ground.files import write_atomically
from atrcnas.ground.registry import resolve
from atrcnas.nn.fold import fold_batch_norm, inference_copy
from atrcnas.nn.net import MultiTaskNet

BATCHES = (1, 3)
NUM_COMPARED = 4


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


class Exporter:
    """A fixed network, traced once for each form, to be written in any number of formats.

    Args:
        net: fixed network on any device, in any mode; unchanged.
        size: (height, width) of the images it will get, pixels.
        example: [B, 3, H, W] float RGB in [0, 1] of ``size``: real images; the first are compared in addition to random
            ones, and on all of them ranges are measured for a format that needs it.

    Raises:
        ExportError: a network still searching, or another size of ``example``.
    """

    def __init__(self, net: MultiTaskNet, size: tuple[int, int], example: Tensor | None = None) -> None:
        self.size, self.example = size, None if example is None else example.detach().to("cpu", torch.float32)
        self._live = inference_copy(net).to("cpu", torch.float32)
        self._random = [(image, predict(self._live, image)) for image in _random_images(size)]
        self._real = [(image, predict(self._live, image)) for image in _first(size, example)]
        self._programs: dict[bool, ExportedProgram] = {}

    def program(self, plain: bool) -> ExportedProgram:
        """The folded network, traced at the first call, in the form for PyTorch or the one for other runtimes.

        Raises:
            ExportError: an operation that cannot be traced.
        """
        if plain not in self._programs:
            with _explained("the network"), torch.no_grad():
                self._programs[plain] = _trace(fold_batch_norm(self._live, self.size, plain=plain), self.size)
        return self._programs[plain]

    def write(self, out: Path, tolerance: float | None = None) -> ExportReport:
        """Write one file, if it reproduces the network.

        The file is loaded back and compared with the network before it takes its place: on random images, at two batch
        sizes, and on ``example``. One of a format that trades precision is compared on ``example`` alone, if there is one,
        since random images are like none that its ranges were measured on.

        Args:
            out: its ending is that of a deploy format, e.g. ``.onnx`` or ``.pt2``; the batch size stays free.
            tolerance: largest allowed absolute difference, relative to the range of a task's output; None: the format's.

        Raises:
            ExportError: another ending, a missing package, no ``example`` where the format needs one, an operation that
                the format does not have, or a difference that is too large; a file that was at ``out`` stays as it was.
        """
        begin = time.perf_counter()
        form = format_of(out)
        _check_out(out, form, self.example)
        allowed = form.tolerance if tolerance is None else tolerance
        compared = self._real if self._real and form.tolerance > ROUNDING else [*self._random, *self._real]
        images, expected = [image for image, _ in compared], [outputs for _, outputs in compared]
        metadata = Metadata.of(task_records(self._live), self.size)
        extra = (self.example,) if form.calibrated else ()
        differences: dict[str, float] = {}

        program = self.program(form.plain)

        def write_and_compare(temporary: Path) -> None:
            with _explained(form.name, out):
                resolve(form.write)(program, temporary, metadata, *extra)
                run = load_exported(temporary, trusted=True).run
                got = [run(image) for image in images]
            differences.update(compare(expected, got))
            too_far = any(value > allowed for value in differences.values())
            rounding = measure_rounding(self._live, images, expected) if too_far else {}
            require_close(differences, rounding, allowed, out)

        write_atomically(out, write_and_compare)
        norms = sum("batch_norm" in str(node.target) for node in program.graph.nodes)
        seconds = time.perf_counter() - begin
        return ExportReport(out, self.size, out.stat().st_size, differences, norms, seconds)


def export(
    net: MultiTaskNet,
    size: tuple[int, int],
    out: Path,
    *,
    example: Tensor | None = None,
    tolerance: float | None = None,
) -> ExportReport:
    """Write a fixed network to one file; see :class:`Exporter` for the arguments and what is refused."""
    _check_out(out, format_of(out), example)  # before the network is traced, which takes a while
    return Exporter(net, size, example).write(out, tolerance)


def _check_out(out: Path, form: DeployFormat, example: Tensor | None) -> None:
    if out.is_dir():
        raise ExportError(f"{out}: expected a file to write, got a folder. Choose another name.")
    if form.calibrated and example is None:
        raise ExportError(f"{out}: {form.name} needs images to measure ranges on, got none. Give some as `example`.")


def _random_images(size: tuple[int, int]) -> list[Tensor]:
    if min(size) < 1:
        raise ExportError(f"size: expected a height and width of at least 1 pixel, got {size}.")
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(batch, 3, *size, generator=generator) for batch in BATCHES]


def _first(size: tuple[int, int], example: Tensor | None) -> list[Tensor]:
    """The first real images as a batch; none without any."""
    if example is None:
        return []
    if example.dim() != 4 or tuple(example.shape[1:]) != (3, *size) or not example.is_floating_point():
        raise ExportError(
            f"example: expected float [B, 3, {size[0]}, {size[1]}], got {example.dtype} {list(example.shape)}."
        )
    return [example[:NUM_COMPARED].detach().to("cpu", torch.float32)]


def _trace(net: MultiTaskNet, size: tuple[int, int]) -> ExportedProgram:
    # Two images, since a batch of one would be taken for a constant.
    example = torch.zeros(2, 3, *size)
    shapes = {INPUT: {0: Dim("batch", min=1)}}
    # Not strictly, the default of late: the strict way knows only some of Python.
    return torch.export.export(_Exported(net), (example,), dynamic_shapes=shapes, strict=False)


@contextlib.contextmanager
def _explained(what: str, out: Path | None = None) -> Iterator[None]:
    """Keep the exporters quiet, and turn what they raise into one readable line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (AtrcnasError, OSError):
            raise
        except Exception as error:  # what exporters and runtimes raise shares no base class
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            if out is None:
                raise ExportError(f"{what} cannot be exported ({reason}). Try another backbone.") from error
            others = " or ".join(name for name in DEPLOY_FORMATS.names if name != what)
            raise ExportError(
                f"{out}: the network cannot be exported as {what} ({reason}). Try {others}, or another backbone."
            ) from error
