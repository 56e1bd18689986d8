"""Several processes compute on their shares what one would on the whole batch: BatchNorm and random draws."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from atrcnas.nn.shared_draws import DROPOUTS, Share
from atrcnas.nn.sync_norm import batch_norm


class WholeBatch(TorchFunctionMode):
    """Context for the forward pass of one of several processes, which are all seeded alike.

    What a module draws for the images (dropout of elements or channels, drop path) is this process's part of what one
    process would draw for all of them. It replaces the functions that every module calls, our own, timm's and a
    plugin's. Draws inside of a fused attention, and by other functions, are those of the first images in each process.

    Args:
        share: which images of the batch this process has.
        norms: ``F.batch_norm`` in training mode normalises by the statistics of all processes' batches.
    """

    _entered: ClassVar[list[WholeBatch]] = []

    def __init__(self, share: Share, norms: bool) -> None:
        super().__init__()
        self.share, self.norms = share, norms

    @classmethod
    def again(cls) -> AbstractContextManager[Any]:
        """The same context, if called within one; for what is computed again later, outside it."""
        return cls(cls._entered[-1].share, cls._entered[-1].norms) if cls._entered else nullcontext()

    def __enter__(self) -> Any:
        WholeBatch._entered.append(self)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        WholeBatch._entered.pop()
        super().__exit__(*error)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace a few functions, pass on the others."""
        kwargs = kwargs or {}
        if func is F.batch_norm and self.norms:
            return batch_norm(*args, **kwargs)
        if func in DROPOUTS:
            return self.share.dropout(func, *args, **kwargs)
        if func is Tensor.bernoulli_:
            return self.share.bernoulli(*args, **kwargs)
        return func(*args, **kwargs)
