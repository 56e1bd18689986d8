"""Where scripts leave what they measured, drew and wrote."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent
RESULTS, FIGURES, DOCS = _HERE / "results", _HERE / "figures", _HERE.parent / "docs"
