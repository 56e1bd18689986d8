"""Measure the heads against the structure of the published code.

python -m analysis.bench [--quick] [--device cpu|cuda] [--rows soft ...] [--out analysis/bench/results/NAME.json]

Rows of an existing file that are not measured now stay in it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

# The profiler that counts memory would otherwise talk on stderr.
os.environ.setdefault("KINETO_LOG_LEVEL", "9")

import torch

from analysis.bench.heads import Setup
from analysis.bench.rows import ROWS, Row
from analysis.bench.table import cell
from atrcnas.engine.devices import keep_freed_memory
from atrcnas.ground.files import write_json
from atrcnas.runs.environment import commit

SETUPS = {"cpu": Setup(), "cuda": Setup(device="cuda", batch=8, image_size=(425, 560))}
QUICK_REPEATS, REPEATS = 7, 25


def machine(device: str) -> dict[str, Any]:
    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    return {
        "name": name,
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "commit": commit(),
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in ("atrcnas", "torch", "timm")},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def measured(row: Row, setup: Setup, repeats: int) -> dict[str, Any]:
    began = time.monotonic()
    try:
        result = row.run(setup, repeats)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        result = {"error": "out of memory"}
    return {
        "title": row.title,
        "targets": dict(row.targets[setup.device]),
        **result,
        "took_s": time.monotonic() - began,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats: three minutes on 2 cores")
    parser.add_argument("--device", choices=SETUPS, default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as a run does on the CPU; both sides have it
    setup = SETUPS[args.device]
    report: dict[str, Any] = {
        "machine": machine(args.device),
        "setup": {"device": setup.device, "batch": setup.batch, "image_size": list(setup.image_size)},
        "quick": args.quick,
        "rows": {},
    }
    if args.out and args.out.is_file():
        report["rows"] = json.loads(args.out.read_text(encoding="utf-8"))["rows"]
    for name in args.rows:
        row = measured(ROWS[name], setup, QUICK_REPEATS if args.quick else REPEATS)
        report["rows"][name] = row
        print(f"{row['title']:62s} {cell(row)}", flush=True)
        if args.out:
            write_json(args.out, report)


if __name__ == "__main__":
    main()
