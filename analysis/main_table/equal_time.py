"""The figure that opens the README: searched contexts beside what else fits into the latency of ASPP heads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.main_table.latency import slowest
from analysis.main_table.report import GREY, PLAIN, SEARCHED, summary
from analysis.main_table.rows import rows_of
from analysis.main_table.settings import Setting
from analysis.main_table.systems import ASPP, LATENCY_PAIRED, RANDOM_WITHIN, kind_of
from analysis.main_table.versus import best_of, uniform_within
from atrcnas.plots import canvas
from atrcnas.spec.kinds import KINDS

Bar = tuple[str, str, str]  # system, what the figure calls it, colour
NOTE = (
    "mean and standard deviation over seeds, of random contexts over ten configs\n"
    "gain: over a multi-task network without contexts; time: at most that of ASPP heads in ONNX Runtime"
)


def draw(settings: Sequence[Setting]) -> Figure:
    """A panel for each setting."""
    with canvas.styled():
        figure, panels = canvas.panels(
            "What contexts are worth in equal time", len(settings), len(settings), (2.8, 2.0)
        )
        for axes, setting in zip(panels, settings, strict=True):
            _draw(axes, setting)
            axes.label_outer(remove_inner_ticks=True)
        right = max(axes.get_xlim()[1] for axes in panels)
        for axes in panels:
            axes.set_xlim(0, right + 3)  # room for the last figure
        figure.supxlabel(NOTE, size=canvas.SMALL_SIZE)
    return figure


def _draw(axes: Axes, setting: Setting) -> None:
    table, bars = summary(setting), list(_bars(setting))
    for place, (system, name, colour) in enumerate(bars):
        mean, spread = table.loc[system, ("delta_m", "mean")], table.loc[system, ("delta_m", "std")]
        style = {"color": colour, "mec": canvas.INK, "mew": 0.6, "ecolor": canvas.INK, "capsize": 3}
        axes.errorbar(mean, place, xerr=spread, fmt="D" if name == "searched" else "o", markersize=7, **style)
        text = {"textcoords": "offset points", "ha": "center", "size": canvas.SMALL_SIZE}
        axes.annotate(f"{mean:.1f} ± {spread:.1f}", (mean, place), (0, 6), **text)
    axes.set_yticks(range(len(bars)), [name for _, name, _ in bars])
    axes.set_ylim(-0.5, len(bars) - 0.3)
    seeds = int(table.loc[LATENCY_PAIRED, ("delta_m", "count")])
    axes.set_title(f"{len(setting.experiment().tasks)} tasks, {seeds} seeds")
    axes.set_xlabel("gain (Delta_m), %")


def _bars(setting: Setting) -> Iterator[Bar]:
    """From the bottom to the top."""
    by_seed = rows_of(setting).pivot(index="seed", columns="system", values="delta_m")
    taken = slowest(setting, "onnxruntime")
    yield "wider", "no contexts, wider", PLAIN
    yield ASPP, "no contexts, ASPP heads", PLAIN
    yield RANDOM_WITHIN, "random contexts", GREY
    (best,) = best_of(by_seed[uniform_within(by_seed, taken, taken[ASPP])])
    yield best, "best kind for every pair", KINDS[kind_of(best)].colour
    yield LATENCY_PAIRED, "searched", SEARCHED
