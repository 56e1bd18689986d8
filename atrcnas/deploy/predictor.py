"""A trained network as a function of a photograph: from a run, a saved model or an exported file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atrcnas.data.rasters import MAX_PIXELS
from atrcnas.data.resizing import resize_image
from atrcnas.deploy.formats import is_exported
from atrcnas.deploy.hub import CONFIG, is_hub_id
from atrcnas.deploy.loading import load_exported
from atrcnas.ground.errors import ConfigError, DataError, ExportError
from atrcnas.ground.registry import resolve
from atrcnas.nn.blocks import resize
from atrcnas.nn.net import MultiTaskNet
from atrcnas.objectives.decode import as_map
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.results import read_results
from atrcnas.spec.decoders import DECODERS
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.tasks import Task

Predictions = dict[str, NDArray[Any]]
Size = tuple[int, int]


class Predictor:
    """Image in, decoded predictions out.

    The image is resized to the size the network runs at (bilinearly, area-weighted when shrinking), and the raw outputs
    back to the image's own size before they are decoded.

    Args:
        tasks: records by name; ``decode`` says how a raw output becomes a prediction.
        run: [1, 3, h, w] float32 RGB in [0, 1], on the CPU, to task -> [1, channels, h, w] raw, on any device.
        size: (h, w) that ``run`` gets, pixels; None: the image's own.
        max_pixels: without ``size``, an image with more pixels is made that small, in its own shape; None: never.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        run: Callable[[Tensor], Mapping[str, Tensor]],
        size: Size | None = None,
        max_pixels: int | None = None,
    ) -> None:
        if size is not None and not (min(size) >= 1 and size[0] * size[1] <= MAX_PIXELS):
            raise ConfigError(
                f"size: expected at least 1 x 1 and at most {MAX_PIXELS} pixels, got {size[0]} x {size[1]}."
            )
        self.tasks, self.run, self.size, self.max_pixels = dict(tasks), run, size, max_pixels

    @classmethod
    def from_run(cls, folder: str | Path, size: Size | None = None, device: str = "auto") -> Predictor:
        """The retrained network of a run folder.

        Args:
            folder: of the run.
            size: (height, width) that images are resized to, pixels. None: as in validation, that is the size to which
                the data set resizes its images (``data.options.image_size``); where it does not, an image keeps its shape,
                and its size unless it has more pixels than the validation images.
            device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps".

        Raises:
            RunError: no run folder, or not retrained yet.
            CheckpointError: the weights are damaged.
            ConfigError: there is no such device or size.
        """
        from atrcnas.engine.networks import load_network

        run = RunFolder(Path(folder))
        experiment, net = run.load_experiment(), load_network(run)
        size, max_pixels = (size, None) if size else validation_size(run, experiment, net)
        return cls.from_network(net, size, max_pixels, device)

    @classmethod
    def from_pretrained(
        cls, source: str | Path, size: Size | None = None, device: str = "auto", **hub: Any
    ) -> Predictor:
        """A network from a folder of ``save_pretrained`` or from the Hugging Face Hub.

        Args:
            source: the folder, or ``owner/name``.
            size: as in :meth:`from_run`; None: as in validation of the run that the network comes from.
            device: as there.
            hub: as in :meth:`MultiTaskNet.from_pretrained`.

        Raises:
            CheckpointError: missing, damaged, or not to be had from the Hub.
            ConfigError: there is no such device or size.
        """
        net = MultiTaskNet.from_pretrained(source, **hub)
        largest = None
        if size is None:
            size, largest = (net.origin.size, net.origin.max_pixels) if net.origin else (None, None)
        return cls.from_network(net, size, largest, device)

    @classmethod
    def from_network(
        cls,
        net: MultiTaskNet,
        size: Size | None = None,
        max_pixels: int | None = None,
        device: str = "auto",
    ) -> Predictor:
        """A fixed network, which is moved to ``device`` and set to evaluation mode; the rest as in the class itself."""
        place = _device(device)
        net.to(place).eval()

        def run(image: Tensor) -> dict[str, Tensor]:
            with torch.inference_mode():
                predictions: dict[str, Tensor] = net(image.to(place)).predictions
            return predictions

        return cls(net.records, run, size, max_pixels)

    @classmethod
    def from_file(cls, path: str | Path, size: Size | None = None, device: str = "auto") -> Predictor:
        """An exported file, which runs on the CPU at the size it was exported for.

        Raises:
            ExportError: another size or device; see also :func:`~atrcnas.deploy.loading.load_exported`.
        """
        exported = load_exported(Path(path))
        own = exported.metadata.size
        if size not in (None, own):
            raise ExportError(
                f"{path}: size: expected {own[0]} x {own[1]}, which the file was exported for, got {size}. "
                "Leave --size out, or export another file with `atrcnas deploy --size`."
            )
        if device not in ("auto", "cpu"):
            raise ExportError(f"{path}: device: exported files run on the CPU, got '{device}'. Predict from the run.")
        return cls(exported.metadata.tasks, exported.run, own)

    @classmethod
    def open(cls, source: str | Path, size: Size | None = None, device: str = "auto") -> Predictor:
        """Whichever of the other three ``source`` is for; the arguments are those of :meth:`from_run`.

        ``owner/name`` is looked for on the Hub where there is no such path and its ending is not that of an exported file.
        """
        path = Path(source)
        if (path / CONFIG).is_file() or (is_hub_id(source) and not is_exported(path)):
            return cls.from_pretrained(source, size, device)
        return cls.from_run(path, size, device) if path.is_dir() else cls.from_file(path, size, device)

    def __call__(self, image: NDArray[np.uint8]) -> Predictions:
        """Predict all tasks for one image.

        Args:
            image: [H, W, 3] uint8 RGB.

        Returns:
            task -> [H, W] or [H, W, 3], of the image's own size: class indices int64; or float32, in the unit of the
            task's target files (depth in metres, unit vectors of normals, probabilities of edges and saliency).

        Raises:
            DataError: another shape or type.
        """
        return {name: _decode(self.tasks[name], raw) for name, raw in self.raw(image).items()}

    def raw(self, image: NDArray[np.uint8]) -> dict[str, Tensor]:
        """What :meth:`__call__` decodes: task -> [1, channels, H, W] float32, on the CPU.

        Raises:
            DataError: as there.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise DataError(f"image: expected [H, W, 3] uint8 RGB, got {list(image.shape)} {image.dtype}.")
        own = (image.shape[0], image.shape[1])
        wanted = self.size or self._within(own)
        fitted = image if wanted == own else resize_image(image, wanted)
        outputs = self.run(torch.from_numpy(np.ascontiguousarray(fitted.transpose(2, 0, 1)))[None].float() / 255)
        # Resized before decoding: class indices cannot be interpolated, and unit vectors would not stay unit.
        return {name: resize(outputs[name].cpu().float(), own) for name in self.tasks}

    def _within(self, own: Size) -> Size:
        """``own``, or as large as ``max_pixels`` allows in the same shape."""
        if self.max_pixels is None or own[0] * own[1] <= self.max_pixels:
            return own
        factor = (self.max_pixels / (own[0] * own[1])) ** 0.5
        return max(1, round(own[0] * factor)), max(1, round(own[1] * factor))


def validation_size(folder: RunFolder, experiment: Experiment, net: MultiTaskNet) -> tuple[Size | None, int | None]:
    """The ``size`` and ``max_pixels`` of a :class:`Predictor` with which images are resized as in validation.

    Raises:
        RunError: the run has not been scored, and only the scored images say it.
    """
    size = net.backbone.manner.only_size or getattr(experiment.data_options(), "image_size", None)
    if size is not None:
        return size, None
    height, width = read_results(folder.root)["costs"]["image_size"]
    return None, height * width


def _decode(task: Task, raw: Tensor) -> NDArray[Any]:
    try:
        decoded = resolve(DECODERS[task.decode].function)(raw)
    except (IndexError, RuntimeError) as error:
        raise ExportError(
            f"task '{task.name}': expected an output that '{task.decode}' can decode, got {raw.shape[1]} channels. "
            "Correct the task's record."
        ) from error
    return np.ascontiguousarray(as_map(decoded))


def _device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        ConfigError: unknown, or not in this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if name.partition(":")[0] not in ("cpu", "cuda", "mps"):
            raise RuntimeError("unknown")
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ConfigError(
            f"device: expected auto, cpu, cuda, cuda:N or mps, and one that is here, got '{name}' ({reason:.100}). "
            "Leave it out for the best there is."
        ) from error
    return device
