"""The rows of the main table: each system is a network, or a search for one."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from analysis.main_table.settings import Setting, of_widths
from atrcnas.contextbench.table import Pools, factored
from atrcnas.costs.choosing import Limits
from atrcnas.costs.table import CostTable
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.pairs import Pair
from atrcnas.spec.space import SearchSpace

BASELINE, SINGLE, MTI = "baseline", "single-task", "mti-net"
LATENCY, ROWS, BLOCKS = "searched-wide-latency", "searched-rows-latency", "uniform-wide-blocks"
LATENCY_PAIRED = f"{LATENCY}-paired"
NEAR = "searched-wide-near"
NEAR_PAIRED = f"{NEAR}-paired"
ASPP, WIDER_ASPP = "aspp-head", "aspp-head-{}"
UNIFORM = tuple(kind.name for kind in KINDS if kind.on_diagonal)
DRAWN = RANDOM, RANDOM_WITHIN = "random", "random-within"  # groups of systems
RANDOM_CONFIGS = 10
FEW_ROWS = 100  # of kinds, of a target: so many are tried one by one
_PAIRED = {"search": {"estimator": "paired"}}


@dataclass(frozen=True)
class System:
    """What is compared.

    Attributes:
        says: one line for the table.
        contexts: the network; None where it is searched.
        changes: sections of the experiment that differ from the bundled one, in the search and in the training.
        searched_with: what differs in the search alone.
    """

    says: str
    contexts: ContextConfig | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    searched_with: Mapping[str, Any] = field(default_factory=dict)


@functools.cache  # asked for by every table and figure of a setting
def systems(setting: Setting) -> Mapping[str, System]:
    """Every system by name, in the order of the table."""
    experiment = setting.experiment()
    pools = SearchSpace.load("wide").pools(experiment.tasks)
    uniform = {f"uniform-{kind}": System(f"{kind} everywhere", _uniform(kind, pools)) for kind in UNIFORM}
    by_label = System("the source's label regions everywhere", ContextConfig.load("uniform-slabel"))
    published = System(f"published config {setting.published}, rows of these tasks", _published(setting, experiment))
    found = {
        **_plain(setting, experiment),
        **uniform,
        **_widened(setting, pools),
        "uniform-slabel": by_label,
        "published": published,
        **_searched(setting, pools),
        **_transferred(experiment),
        **_random(pools),
        **_random_within(setting, pools),
    }
    return {name: found[name] for name in setting.systems or found if name not in setting.left_out}


def fitting_name(width: int, hidden: int) -> str:
    """The system that has `wide` everywhere at these widths of task features and of pooled maps."""
    return f"uniform-wide-{width}-{hidden}"


def group_of(name: str) -> str:
    """What a system is a row of: random configs share one."""
    return name.rpartition("-")[0] if name.startswith(f"{RANDOM}-") else name


def kind_of(name: str) -> str:
    """The kind that a system has everywhere, of its name."""
    return name.removeprefix("uniform-").partition("-")[0]


def _plain(setting: Setting, experiment: Experiment) -> dict[str, System]:
    baseline = ContextConfig.load(BASELINE)
    found = {
        SINGLE: System("a network for each task", ContextConfig.load(SINGLE)),
        BASELINE: System("multi-task baseline, no contexts", baseline),
        "wider": System(f"baseline, task features {setting.wider} wide", baseline, {"model": {"width": setting.wider}}),
        "deeper": System(
            "baseline, task features of two residual blocks", _with_model(baseline, task_features="basic2")
        ),
        ASPP: System("baseline with ASPP heads", ContextConfig.load("aspp-baseline")),
        "pad-net": System(
            "PAD-Net, task features as wide as the others'",
            _with_model(ContextConfig.load("pad-net"), width=experiment.model.width),
        ),
    }
    if setting.wider_aspp is not None:
        says = f"{found[ASPP].says}, task features {setting.wider_aspp} wide"
        changes = {"model": {"width": setting.wider_aspp}}
        found[WIDER_ASPP.format(setting.wider_aspp)] = System(says, found[ASPP].contexts, changes)
    if setting.pyramid:
        found[MTI] = System("MTI-Net, four scales", ContextConfig.load(MTI))
    return found


def _widened(setting: Setting, pools: Pools) -> dict[str, System]:
    found = {}
    if setting.wide is not None:
        says = f"wide everywhere, task features {setting.wide} wide"
        found[f"uniform-wide-{setting.wide}"] = System(says, _uniform("wide", pools), setting.widened)
    if setting.blocks is not None:
        for kind in ("linear", "wide"):  # the cheapest and the best
            says = f"{kind} everywhere, {_widths(setting.blocks)}"
            found[f"uniform-{kind}-blocks"] = System(says, _uniform(kind, pools), setting.within_latency)
    for width, hidden in setting.fitting:
        says = f"wide everywhere, {_widths((width, hidden))}"
        found[fitting_name(width, hidden)] = System(says, _uniform("wide", pools), of_widths(width, hidden))
    return found


def _widths(blocks: tuple[int, int]) -> str:
    return f"task features {blocks[0]} and pooled maps {blocks[1]} wide"


def _searched(setting: Setting, pools: Pools) -> dict[str, System]:
    wide = "wide pool" if setting.wide is None else f"wide pool, task features {setting.wide} wide"
    head = "the ASPP head's multiply-adds"

    def system(says: str, changes: Mapping[str, Any], searched_with: Mapping[str, Any] | None = None) -> System:
        return System(f"searched, {says}", None, changes, searched_with or {})

    def within(budget: Mapping[str, float], **more: Any) -> dict[str, Any]:
        return {"space": "wide", "search": {"budget": budget, **more}}

    few = len(factored(pools)) <= FEW_ROWS
    whole = within({"multiply_adds": setting.aspp_multiply_adds})
    two = {**whole, "space": SearchSpace.load("wide").model_copy(update={"choose": 2}).dump()}
    found = {
        "searched-atrc": system("published pool, by `soft`", {"space": "atrc"}),
        "searched-atrc-paired": system("published pool, by `paired`", {"space": "atrc"}, _PAIRED),
        "searched-wide": system("wide pool, by `soft`", {"space": "wide"}),
        "searched-wide-paired": system("wide pool, by `paired`", {"space": "wide"}, _PAIRED),
        "searched-wide-darts": system("wide pool, by `darts`", {"space": "wide"}, {"search": {"strategy": "darts"}}),
        "searched-dense-paired": system("wide pool and `aspp_dense`, by `paired`", _with("aspp_dense"), _PAIRED),
        "searched-dense-long": system(
            "wide pool and `aspp_dense`, by `paired` in three times the steps",
            _with("aspp_dense"),
            {"search": {**_PAIRED["search"], "steps": 3 * setting.experiment().search.steps}},
        ),
        "searched-wide-two": system(f"wide pool, two kinds a pair, at most {head}", two),
        "searched-wide-two-paired": system(f"wide pool, two kinds a pair, at most {head}, by `paired`", two, _PAIRED),
    }
    if setting.wide is not None:
        found[f"searched-wide-{setting.wide}"] = system(f"{wide}, at most {head}", {**whole, **setting.widened})
    if setting.aspp_latency_ms is not None:
        budget = within({"latency_ms": setting.aspp_latency_ms}, costs=str(setting.costs))
        pool = wide if setting.blocks is None else f"wide pool, {_widths(setting.blocks)}"
        says, changes = f"{pool}, at most the ASPP head's latency in ONNX Runtime", {**budget, **setting.within_latency}
        found[LATENCY] = system(says, changes)
        found[LATENCY_PAIRED] = system(f"{says}, by `paired`", changes, _PAIRED)
        if few:
            found[ROWS] = system(f"{says}, by `rows`", changes, _by_rows(pools))
    if setting.near_baseline_ms is not None:
        budget = within({"latency_ms": setting.near_baseline_ms}, costs=str(setting.plain_costs))
        says = "wide pool, at most 30 % over the baseline's latency in ONNX Runtime"
        found[NEAR] = system(says, budget)
        found[NEAR_PAIRED] = system(f"{says}, by `paired`", budget, _PAIRED)
    if few:
        published = SearchSpace.load("atrc").pools(setting.experiment().tasks)
        found["searched-atrc-rows"] = system("published pool, by `rows`", {"space": "atrc"}, _by_rows(published))
        found["searched-wide-rows"] = system("wide pool, by `rows`", {"space": "wide"}, _by_rows(pools))
    return found


def _with(kind: str) -> dict[str, Any]:
    """The wide pool and one more kind."""
    wide = SearchSpace.load("wide")
    pairs = {rule: (*pool, kind) for rule, pool in wide.pairs.items()}
    return {"space": wide.model_copy(update={"pairs": pairs}).dump()}


def _by_rows(pools: Pools) -> dict[str, Any]:
    """Each of a target's rows of kinds, and the best joined; scored on a tenth of the training images."""
    return {
        "search": {"strategy": "rows", "trials": {"number": len(factored(pools)) + 1}},
        "data": {"selection": 0.1},
    }


def _transferred(experiment: Experiment) -> dict[str, System]:
    """Searched on other data than the network is then trained on."""

    def on(**options: Any) -> dict[str, Any]:
        return {"data": {"options": {**experiment.data.options, **options}}}

    if "train_size" not in experiment.data.options:
        return {}
    half = int(experiment.data.options["train_size"]) // 2
    small = [side * 3 // 4 for side in experiment.data.options["image_size"]]
    return {
        "transfer-half": System(
            "searched (wide pool) on half of the training images", None, {"space": "wide"}, on(train_size=half)
        ),
        "transfer-small": System(
            f"searched (wide pool) on images of {small[0]} x {small[1]}", None, {"space": "wide"}, on(image_size=small)
        ),
    }


def _random(pools: Pools) -> dict[str, System]:
    """Configs drawn evenly from the wide pool, none of them twice and none uniform."""
    draw, found = random.Random(0), list[dict[Pair, str]]()
    while len(found) < RANDOM_CONFIGS:
        kinds = {pair: draw.choice(list(pool)) for pair, pool in pools.items()}
        if kinds not in found and len(set(kinds.values())) > 1:
            found.append(kinds)
    return {
        f"{RANDOM}-{number}": System("random configs of the wide pool", ContextConfig.from_kinds(kinds))
        for number, kinds in enumerate(found)
    }


def _random_within(setting: Setting, pools: Pools) -> dict[str, System]:
    """Those that the strategy `random` trains within the ASPP heads' latency: drawn evenly, too slow ones made to fit."""
    if setting.blocks is None or setting.aspp_latency_ms is None:
        return {}
    says = f"random configs of the wide pool within the ASPP head's latency, {_widths(setting.blocks)}"
    limits = Limits(CostTable.load(setting.costs, pools), {"latency_ms": setting.aspp_latency_ms})
    draw, found = random.Random(0), dict[str, ContextConfig]()
    while len(found) < RANDOM_CONFIGS:
        kinds = limits.nearest({pair: draw.choice(pool) for pair, pool in pools.items()}, pools)
        found.setdefault(" ".join(kinds.values()), ContextConfig.from_kinds(kinds))
    return {
        f"{RANDOM_WITHIN}-{number}": System(says, contexts, setting.within_latency)
        for number, contexts in enumerate(found.values())
    }


def _uniform(kind: str, pools: Pools) -> ContextConfig:
    """Where the pool offers the kind; a kind that it never offers, everywhere."""
    offered = any(kind in pool for pool in pools.values())
    return ContextConfig.from_kinds(
        {pair: kind if kind in pool or not offered else "none" for pair, pool in pools.items()}
    )


def _published(setting: Setting, experiment: Experiment) -> ContextConfig:
    whole = ContextConfig.load(setting.published)
    kinds = whole.kinds(whole.named_tasks)
    here = experiment.tasks
    return ContextConfig.from_kinds(
        {pair: kind for pair, kind in kinds.items() if pair.target in here and pair.source in here}
    )


def _with_model(contexts: ContextConfig, **settings: Any) -> ContextConfig:
    return contexts.model_copy(update={"model": contexts.model.model_copy(update=settings)})
