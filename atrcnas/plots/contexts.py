"""The answer as a picture: which kind of context each target pools from each source, and how sure the search was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from atrcnas.ground.errors import RunError
from atrcnas.plots.canvas import INK, SMALL_SIZE, grid, legend_below, new_figure, panels, styled
from atrcnas.plots.encoder_tree import branches_of, draw_encoder_tree, tree_width_in
from atrcnas.spec.branches import Branches
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.kinds import KINDS, NONE, parts
from atrcnas.spec.pairs import Pair
from atrcnas.spec.tasks import TASKS

_CELL_IN, _LABELS_IN = 0.9, (1.7, 1.1)
_PALEST, _FULLEST = 0.1, 0.65  # so that the kind can still be told, and dark letters read on every colour
_MIN_WIDTH_IN = 5.2  # of the longest line of the key
_CENTRED: dict[str, Any] = {"ha": "center", "va": "center"}


class Cell(NamedTuple):
    """What is shown of one pair: its kinds side by side.

    Attributes:
        kinds: names.
        intensity: 0 (pale) to 1 (full colour).
        number: text below the letters.
        mark: one character in the corner, such as "?" for an undecided pair.
    """

    kinds: tuple[str, ...]
    intensity: float = 1.0
    number: str = ""
    mark: str = ""


def draw_heatmap(config: ContextConfig, where: str = "contexts") -> Figure:
    """Draw the kind of each pair; a pair the config does not list has kind ``none``. Rules are drawn for all tasks.

    The fill is the kind's colour, paler where the search was less sure; without probabilities it is full, and a line
    below says so.

    Args:
        config: the context config.
        where: file name for messages.

    Raises:
        RunError: it has no tasks.
        ConfigError: it is at odds with itself, see :meth:`ContextConfig.kinds`.
    """
    cells, origin = cells_of(config, where), config.provenance
    note = "no probabilities in the file: every cell at full intensity"
    if any(cell.number for cell in cells.values()):
        note = "number and intensity: probability of the chosen kind, where the file has it"
    open_pairs = any(cell.mark for cell in cells.values())
    unsettled = "?  undecided: the search did not settle this pair" if open_pairs else ""
    facts = {"seed": origin.seed, "step": origin.step, "commit": origin.commit}
    shown = "rules for any tasks, shown for these" if config.is_rule else ""
    found = " ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
    also = [NONE, *(kind for chances in origin.probabilities.values() for kind in chances)]
    title = ": ".join(["Context of each pair of tasks", *filter(None, [origin.experiment or origin.source])])
    return draw_cells(cells, title, "\n".join(filter(None, [shown, note, unsettled, found])), also, branches_of(config))


def cells_of(config: ContextConfig, where: str = "contexts") -> dict[Pair, Cell]:
    """What is shown of each pair of a context config; see :func:`draw_heatmap`."""
    tasks = config.named_tasks or (TASKS.names[: config.num_tasks] if config.is_rule else ())
    if not tasks:
        raise RunError(f"{where}: tasks: expected at least one task, got none. List the tasks.")
    origin = config.provenance
    kinds = config.kinds(tasks)
    cells = {pair: _cell(parts(kind), origin.probabilities.get(str(pair), {})) for pair, kind in kinds.items()}
    open_pairs = [pair for pair in cells if str(pair) in (origin.undecided or {})]
    return cells | {pair: cells[pair]._replace(mark="?") for pair in open_pairs}


def _cell(kinds: tuple[str, ...], chances: Mapping[str, float]) -> Cell:
    if not all(kind in chances for kind in kinds):
        return Cell(kinds)
    certainty = sum(chances[kind] for kind in kinds)
    return Cell(kinds, certainty, f"{certainty:.2f}")


def draw_cells(
    cells: Mapping[Pair, Cell],
    title: str,
    note: str = "",
    also: Sequence[str] = (),
    branches: Branches | None = None,
) -> Figure:
    """Draw targets as rows and sources as columns, one table per level.

    Args:
        cells: by pair; tasks come in the order of the pairs.
        title: of the figure.
        note: a line above the key, such as what number and intensity mean.
        also: kinds in the key besides those of the cells.
        branches: of the encoder, drawn to the left; None where all tasks share all of it.
    """
    levels, targets, sources = (
        list(dict.fromkeys(getattr(pair, part) for pair in cells)) for part in ("level", "target", "source")
    )
    columns, named = min(len(levels), 2), {*also, *(kind for cell in cells.values() for kind in cell.kinds)}
    lines = {f"{kind.letter}  {kind.name}: {kind.description}": kind.colour for kind in KINDS if kind.name in named}
    key = [Patch(facecolor=colour, label=line) for line, colour in lines.items()]
    width, height = _CELL_IN * len(sources) + _LABELS_IN[0], _CELL_IN * len(targets) + _LABELS_IN[1]
    width = max(width, _MIN_WIDTH_IN / columns)
    with styled():
        figure, axes = _panels(title, len(levels), columns, (width, height), branches)
        figure.set_figheight(figure.get_figheight() + 0.17 * len(key))
        for level, panel in zip(levels, axes, strict=True):
            _draw_frame(panel, targets, sources, f", level {level}" if len(levels) > 1 else "")
        for pair, cell in cells.items():
            corner = (sources.index(pair.source), targets.index(pair.target))
            _draw_cell(axes[levels.index(pair.level)], *corner, cell, str(pair))
        legend_below(figure, figure.get_figwidth() if branches else columns * width, key, note)
    return figure


def _panels(
    title: str, count: int, columns: int, panel_in: tuple[float, float], branches: Branches | None
) -> tuple[Figure, list[Axes]]:
    """Those of the levels, with the encoder to their left."""
    if branches is None:
        return panels(title, count, columns, panel_in)
    widths = (tree_width_in(branches), columns * panel_in[0])
    figure = new_figure(title, sum(widths), -(-count // columns) * panel_in[1] + 1)
    ((left, right),) = figure.subfigures(1, 2, squeeze=False, width_ratios=widths)
    draw_encoder_tree(left.subplots(), branches)
    return figure, grid(right, count, columns)


def _draw_frame(axes: Axes, targets: Sequence[str], sources: Sequence[str], which: str) -> None:
    axes.set(
        xlim=(0, len(sources)), ylim=(len(targets), 0), xlabel=f"source (helps){which}", ylabel="target (predicts)"
    )
    axes.tick_params(length=0, labelsize="medium", labelcolor=INK, labeltop=True, labelbottom=False)
    axes.set_xticks([n + 0.5 for n in range(len(sources))], [fill(name, 11) for name in sources])
    axes.set_yticks([n + 0.5 for n in range(len(targets))], [fill(name, 18) for name in targets])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def opacity(cell: Cell) -> float:
    """Of the colours of its kinds, on white."""
    return _PALEST + (_FULLEST - _PALEST) * min(max(cell.intensity, 0.0), 1.0)


def _draw_cell(axes: Axes, left: int, top: int, cell: Cell, name: str) -> None:
    """One box, with as many stripes and letters as there are kinds."""
    count, alpha = len(cell.kinds), opacity(cell)
    for index, kind in enumerate(KINDS[part] for part in cell.kinds):
        axes.add_patch(Rectangle((left + index / count, top), 1 / count, 1, facecolor=kind.colour, alpha=alpha))
        place = (left + (index + 0.5) / count, top + (0.42 if cell.number else 0.5))
        axes.text(*place, kind.letter, size=14, weight="bold", gid=name, **_CENTRED)
    axes.add_patch(Rectangle((left, top), 1, 1, fill=False, edgecolor="white", linewidth=3))
    axes.text(left + 0.5, top + 0.8, cell.number, size=SMALL_SIZE, **_CENTRED)
    axes.text(left + 0.88, top + 0.16, cell.mark, weight="bold", **_CENTRED)
