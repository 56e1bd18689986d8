"""Writing and reading checkpoints: atomically, and without ever executing what is read."""

from __future__ import annotations

import errno
import mmap
import os
import pickle
import re
import sys
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from atrcnas.ground.errors import CheckpointError
from atrcnas.ground.files import sync_file, write_atomically
from atrcnas.ground.opening import open_regular, require_regular

_SUM = "crc32"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one stage: the last, the one before it, and the best weights.

    Attributes:
        folder: where they lie.
        writes: whether this process is the one that writes.
        keeps_best: whether the best weights are kept alongside the last state.
    """

    folder: Path
    writes: bool = True
    keeps_best: bool = False

    @property
    def last(self) -> Path:
        """The newest state."""
        return self.folder / "last.ckpt"

    @property
    def previous(self) -> Path:
        """The state before it, in case the newest is damaged."""
        return self.folder / "previous.ckpt"

    @property
    def best(self) -> Path:
        """Weights with the best selection score."""
        return self.folder / "best.safetensors"

    def save(self, state: Mapping[str, Any], best: nn.Module | None = None) -> None:
        """Write a state, and the network if it is the best so far.

        A whole checkpoint is there at whatever moment the process is killed or the power fails.

        Raises:
            AtrcnasError: the disk is full or read-only; the previous files are unchanged.
        """
        if not self.writes:
            return
        if best is not None and self.keeps_best:
            save_weights(best, self.best)

        def write(temporary: Path) -> None:
            try:
                with temporary.open("wb") as stream:
                    torch.save(dict(state), stream)
            except RuntimeError as error:  # torch's own, in place of the stream's
                raise OSError(errno.EIO, f"torch could not write it whole: {error.__context__}") from error
            sync_file(temporary)
            if self.last.is_file():  # only now: a failed write leaves both as they were
                self.last.replace(self.previous)

        write_atomically(self.last, write)

    def load(self) -> dict[str, Any] | None:
        """The newest whole state; None if the stage has not started.

        Raises:
            CheckpointError: what is there is damaged.
        """
        if not self.last.is_file() and not self.previous.is_file():
            return None
        try:
            return read_checkpoint(self.last)
        except CheckpointError as error:
            if not self.previous.is_file():
                raise
            state = read_checkpoint(self.previous)
            print(f"{error}\nGoing on from the one before: {self.previous}, step {state.get('step')}.", file=sys.stderr)
            return state


def save_weights(net: nn.Module, path: Path, facts: Mapping[str, str] | None = None) -> None:
    """Write a state dict as safetensors, with ``facts`` for people and other programs in its metadata."""
    state: dict[str, Tensor] = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    # Not save_file, which renames a file of its own over the temporary one, readable by its owner alone.
    write_atomically(path, lambda temporary: temporary.write_bytes(save(state, {**(facts or {}), _SUM: _sum_of(state)})))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from safetensors, and compare its checksum if the file has one.

    Raises:
        CheckpointError: damaged.
    """
    try:
        require_regular(path)
        with safe_open(path, framework="pt") as content:
            metadata = content.metadata()
        state = load_file(path)
    except Exception as error:  # of sizes and types that no tensor has, each library it passes through has its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path}: damaged ({reason:.200}). Retrain, or restore it.") from error
    # Files of earlier versions have no metadata at all.
    if metadata is not None and metadata.get(_SUM) != _sum_of(state):
        raise CheckpointError(f"{path}: damaged (its checksum no longer matches). Retrain, or restore it.")
    return state


def _sum_of(state: Mapping[str, Tensor]) -> str:
    """Checksum of names, types, shapes and bytes, which safetensors itself does not keep."""
    total = 0
    for name, value in sorted(state.items()):
        total = zlib.crc32(f"{name} {value.dtype} {tuple(value.shape)}".encode(), total)
        total = zlib.crc32(value.reshape(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"


def trained_weights(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The network's weights in a checkpoint: their moving average if it has one, since that is what was scored.

    Raises:
        KeyError: it has none.
    """
    if "average" not in state:
        return dict(state["net"])
    prefix = "module."
    return {key.removeprefix(prefix): value for key, value in state["average"].items() if key.startswith(prefix)}


def read_checkpoint(path: Path, way_out: str = "Use an earlier one, or start over.") -> dict[str, Any]:
    """Read a checkpoint without executing it.

    Args:
        path: written by ``torch.save``.
        way_out: last sentence of the message when it cannot be read.

    Raises:
        CheckpointError: missing, truncated, altered, or holding objects that would have to be executed.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint. Check the path, or run without --resume.")
    try:
        with open_regular(path) as stream:
            if zipfile.is_zipfile(stream):
                _check_archive(stream)
            _check_calls(stream)
            stream.seek(0)
            value = torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or forged pickle can fail anywhere in the reader
        raise CheckpointError(f"{path}: not a readable checkpoint ({_reason(error)}). {way_out}") from error
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{path}: expected a checkpoint, got {type(value).__name__}. Use a file from a run folder."
        )
    return value


def _check_archive(stream: BinaryIO) -> None:
    """Compare the checksums, which torch does not; a decompression bomb is rejected before anything of it is unpacked.

    Raises:
        ValueError: damaged, or more than the file itself holds.
    """
    with zipfile.ZipFile(stream) as archive:
        infos = archive.infolist()
        # torch.save compresses nothing.
        if sum(info.file_size for info in infos) > os.fstat(stream.fileno()).st_size or any(
            info.compress_type != zipfile.ZIP_STORED for info in infos
        ):
            raise ValueError("it would unpack to more than its own size")
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of '{damaged}' no longer matches")


def _check_calls(stream: BinaryIO) -> None:
    """Reject what torch would call though it can take any amount of memory; nothing that we or the reference save needs it.

    Raises:
        ValueError: it is in the file, of which nothing is compressed.
    """
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for name in (b"builtins\nbytearray\n", b"_codecs\nencode\n"):
            if content.find(b"c" + name) >= 0:
                raise ValueError(f"it holds '{name.decode().split()[-1]}', which could take any amount of memory")


def _reason(error: Exception) -> str:
    text = str(error).strip()
    refused = re.search(r"GLOBAL ([\w.]+)", text)
    if refused:
        return f"it holds '{refused.group(1)}', code that reading would have to execute"
    if isinstance(error, pickle.UnpicklingError) or not text:
        return "damaged, or not written by torch.save"
    return text.splitlines()[0].split(". ")[0][:120]
