"""Where the files of a saved network are: a folder here, or a copy of what the Hugging Face Hub has."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from atrcnas.ground.errors import CheckpointError

CONFIG, WEIGHTS, CARD, HEATMAP = "config.json", "model.safetensors", "README.md", "contexts.png"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


def is_hub_id(source: str | Path) -> bool:
    """Whether ``source`` can only be meant for the Hub: ``owner/name``, and no path that is there."""
    return not Path(source).exists() and _HUB_ID.fullmatch(str(source)) is not None


def find_folder(source: str | Path, **hub: Any) -> Path:
    """The folder with the configuration and the weights; from the Hub, nothing else is fetched.

    Args:
        source: a folder of ``save_pretrained``, or ``owner/name`` on the Hub where no such path exists; says so on stderr.
        hub: arguments of ``huggingface_hub.hf_hub_download``: revision, token, cache_dir, ...

    Raises:
        CheckpointError: neither, or the Hub cannot be reached or has no such network.
    """
    if not is_hub_id(source):
        if not (Path(source) / CONFIG).is_file():
            raise CheckpointError(
                f"{source}: expected a folder with {CONFIG}, as `atrcnas pack` writes it, or OWNER/NAME on the Hugging Face "
                "Hub. Check the path."
            )
        return Path(source)
    from huggingface_hub import hf_hub_download

    print(f"{source}: no such path here, looking on the Hugging Face Hub", file=sys.stderr)
    try:
        config = Path(hf_hub_download(str(source), CONFIG, **hub))
        # Of the same commit, whatever is pushed meanwhile.
        hf_hub_download(str(source), WEIGHTS, **{**hub, "revision": config.parent.name})
        return config.parent
    except Exception as error:  # what its client raises shares no base class
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise CheckpointError(
            f"{source}: no such path, and not to be had from the Hugging Face Hub ({reason:.200}). Check the name and the "
            "connection, or give the path of a folder."
        ) from error
