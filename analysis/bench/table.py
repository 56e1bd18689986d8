"""Write the table of results into docs/speed.md.

python -m analysis.bench.table analysis/bench/results/cpu-2-cores.json ...
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.bench.rows import ROWS
from analysis.pages import SPEED, write

HEADINGS = {"cpu": "CPU", "cuda": "GPU"}


def cell(row: Mapping[str, Any]) -> str:
    """Ratios, each with its target and whether it is met; milliseconds of both sides."""
    if "error" in row:
        return f"not measured: {row['error']}"
    parts = []
    for what, target in row["targets"].items():
        ratio = row["ratio"][what]
        parts.append(f"{what} {ratio:.2f}x (target {target:g}x, {'met' if ratio <= target else 'missed'})")
    others = [what for what in ("time", "memory") if what in row["ratio"] and what not in row["targets"]]
    parts.extend(f"{what} {row['ratio'][what]:.2f}x" for what in others)
    times = " / ".join(f"{1000 * side['median_s']:.1f}" for side in row["sides"].values())
    return "; ".join([*parts, f"{times} ms"])


def markdown(results: Sequence[Mapping[str, Any]]) -> str:
    """One column for each device measured; a cell that was not measured stays empty."""
    columns = {result["setup"]["device"]: result for result in results}
    heads = [f"{HEADINGS[device]}: {result['machine']['name']}, {_sizes(result)}" for device, result in columns.items()]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for name, row in ROWS.items():
        cells = [cell(result["rows"][name]) if name in result["rows"] else "" for result in columns.values()]
        lines.append(f"| {row.title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _sizes(result: Mapping[str, Any]) -> str:
    height, width = result["setup"]["image_size"]
    return f"{result['setup']['batch']}x{height}x{width}, {result['machine']['threads']} threads"


if __name__ == "__main__":
    write(SPEED, "bench", markdown([json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]))
