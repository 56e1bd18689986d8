"""Loader processes, watched during every wait: a stop request is answered, and no wait is endless."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from torch.utils.data import DataLoader, Dataset

from atrcnas.ground.errors import DataError

POLL_S = 1.0
MAX_WAIT_S = 600.0
HINT = (
    "A full /dev/shm is a usual cause (containers often have 64 MB of it: docker run --shm-size), too little memory "
    "another. Set data.workers lower (0 needs neither), then go on with --resume."
)

BatchT = TypeVar("BatchT")
Poll = Callable[[float], None]
_poll: ContextVar[Poll] = ContextVar("poll", default=lambda waited: None)


@contextmanager
def polled(poll: Poll) -> Iterator[None]:
    """Call ``poll`` every second that a loader waits for its processes.

    Args:
        poll: takes the seconds waited so far for one batch; what it raises comes out of the loader.
    """
    token = _poll.set(poll)
    try:
        yield
    finally:
        _poll.reset(token)


def ask(waited: float) -> None:
    """Call what :func:`polled` was given, in any other wait for data."""
    _poll.get()(waited)


class WatchedLoader(DataLoader[BatchT]):
    """A loader whose faults are :class:`DataError`, each with one line and the way out.

    Args:
        dataset: as for ``DataLoader``.
        num_workers: loader processes; 0 to load in this one.
        options: as for ``DataLoader``, except ``timeout``.
    """

    def __init__(self, dataset: Dataset[Any], *, num_workers: int = 0, **options: Any) -> None:
        super().__init__(dataset, num_workers=num_workers, timeout=POLL_S if num_workers else 0, **options)

    def __iter__(self) -> Iterator[BatchT]:  # type: ignore[override]
        try:
            batches = super().__iter__()
        except OSError as error:
            raise DataError(f"data: the loader processes cannot be started ({error.strerror}). {HINT}") from error
        while True:
            try:
                yield self._next(batches)
            except StopIteration:
                return

    def _next(self, batches: Iterator[BatchT]) -> BatchT:
        waited = 0.0
        while True:
            try:
                return next(batches)
            except DataError as error:  # from a loader process it comes with that process's traceback
                text = str(error).strip()
                raise DataError(text.splitlines()[-1].partition("DataError: ")[2] or text) from error
            except RuntimeError as error:
                if "DataLoader timed out" not in str(error):
                    raise explained(error) or error from error
            waited += POLL_S  # not by the clock, which goes on while the job is suspended
            ask(waited)
            if waited > MAX_WAIT_S:
                raise DataError(f"data: no batch for {waited:.0f} s, the loader processes hang. {HINT}")


def explained(error: Exception) -> DataError | None:
    """What to say about a loader process that died, which torch reports by an error in whatever runs then; else None."""
    text = str(error).strip()
    if "DataLoader worker" not in text or isinstance(error, DataError):
        return None
    return DataError(f"data: a loader process died ({text.splitlines()[0].rstrip('.')}). {HINT}")
