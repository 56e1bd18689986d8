"""Which rows a main table is to hold, in the order in which they are trained."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.main_table.settings import Setting
from analysis.main_table.systems import ASPP, BASELINE, BLOCKS, DRAWN, LATENCY, MTI, ROWS, group_of, systems

Entry = tuple[str, int]  # system, seed


def first(setting: Setting) -> list[str]:
    """The systems that answer the question."""
    names = (
        *(BASELINE, ASPP, "searched-wide", LATENCY, ROWS, f"searched-wide-{setting.wide}"),
        *("uniform-wide", f"uniform-wide-{setting.wide}", BLOCKS, "uniform-aspp", "searched-atrc"),
        *("searched-wide-paired", "searched-atrc-paired"),
        *("uniform-none", "uniform-global", "uniform-local", "uniform-slabel", "wider", MTI, "pad-net"),
    )
    known = systems(setting)
    return [name for name in names if name in known]


def plan(setting: Setting) -> list[Entry]:
    """Those that answer the question first, seed by seed, so that what stands is balanced; then the others.

    Each random config has one seed: what is asked is how configs differ.
    """
    names = list(systems(setting))
    drawn = [name for name in names if group_of(name) in DRAWN]
    once = [(name, place % setting.seeds) for place, name in enumerate(drawn)]
    others = [name for name in names if name not in drawn]
    return list(dict.fromkeys([*_by_seed(setting, first(setting)), *once, *_by_seed(setting, others)]))


def _by_seed(setting: Setting, names: Sequence[str]) -> list[Entry]:
    return [
        (name, seed) for seed in range(setting.seeds) for name in names if seed < setting.fewer.get(name, setting.seeds)
    ]
