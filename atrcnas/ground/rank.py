"""Which of several processes of one run this is, before they are connected."""

from __future__ import annotations

import os


def first_process() -> bool:
    """Whether this process writes and speaks for the run.

    Read from what torchrun (RANK), SLURM (SLURM_PROCID) or our own launch (NODE_RANK, LOCAL_RANK) set.
    """
    rank = os.environ.get("RANK") or os.environ.get("SLURM_PROCID")
    if rank:
        return int(rank) == 0
    return not int(os.environ.get("NODE_RANK") or 0) and not int(os.environ.get("LOCAL_RANK") or 0)
