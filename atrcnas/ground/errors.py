"""The errors a user can meet. Each message says where, what was expected, what was got, and the way out."""

from __future__ import annotations

import signal


class AtrcnasError(Exception):
    """Base of all errors that are the input's fault, not the program's; the command line prints it and exits with 2."""


class ConfigError(AtrcnasError):
    """An experiment, search space, context config or command-line value cannot be used."""


class DataError(AtrcnasError):
    """A data set is missing, incomplete or holds values outside its declared range."""


class CheckpointError(AtrcnasError):
    """A checkpoint or weight file is missing, damaged or does not fit the network."""


class RunError(AtrcnasError):
    """A run folder is missing, incomplete, locked or belongs to another experiment."""


class ExportError(AtrcnasError):
    """The exported network does not reproduce the live one, or cannot be written."""


class Stopped(Exception):
    """A run was asked to stop, which is not an error.

    Attributes:
        signal: number of the signal.
        step: steps completed; None where several trials were stopped.
    """

    def __init__(self, signal_number: int, step: int | None = None, saved: bool = True) -> None:
        name = signal.Signals(signal_number).name
        after = "in several trials" if step is None else f"after step {step}"
        state = "the state is saved" if saved else "the last checkpoint is older"
        super().__init__(f"stopped by {name} {after}, {state}; go on with --resume")
        self.signal, self.step = signal_number, step
