"""The answer as a picture: which kind of context each target pools from each source, and how sure the search was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from atrcnas.ground.errors import ConfigError, RunError
from atrcnas.plots.canvas import FAINT, LINE_IN, SMALL_SIZE, TITLE_SIZE, save, styled, wrap
from atrcnas.plots.grid import Grid
from atrcnas.plots.key import Key
from atrcnas.plots.page import Page
from atrcnas.plots.shades import CELL_FLOOR, blend
from atrcnas.spec.context_config import ContextConfig, Provenance
from atrcnas.spec.kinds import KINDS, NONE, Kind
from atrcnas.spec.pairs import Pair
from atrcnas.spec.schema import validate

_MARGIN, _GAP, _MIN_WIDTH = 0.3, 0.45, 4.6
_TITLE_LINE = 0.21


def draw_heatmap(contexts: ContextConfig | Mapping[str, Any], where: str = "contexts") -> Figure:
    """Draw targets as rows and sources as columns, one panel a level.

    A pair the config does not list has kind ``none``. The fill is the kind's colour, paler where the search was less
    sure; without probabilities it is full, and a line below says so.

    Args:
        contexts: a context config, or the mapping its YAML holds.
        where: file name for messages.

    Raises:
        RunError: not a context config, or one that fits any tasks and so has no table to draw.
    """
    config = _validated(contexts, where)
    chosen = _chosen(config, where)
    chances = config.provenance.probabilities
    certainty = {pair: chances.get(str(pair), {}).get(kind) for pair, kind in chosen.items()}
    grid = Grid(list(dict.fromkeys(pair.target for pair in chosen)), titled=len(config.levels) > 1)
    across = _panels_across(len(config.levels), len(grid.tasks))
    panels_width = across * (grid.width + _GAP) - _GAP
    key = Key(_explained(chosen, chances), max(panels_width, _MIN_WIDTH))
    inner = max(panels_width, key.width, _MIN_WIDTH)
    title, subtitle = _titles(config.provenance, inner)
    panels_top = _MARGIN + len(title) * _TITLE_LINE + len(subtitle) * LINE_IN + 0.15
    key_top = panels_top + -(-len(config.levels) // across) * (grid.height + _GAP) - _GAP + 0.3
    note_top = key_top + key.height + 0.12
    with styled():
        page = Page(inner + 2 * _MARGIN, note_top + LINE_IN + _MARGIN)
        _draw_titles(page, title, subtitle)
        panels_left = _MARGIN + (inner - panels_width) / 2
        for index, level in enumerate(config.levels):
            left = panels_left + index % across * (grid.width + _GAP)
            top = panels_top + index // across * (grid.height + _GAP)
            grid.draw(page, left, top, level)
            for pair in (pair for pair in chosen if pair.level == level):
                grid.draw_cell(page, left, top, pair, KINDS[chosen[pair]], certainty[pair])
        key_left = _MARGIN + (inner - key.width) / 2
        key.draw(page, key_left, key_top)
        _draw_note(page, key_left, note_top, list(certainty.values()))
    return page.figure


def plot_heatmap(contexts: ContextConfig | Mapping[str, Any], path: Path, where: str = "contexts") -> Path:
    """Write :func:`draw_heatmap` to ``path``."""
    return save(draw_heatmap(contexts, where), path)


def _validated(contexts: ContextConfig | Mapping[str, Any], where: str) -> ContextConfig:
    if isinstance(contexts, ContextConfig):
        return contexts
    try:
        return validate(ContextConfig, contexts, where)
    except ConfigError as error:
        raise RunError(str(error)) from error


def _chosen(config: ContextConfig, where: str) -> dict[Pair, str]:
    if config.is_rule:
        raise RunError(
            f"{where}: pairs: expected a table of targets and sources, got rules for any tasks "
            f"({', '.join(map(str, config.pairs))}). Plot the contexts.yaml of a run that used it."
        )
    tables: list[Any] = list(config.pairs.values()) if len(config.levels) > 1 else [config.pairs]
    rows = [row for table in tables for row in table.items()]
    named = [*(target for target, _ in rows), *(source for _, row in rows for source in row)]
    tasks = config.tasks or tuple(dict.fromkeys(named))
    if not tasks:
        raise RunError(f"{where}: tasks: expected at least one task, got none. List the tasks.")
    try:
        return config.kinds(tasks)
    except ConfigError as error:
        raise RunError(f"{where}: {error}") from error


def _explained(chosen: Mapping[Pair, str], chances: Mapping[str, Mapping[str, float]]) -> list[Kind]:
    """The kinds that were chosen or could have been."""
    named = {NONE, *chosen.values(), *(kind for row in chances.values() for kind in row)}
    return [kind for kind in KINDS if kind.name in named]


def _panels_across(num_levels: int, num_tasks: int) -> int:
    """Panels in one row of panels, so that the figure stays about as wide as a page."""
    return num_levels if num_levels <= 2 or num_tasks <= 2 else 2


def _titles(provenance: Provenance, width_in: float) -> tuple[list[str], list[str]]:
    origin = provenance.experiment or provenance.source
    facts = {"seed": provenance.seed, "step": provenance.step, "commit": provenance.commit}
    subtitle = "  ·  ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
    title = wrap(
        f"Context of each pair of tasks: {origin}" if origin else "Context of each pair of tasks",
        width_in,
        TITLE_SIZE,
        "bold",
    )
    return title, wrap(subtitle, width_in) if subtitle else []


def _draw_titles(page: Page, title: Sequence[str], subtitle: Sequence[str]) -> None:
    top = _MARGIN + 0.05
    for line in title:
        page.text(_MARGIN, top, line, TITLE_SIZE, weight="bold")
        top += _TITLE_LINE
    for line in subtitle:
        page.text(_MARGIN, top, line, color=FAINT)
        top += LINE_IN


def _draw_note(page: Page, left: float, top: float, certainty: Sequence[float | None]) -> None:
    """Say what the intensity means: a ramp, or that there are no probabilities."""
    if all(value is None for value in certainty):
        page.text(left, top, "no probabilities in the file: every cell at full intensity", SMALL_SIZE, color=FAINT)
        return
    for index in range(5):
        fill = blend("#555555", CELL_FLOOR + (1 - CELL_FLOOR) * index / 4)
        page.box(left + 0.12 * index, top - 0.05, 0.1, fill, fill)
    text = "number and intensity: probability of the chosen kind, 0 to 1"
    if None in certainty:
        text += "; a cell without a number has none in the file"
    page.text(left + 0.68, top, text, SMALL_SIZE, color=FAINT)
