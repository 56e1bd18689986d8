"""atrcnas: search for the right kind of context between every pair of dense prediction tasks.

The public API; names are imported when first used, so that ``import atrcnas`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from atrcnas._version import __version__

if TYPE_CHECKING:
    from atrcnas.deploy.predictor import Predictor
    from atrcnas.engine.context_search import ContextSearch
    from atrcnas.engine.evaluate import evaluate
    from atrcnas.engine.retrain import retrain
    from atrcnas.ground.errors import AtrcnasError
    from atrcnas.launch.search import search
    from atrcnas.nn.mixture import Mixture
    from atrcnas.nn.net import MultiTaskNet
    from atrcnas.nn.relations import ContextRefiner
    from atrcnas.sampling.sampler import Sampler
    from atrcnas.spec.context_config import ContextConfig
    from atrcnas.spec.experiment import Experiment
    from atrcnas.spec.kinds import KINDS, Kind
    from atrcnas.spec.pairs import Pair
    from atrcnas.spec.space import SearchSpace
    from atrcnas.spec.tasks import TASKS, Task

_HOMES = {
    "AtrcnasError": "atrcnas.ground.errors",
    "ContextConfig": "atrcnas.spec.context_config",
    "ContextRefiner": "atrcnas.nn.relations",
    "ContextSearch": "atrcnas.engine.context_search",
    "Experiment": "atrcnas.spec.experiment",
    "KINDS": "atrcnas.spec.kinds",
    "Kind": "atrcnas.spec.kinds",
    "Mixture": "atrcnas.nn.mixture",
    "MultiTaskNet": "atrcnas.nn.net",
    "Pair": "atrcnas.spec.pairs",
    "Predictor": "atrcnas.deploy.predictor",
    "Sampler": "atrcnas.sampling.sampler",
    "SearchSpace": "atrcnas.spec.space",
    "TASKS": "atrcnas.spec.tasks",
    "Task": "atrcnas.spec.tasks",
    "evaluate": "atrcnas.engine.evaluate",
    "retrain": "atrcnas.engine.retrain",
    "search": "atrcnas.launch.search",
}

__all__ = [
    "KINDS",
    "TASKS",
    "AtrcnasError",
    "ContextConfig",
    "ContextRefiner",
    "ContextSearch",
    "Experiment",
    "Kind",
    "Mixture",
    "MultiTaskNet",
    "Pair",
    "Predictor",
    "Sampler",
    "SearchSpace",
    "Task",
    "__version__",
    "evaluate",
    "retrain",
    "search",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'atrcnas' has no attribute '{name}'")
    found = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found
