"""A worker process: takes calls as JSON lines on its input, answers on its output, ends with its driver.

``python -m atrcnas.launch.worker``, started by :class:`atrcnas.launch.processes.Processes`. What a call prints goes to the
error stream, so that nothing but answers is on the output.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atrcnas.ground.errors import AtrcnasError, Stopped
from atrcnas.ground.registry import resolve

Payload = Mapping[str, Any]


def perform(call: Payload) -> dict[str, Any]:
    """Make one call.

    Args:
        call: ``task`` ("module:function" of one mapping), ``payload`` (its argument) and ``cwd``, the driver's folder.

    Returns:
        ``{"value": ...}``, or what went wrong as ``{"error": message}``.
    """
    try:
        if Path(call["cwd"]).is_dir():
            os.chdir(call["cwd"])
        return {"value": resolve(call["task"])(call["payload"])}
    except AtrcnasError as error:
        return {"error": str(error)}
    except Stopped:  # the trial's state is saved: like a dead worker's, it continues elsewhere
        os._exit(1)
    except Exception:  # whatever it is, the driver must learn of it
        return {"error": traceback.format_exc()}


def main() -> None:
    """Serve until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    calls: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(calls,), daemon=True).start()
    while True:
        answers.write(json.dumps(perform(json.loads(calls.get()))) + "\n")
        answers.flush()


def _listen(calls: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        calls.put(line)
    # The driver is gone. Go at once, even out of a trial: a resumed driver must find its folder unlocked.
    os._exit(1)


if __name__ == "__main__":
    main()
