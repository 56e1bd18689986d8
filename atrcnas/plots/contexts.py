"""The answer as a picture: which kind of context each target pools from each source, and how sure the search was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from atrcnas.ground.errors import ConfigError, RunError
from atrcnas.plots.heatmap import Cell, Entry, draw_cells
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.kinds import KINDS, NONE, parts
from atrcnas.spec.schema import validate


def draw_heatmap(contexts: ContextConfig | Mapping[str, Any], where: str = "contexts") -> Figure:
    """Draw the kind of each pair; a pair the config does not list has kind ``none``.

    The fill is the kind's colour, paler where the search was less sure; without probabilities it is full, and a line
    below says so.

    Args:
        contexts: a context config, or the mapping its YAML holds.
        where: file name for messages.

    Raises:
        RunError: not a context config, or one that fits any tasks and so has no table to draw.
    """
    try:
        config = contexts if isinstance(contexts, ContextConfig) else validate(ContextConfig, contexts, where)
        chosen = config.kinds(_tasks(config, where))
    except ConfigError as error:
        raise RunError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error
    origin = config.provenance
    chances = {pair: origin.probabilities.get(str(pair), {}) for pair in chosen}
    certainty = {pair: _certainty(chances[pair], kind) for pair, kind in chosen.items()}
    note = "a cell without a number has no probability in the file" if None in certainty.values() else ""
    if without := set(certainty.values()) == {None}:
        note = "no probabilities in the file: every cell at full intensity"
    used = [part for kind in chosen.values() for part in parts(kind)]
    named = {NONE, *used, *(kind for row in chances.values() for kind in row)}
    open_pairs = origin.undecided or {}
    key = [Entry(kind.letter, kind.colour, kind.name, kind.description) for kind in KINDS if kind.name in named]
    if open_pairs:
        key.append(Entry("?", "#ffffff", "undecided", "the search did not settle this pair"))
    facts = {"seed": origin.seed, "step": origin.step, "commit": origin.commit}
    return draw_cells(
        {
            pair: cell(parts(kind), certainty[pair], "?" if str(pair) in open_pairs else "")
            for pair, kind in chosen.items()
        },
        key,
        ": ".join(["Context of each pair of tasks", *filter(None, [origin.experiment or origin.source])]),
        "  ·  ".join(f"{name} {value}" for name, value in facts.items() if value is not None),
        "" if without else "number and intensity: probability of the chosen kind",
        note,
    )


def cell(kinds: Sequence[str], probability: float | None = None, mark: str = "") -> Cell:
    """The cell of a pair with these kinds."""
    records = [KINDS[name] for name in kinds]
    number = "" if probability is None else f"{probability:.2f}"
    letters, colours = tuple(kind.letter for kind in records), tuple(kind.colour for kind in records)
    return Cell(letters, colours, probability, number, mark)


def _certainty(chances: Mapping[str, float], kind: str) -> float | None:
    """Probability of the chosen kind, of two together their sum; None if the file does not say."""
    known = [chances[part] for part in parts(kind) if part in chances]
    return sum(known) if len(known) == len(parts(kind)) else None


def _tasks(config: ContextConfig, where: str) -> tuple[str, ...]:
    if config.is_rule:
        raise RunError(
            f"{where}: pairs: expected a table of targets and sources, got rules for any tasks "
            f"({', '.join(map(str, config.pairs))}). Plot the contexts.yaml of a run that used it."
        )
    tables: list[Any] = list(config.pairs.values()) if len(config.levels) > 1 else [config.pairs]
    rows = [row for table in tables for row in table.items()]
    named = [*(target for target, _ in rows), *(source for _, row in rows for source in row)]
    if not (tasks := config.tasks or tuple(dict.fromkeys(named))):
        raise RunError(f"{where}: tasks: expected at least one task, got none. List the tasks.")
    return tasks
