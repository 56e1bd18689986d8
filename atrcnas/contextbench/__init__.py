"""ContextBench: tables of trained context configs, to judge a search by what every alternative would have given.

from atrcnas.contextbench import load
bench = load("rooms-small")
bench.query("local.global/global.local")["delta_m.full"]
bench.standing("local.global/global.local").percentile
"""

from atrcnas.contextbench.bench import Bench, Standing, load, table_path

__all__ = ["Bench", "Standing", "load", "table_path"]
