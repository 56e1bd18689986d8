"""What a fixed network costs: parameters, multiply-adds, time."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from atrcnas.ground.errors import ExportError
from atrcnas.nn.fold import fold_batch_norm, fold_contexts, inference_copy
from atrcnas.nn.net import MultiTaskNet

WARM_UP, REPEATS = 3, 20


def _conv_backward(
    grad: Sequence[int], x: Sequence[int], weight: Sequence[int], *rest: Any, out_shape: Any = None
) -> int:
    """Operations of a convolution's backward pass: for each gradient that is asked for as many as of its forward pass."""
    transposed, num_gradients = rest[4], int(sum(rest[7][:2]))
    positions = x if transposed else grad
    return 2 * positions[0] * math.prod(positions[2:]) * math.prod(weight) * num_gradients


_OURS = {
    # torch counts the weights' gradient of a grouped convolution once for each group.
    torch.ops.aten.convolution_backward: _conv_backward,
}


class Latency(TypedDict):
    """Milliseconds of one image's forward pass: the median, and the range of the middle 80 %."""

    median: float
    low: float
    high: float
    repeats: int
    threads: int
    device: str


class Costs(TypedDict):
    """Costs of one network at one image size.

    Attributes:
        parameters: number of them, before folding; without those that only training needs.
        multiply_adds: of convolutions, matrix products and attention, for one image.
        latency_ms: with BatchNorm folded, without compilation.
    """

    parameters: int
    multiply_adds: int
    latency_ms: Latency


def measure_costs(net: MultiTaskNet, size: tuple[int, int], device: str = "cpu", repeats: int = REPEATS) -> Costs:
    """Measure a fixed network.

    Args:
        net: on any device, in any mode; unchanged.
        size: (height, width) of the image, pixels.
        device: where time is measured, "cpu" or "cuda".
        repeats: timed forward passes, >= 1, after 3 untimed ones.

    Raises:
        ExportError: the network is still searching, or ``repeats`` < 1.
    """
    if repeats < 1:
        raise ExportError(f"repeats: expected at least 1, got {repeats}.")
    timed = fold_batch_norm(inference_copy(net).to(device, torch.float32), size)
    return Costs(
        parameters=parameters(net),
        multiply_adds=multiply_adds(net, size),
        latency_ms=measure_latency(timed, torch.rand(1, 3, *size, device=device), repeats),
    )


def parameters(net: MultiTaskNet) -> int:
    """Number of parameters, without those that only training needs.

    Raises:
        ExportError: the network is still searching.
    """
    return sum(parameter.numel() for parameter in inference_copy(net).parameters())


def multiply_adds(net: MultiTaskNet, size: tuple[int, int]) -> int:
    """Multiply-adds of convolutions, matrix products and attention for one image of ``size`` = (height, width).

    Counted in the form that inference runs: parallel kernels are one.

    Raises:
        ExportError: the network is still searching.
    """
    # On tensors without values the count is quick, and the same on every device.
    shapes = inference_copy(net).to("meta")
    fold_contexts(shapes)
    image = torch.empty(1, 3, *size, device="meta", dtype=next(shapes.parameters()).dtype)
    with torch.no_grad():
        return counted(lambda: shapes(image))


def counted(compute: Callable[[], Any]) -> int:
    """Multiply-adds of the convolutions, matrix products and attention in ``compute``."""
    with FlopCounterMode(display=False, custom_mapping=_OURS) as counter:
        compute()
    return int(counter.get_total_flops()) // 2


def peak_memory(net: MultiTaskNet, size: tuple[int, int]) -> float:
    """Most memory that the forward pass of one image of ``size`` = (height, width) holds in tensors at once, MB (10^6 bytes).

    In the form that inference runs, in float32, operator by operator; without parameters and what operators need inside.

    Raises:
        ExportError: the network is still searching.
    """
    shapes = inference_copy(net).to("meta", torch.float32)
    fold_contexts(shapes)
    image = torch.empty(1, 3, *size, device="meta")
    with torch.no_grad(), _Held() as held:
        held.hold(image)
        shapes(image)
    return float(held.peak) / 1e6


class _Held(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors that operators make, from when they are made until nothing refers to them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now, self.peak = 0, 0
        self._sizes = dict[int, int]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self.hold(tensor)
        return made

    def hold(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place = storage._cdata  # views have the storage of their base
        if place not in self._sizes:
            self._sizes[place] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._release, place)

    def _release(self, place: int) -> None:
        self.now -= self._sizes.pop(place)


def measure_latency(run: Callable[[Tensor], Any], image: Tensor, repeats: int = REPEATS) -> Latency:
    """Time ``run`` on one image [1, 3, H, W], after passes that are not timed."""
    milliseconds: list[float] = []
    with torch.inference_mode():
        for _ in range(WARM_UP + repeats):
            begin = time.perf_counter()
            run(image)
            if image.is_cuda:
                torch.cuda.synchronize(image.device)
            milliseconds.append((time.perf_counter() - begin) * 1e3)
    low, median, high = (round(float(value), 3) for value in np.quantile(milliseconds[WARM_UP:], (0.1, 0.5, 0.9)))
    threads = torch.get_num_threads()
    return Latency(median=median, low=low, high=high, repeats=repeats, threads=threads, device=str(image.device))


def measure_compiled(net: MultiTaskNet, size: tuple[int, int], repeats: int = REPEATS) -> Latency:
    """Latency on the CPU under torch.compile, BatchNorm folded; compiling takes about a minute.

    Raises:
        ExportError: the network is still searching, or does not compile here.
    """
    folded = fold_batch_norm(net.to("cpu", torch.float32), size)
    try:
        return measure_latency(torch.compile(folded), torch.rand(1, 3, *size), repeats)
    except Exception as error:  # what compilers raise shares no base class
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise ExportError(f"the network cannot be compiled here ({reason}). Leave --compiled out.") from error
