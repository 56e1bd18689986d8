"""The rows of the main table: each system is a network, or a search for one."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from atrcnas.contextbench.table import Pools
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.pairs import Pair
from atrcnas.spec.space import SearchSpace

BASELINE, SINGLE = "baseline", "single-task"
ASPP_MULTIPLY_ADDS = 22488192  # of the baseline with ASPP heads, one image of 64 x 96
WIDER = 88  # task features of this width give the baseline as many
WIDE_SEARCHED = 40  # hidden channels a multiple of 4: with 36, ONNX Runtime takes more than twice the time
UNIFORM = ("none", "linear", "global", "local", "wide", "aspp")
RANDOM_CONFIGS = 10
PUBLISHED = "atrc-nyud-hrnet18"


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


def systems(experiment: Experiment) -> dict[str, System]:
    """Every system by name, in the order of the table."""
    pools = SearchSpace.load("wide").pools(experiment.tasks)
    uniform = {f"uniform-{kind}": System(f"{kind} everywhere", _uniform(kind, pools)) for kind in UNIFORM}
    width = {"model": {"width": WIDE_SEARCHED}}
    widened = System(f"wide everywhere, task features {WIDE_SEARCHED} wide", _uniform("wide", pools), width)
    by_label = System("the source's label regions everywhere", ContextConfig.load("uniform-slabel"))
    published = System("published ATRC config (NYUD-v2, HRNet18-S), rows of these tasks", _published(experiment))
    return {
        **_plain(experiment),
        **uniform,
        f"uniform-wide-{WIDE_SEARCHED}": widened,
        "uniform-slabel": by_label,
        "published": published,
        **_searched(),
        **_transferred(experiment),
        **_random(pools),
    }


def _plain(experiment: Experiment) -> dict[str, System]:
    baseline, width = ContextConfig.load(BASELINE), experiment.model.width
    return {
        SINGLE: System("a network for each task", ContextConfig.load(SINGLE)),
        BASELINE: System("multi-task baseline, no contexts", baseline),
        "wider": System(f"baseline, task features {WIDER} wide", baseline, {"model": {"width": WIDER}}),
        "deeper": System(
            "baseline, task features of two residual blocks", _with_model(baseline, task_features="basic2")
        ),
        "aspp-head": System("baseline with ASPP heads", ContextConfig.load("aspp-baseline")),
        "pad-net": System(
            f"PAD-Net, task features {width} wide like the others'",
            _with_model(ContextConfig.load("pad-net"), width=width),
        ),
    }


def _searched() -> dict[str, System]:
    def within(multiply_adds: int) -> dict[str, Any]:
        return {"space": "wide", "search": {"budget": {"multiply_adds": multiply_adds}}}

    two = SearchSpace.load("wide").model_copy(update={"choose": 2}).dump()
    return {
        "searched-atrc": System("searched, published pool", changes={"space": "atrc"}),
        "searched-wide": System("searched, wide pool", changes={"space": "wide"}),
        f"searched-wide-{WIDE_SEARCHED}": System(
            f"searched, wide pool, task features {WIDE_SEARCHED} wide, at most the ASPP head's multiply-adds",
            changes={**within(ASPP_MULTIPLY_ADDS), "model": {"width": WIDE_SEARCHED}},
        ),
        "searched-wide-two": System(
            "searched, wide pool, two kinds a pair, at most the ASPP head's multiply-adds",
            changes={**within(ASPP_MULTIPLY_ADDS), "space": two},
        ),
        "searched-wide-half": System(
            "searched, wide pool, at most half of the ASPP head's multiply-adds",
            changes=within(ASPP_MULTIPLY_ADDS // 2),
        ),
    }


def _transferred(experiment: Experiment) -> dict[str, System]:
    """Searched on other data than the network is then trained on."""

    def on(**options: Any) -> dict[str, Any]:
        return {"data": {"options": {**experiment.data.options, **options}}}

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
        f"random-{number}": System("a random config of the wide pool", ContextConfig.from_kinds(kinds))
        for number, kinds in enumerate(found)
    }


def _uniform(kind: str, pools: Pools) -> ContextConfig:
    return ContextConfig.from_kinds({pair: kind if kind in pool else "none" for pair, pool in pools.items()})


def _published(experiment: Experiment) -> ContextConfig:
    whole = ContextConfig.load(PUBLISHED)
    kinds = whole.kinds(whole.named_tasks)
    here = experiment.tasks
    return ContextConfig.from_kinds(
        {pair: kind for pair, kind in kinds.items() if pair.target in here and pair.source in here}
    )


def _with_model(contexts: ContextConfig, **settings: Any) -> ContextConfig:
    return contexts.model_copy(update={"model": contexts.model.model_copy(update=settings)})
