"""The table of search strategies: what proposes configs, and how they are scored.

A new strategy is one function and one ``STRATEGIES.register(Strategy(...))``, here or in a plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from atrcnas.ground.registry import Registry


@dataclass(frozen=True)
class Strategy:
    """One way to search.

    Attributes:
        name: the word in ``search.strategy``.
        description: one line.
        explore: proposes configs: a function ``(pools, trials, options, seed)``, see ``atrcnas/launch/ask_tell.py``, or its
            ``"module:function"`` string; None: logits are trained with the weights of a supernet.
        score: scores a config with a supernet's weights: a function, see ``atrcnas/launch/supernet.py``, as its
            ``"module:function"`` string; None: each config has a short training of its own.
        needs_selection: scores on the selection part alone, never on the validation split.
        noise: Gumbel noise on the logits, where they are trained.
        needs: modules without which ``explore`` cannot work; tried before a run starts.
        by_optuna: of a strategy by NNI: the same with Optuna in its place, in the form of ``explore``; None: Optuna has
            none.
        estimator: of the logits, where ``search.estimator`` is not given.
    """

    name: str
    description: str
    explore: Any = None
    score: str | None = None
    needs_selection: bool = False
    noise: bool = True
    needs: tuple[str, ...] = ()
    by_optuna: Any = None
    estimator: str = "paired"

    @property
    def defaults(self) -> dict[str, Any]:
        """Of keys of the search section, where they are not given."""
        return {"noise": self.noise, "estimator": self.estimator}

    @property
    def by_gradient(self) -> bool:
        """Whether logits are trained in a supernet, instead of scoring one config after another."""
        return self.explore is None


@dataclass(frozen=True)
class Estimator:
    """How a search by gradient draws its mixtures, and what happens after a step.

    Attributes:
        name: the word in ``search.estimator``.
        description: one line.
        module: a class of ``atrcnas.sampling.estimators.Estimator``'s form, or its ``"module:Class"`` string.
        draws: whether it needs random draws, which the strategy ``darts`` does without.
        defaults: of keys of the search section, where they are not given.
    """

    name: str
    description: str
    module: Any
    draws: bool = True
    defaults: Mapping[str, Any] = field(default_factory=dict)


ESTIMATORS: Registry[Estimator] = Registry("estimator")
_PUBLISHED = {"commit_gap": 0.3, "logits_warm_up": 0.0}
_RELAXED = "atrcnas.sampling.estimators:Relaxed"
ESTIMATORS.register(
    Estimator(
        "paired",
        "several configs on the same batch; each target's pairs learn from the difference of its own loss",
        "atrcnas.sampling.paired:Paired",
    )
)
ESTIMATORS.register(Estimator("soft", "all candidates, weighted", _RELAXED, draws=False, defaults=_PUBLISHED))
ESTIMATORS.register(
    Estimator("sampled", "one candidate per pair, with the gradient of its soft weight", _RELAXED, defaults=_PUBLISHED)
)

_NNI = ("nni.nas.strategy",)

STRATEGIES: Registry[Strategy] = Registry("strategy")
STRATEGIES.register(Strategy("gumbel", "logits trained in a supernet, mixtures drawn with Gumbel noise"))
STRATEGIES.register(
    Strategy("darts", "logits trained in a supernet, mixtures are their plain softmax", noise=False, estimator="soft")
)
STRATEGIES.register(
    Strategy(
        "random",
        "trials of configs drawn evenly",
        explore="atrcnas.launch.strategies:random",
        needs=_NNI,
        by_optuna="atrcnas.launch.optuna_strategies:random",
    )
)
STRATEGIES.register(
    Strategy(
        "evolution",
        "trials of mutated winners; the oldest die (regularized evolution)",
        explore="atrcnas.launch.strategies:evolution",
        needs=_NNI,
        by_optuna="atrcnas.launch.optuna_strategies:evolution",
    )
)
STRATEGIES.register(
    Strategy(
        "tpe",
        "trials where good configs are dense (tree-structured Parzen estimator)",
        explore="atrcnas.launch.strategies:tpe",
        needs=("nni.algorithms.hpo.tpe_tuner",),
        by_optuna="atrcnas.launch.optuna_strategies:tpe",
    )
)
STRATEGIES.register(
    Strategy(
        "asha",
        "trials of configs drawn evenly; after half of the steps the better half trains on",
        explore="atrcnas.launch.asha:asha",
    )
)
STRATEGIES.register(
    Strategy(
        "grid",
        "trials of every config; of a large space, the corner that the number of trials reaches",
        explore="atrcnas.launch.strategies:grid",
        needs=_NNI,
        by_optuna="atrcnas.launch.optuna_strategies:grid",
    )
)
STRATEGIES.register(
    Strategy(
        "rl",
        "trials drawn from a learnt policy (PPO); needs tianshou==0.4.11 and gym==0.26.2",
        explore="atrcnas.launch.strategies:policy",
        needs=(*_NNI, "tianshou.policy", "gym"),
    )
)
STRATEGIES.register(
    Strategy(
        "oneshot-random",
        "configs drawn evenly, scored with the weights of one supernet",
        explore="atrcnas.launch.supernet:evenly",
        score="atrcnas.launch.supernet:score",
    )
)
STRATEGIES.register(
    Strategy(
        "rows",
        "each target's kinds chosen by themselves by validation loss, with the weights of one supernet; then joined",
        explore="atrcnas.launch.rows:rows",
        score="atrcnas.launch.row_scores:score",
        needs_selection=True,
    )
)
