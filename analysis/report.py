"""Rebuild the tables and figures of docs/proof.md from the stored rows; trains nothing.

python -m analysis.report
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from matplotlib.figure import Figure

from analysis import ablation_path, pages
from analysis.main_table import agreement, budgets, costs, equal_time, latency, recipe, report, versus
from analysis.main_table.settings import SETTINGS, SMALL, Setting
from analysis.places import DOCS, FIGURES, RESULTS
from atrcnas.contextbench import Bench, load, table_path
from atrcnas.contextbench.designs import DESIGNS
from atrcnas.contextbench.report import draw, lines
from atrcnas.plots import canvas
from atrcnas.plots.importance import draw_importance
from atrcnas.runs.tables import read_table

PAGE = DOCS / "proof.md"
NONE_YET = "Not trained yet."
PATH, IMPORTANCE = RESULTS / "ablation_path.csv", RESULTS / "importance_rooms_small.csv"


def tables() -> dict[str, Iterable[str]]:
    """What stands between the markers of each name."""
    return {
        **{f"{part}-{name}": made for name, setting in SETTINGS.items() for part, made in _main(setting).items()},
        **{f"recipe-{name}": recipe.lines(SETTINGS[name]) for name in recipe.TRIED},
        "agreement": agreement.lines(SMALL),
        "cost-accuracy": costs.lines(),
        "budgets": budgets.lines(SMALL),
        "path": ablation_path.lines(read_table(PATH, ablation_path.FORM)),
        **{f"bench-{name}": [NONE_YET] if bench is None else lines(bench) for name, bench in benches().items()},
    }


def _main(setting: Setting) -> dict[str, Iterable[str]]:
    """A main table and what follows it."""
    if not setting.file("main_table").is_file():
        return {part: [NONE_YET] for part in ("main", "versus", "missing", "latency")}
    bounded = {"beside-aspp": versus.beside_aspp_heads(setting)} if setting.aspp_latency_ms is not None else {}
    return {
        "main": report.lines(setting),
        **bounded,
        "versus": versus.lines(setting),
        "missing": [report.missing(setting)],
        "latency": latency.lines(setting),
    }


def figures() -> dict[str, Figure | None]:
    """By the name of the file."""
    with canvas.styled():
        return {
            "equal_time": equal_time.draw(
                [SETTINGS[name] for name in ("rooms-small", "rooms-small-nyud", "rooms-small-pascal")]
            ),
            "main_table": report.draw(SMALL),
            "agreement": agreement.draw(SMALL),
            "ablation_path": ablation_path.draw(read_table(PATH, ablation_path.FORM)),
            "importance": draw_importance(IMPORTANCE, "rooms-small"),
            **{f"contextbench_{name.replace('-', '_')}": _drawn(bench) for name, bench in benches().items()},
        }


@functools.cache
def benches() -> dict[str, Bench | None]:
    """Every table of ContextBench; None where no row is trained yet."""
    return {name: load(name) if table_path(name).is_file() else None for name in DESIGNS}


def _drawn(bench: Bench | None) -> Figure | None:
    """Once each target's rows are known; the baseline comes first in a table."""
    return None if bench is None or bench.ranking().empty else draw(bench)


def main() -> None:
    for name, table in tables().items():
        pages.write(PAGE, name, "\n".join(table))
    for name, figure in figures().items():
        if figure is not None:
            print(canvas.save(figure, FIGURES / f"{name}.png"))
    print(PAGE)


if __name__ == "__main__":
    main()
