"""What the searches of one system agree on: the kind that most of its seeds chose for each pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from matplotlib.figure import Figure

from analysis.main_table.rows import kinds_of, rows_of
from analysis.main_table.settings import Setting
from atrcnas.contextbench.table import Kinds
from atrcnas.plots.contexts import Cell, draw_cells
from atrcnas.spec.kinds import parts
from atrcnas.spec.pairs import Pair

SHOWN = "searched-wide"


def searches(setting: Setting) -> dict[str, dict[int, Kinds]]:
    """System -> seed -> kinds, of all systems that search."""
    found = dict[str, dict[int, Kinds]]()
    tasks, rows = setting.experiment().tasks, rows_of(setting)
    for row in rows[rows["search_seconds"] > 0].itertuples():
        found.setdefault(str(row.system), {})[int(row.seed)] = kinds_of(str(row.config), tasks)
    return found


def votes(by_seed: dict[int, Kinds]) -> dict[Pair, tuple[str, int]]:
    """The kind that most seeds chose of each pair, and how many did; of equally many the first."""
    pairs = next(iter(by_seed.values()))
    return {pair: Counter(kinds[pair] for kinds in by_seed.values()).most_common(1)[0] for pair in pairs}


def lines(setting: Setting) -> Iterator[str]:
    """A row per system that searches, a column per pair."""
    found = searches(setting)
    pairs = next(iter(next(iter(found.values())).values())) if found else {}
    yield f"| | seeds | {' | '.join(f'`{pair}`' for pair in pairs)} | same as {SHOWN} of that seed |"
    yield "|---" * (len(pairs) + 3) + "|"
    for system, by_seed in found.items():
        count = len(by_seed)
        cells = [f"{kind}, {number} of {count}" for kind, number in votes(by_seed).values()]
        shared = [seed for seed in by_seed if seed in found.get(SHOWN, {})]
        same = [by_seed[seed][pair] == found[SHOWN][seed][pair] for seed in shared for pair in pairs]
        alike = f"{sum(same)} of {len(same)} pairs" if system != SHOWN and same else ""
        yield f"| {system} | {count} | {' | '.join(cells)} | {alike} |"


def draw(setting: Setting) -> Figure | None:
    """The heat map of the main search; None while it has no row."""
    by_seed = searches(setting).get(SHOWN)
    if not by_seed:
        return None
    count = len(by_seed)
    cells = {
        pair: Cell(parts(kind), number / count, f"{number} of {count}")
        for pair, (kind, number) in votes(by_seed).items()
    }
    note = f"number and intensity: how many of {count} searches with different seeds chose this kind"
    return draw_cells(cells, f"Agreement of searches: {setting.name}, wide pool", note)
