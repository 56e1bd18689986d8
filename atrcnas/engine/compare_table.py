"""A comparison as a table: text for the terminal, Markdown, and CSV with full digits."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from atrcnas.engine.compare import Comparison, Figure, Row
from atrcnas.ground.errors import RunError
from atrcnas.ground.files import write_text
from atrcnas.spec.tasks import Task

_NONE = "-"


def text(comparison: Comparison) -> list[str]:
    """Aligned lines, and notes on what cannot be compared."""
    rows = cells(comparison)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*lines, *notes(comparison)]


def markdown(comparison: Comparison) -> str:
    """A Markdown table with its notes below."""
    head, *rows = [[cell.replace("|", r"\|") for cell in row] for row in cells(comparison)]
    rule = ["---", *["---:"] * (len(head) - 1)]
    lines = [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]
    return "\n".join([*lines, *(f"\n{note}" for note in notes(comparison))]) + "\n"


def as_csv(comparison: Comparison) -> str:
    """One line per configuration; means and, next to them, standard deviations, unrounded."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    measured = [f"{name}.{figure}" for name, figure in comparison.figures.items()]
    measured += ["delta_m_percent", "parameters", "multiply_adds", "latency_ms"]
    columns = [column for name in measured for column in (name, f"{name}.std")]
    writer.writerow(["name", "runs", "steps", *columns, "image_height", "image_width", "folders"])
    for row in comparison.rows:
        figures = [row.scores.get(name) for name in comparison.figures]
        figures += [row.delta_m, row.parameters, row.multiply_adds, row.latency_ms]
        numbers = [number for figure in figures for number in _numbers(figure)]
        writer.writerow([row.name, len(row.runs), row.steps, *numbers, *row.image_size, ";".join(map(str, row.runs))])
    return stream.getvalue()


def save(comparison: Comparison, path: Path) -> Path:
    """Write ``path`` atomically, in the form its suffix names.

    Raises:
        RunError: the suffix is neither ``.csv`` nor ``.md``.
    """
    forms = {".csv": as_csv, ".md": markdown}
    if path.suffix.lower() not in forms:
        raise RunError(f"--out: {path}: expected a .csv or .md file, got '{path.suffix}'. Rename the output.")
    write_text(path, forms[path.suffix.lower()](comparison))
    return path


def cells(comparison: Comparison) -> list[list[str]]:
    """The table: its head, then a row per configuration."""
    with_gain = any(row.delta_m is not None for row in comparison.rows)
    head = ["configuration", "runs", "steps"]
    head += [_title(comparison.figures[name], task) for name, task in comparison.tasks.items()]
    head += ["Delta_m (%) ↑"] if with_gain else []
    return [
        [*head, "parameters (M)", "multiply-adds (G)", "latency (ms)", "image"],
        *(_row_cells(row, list(comparison.tasks), with_gain) for row in comparison.rows),
    ]


def _row_cells(row: Row, tasks: Sequence[str], with_gain: bool) -> list[str]:
    cells = [row.name, str(len(row.runs)), str(row.steps), *(_said(row.scores.get(name), ".4f") for name in tasks)]
    if with_gain:
        cells.append(_said(row.delta_m, "+.2f"))
    cells += [_said(row.parameters, ".3f", 1e6), _said(row.multiply_adds, ".3f", 1e9), _said(row.latency_ms, ".1f")]
    return [*cells, "x".join(map(str, row.image_size))]


def _title(figure: str, task: Task) -> str:
    unit = f" ({task.unit})" if task.unit else ""
    return f"{task.name} {figure}{unit} {'↑' if task.higher_is_better else '↓'}"


def _said(figure: Figure | None, form: str, unit: float = 1.0) -> str:
    """A figure in multiples of ``unit``; without its spread if it does not vary."""
    if figure is None:
        return _NONE
    said = format(figure.mean / unit, form)
    return f"{said} ± {format(figure.std / unit, form.lstrip('+'))}" if figure.std else said


def _numbers(figure: Figure | None) -> tuple[float | str, float | str]:
    if figure is None:
        return "", ""
    return figure.mean, "" if figure.std is None else figure.std


def notes(comparison: Comparison) -> list[str]:
    """What cannot be compared, and what flatters a row."""
    said = []
    if any(len(row.runs) > 1 for row in comparison.rows):
        said.append("Over several runs: mean ± sample standard deviation.")
    steps = sorted({row.steps for row in comparison.rows})
    if len(steps) > 1:
        said.append(
            f"Note: trained for different numbers of steps ({', '.join(map(str, steps))}); part of the difference in scores "
            "may come from that."
        )
    if len({row.image_size for row in comparison.rows}) > 1:
        said.append("Note: multiply-adds and latency are for images of different sizes.")
    chose = [row.name for row in comparison.rows if row.chose_on_report]
    if chose:
        said.append(
            f"Note: {', '.join(chose)}: the checkpoint or config was chosen on the reported split, which flatters it. "
            "Set data.selection, or retrain.keep: last."
        )
    timed = sorted({where for row in comparison.rows for where in row.timed_on})
    if len(timed) > 1:
        said.append(f"Note: latency was measured on different machines or threads ({'; '.join(timed)}).")
    return said
