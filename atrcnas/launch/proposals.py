"""Which library proposes the configs of a search by trials: NNI, or Optuna where NNI cannot be imported."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from atrcnas.ground.errors import RunError
from atrcnas.ground.registry import resolve
from atrcnas.launch.journal import Journal
from atrcnas.spec.strategies import STRATEGIES, Strategy

HEADER = "proposals"


@dataclass(frozen=True)
class Proposals:
    """What proposes configs.

    Attributes:
        library: "nni" or "optuna"; None for a strategy that needs neither.
        explore: the strategy's function, see ``atrcnas/launch/ask_tell.py``.
    """

    library: str | None
    explore: Callable[..., None]

    @property
    def header(self) -> dict[str, str]:
        """What the journal of a search says about it."""
        return {HEADER: self.library} if self.library else {}


def choose(strategy: Strategy, wanted: str) -> Proposals:
    """The library that proposes configs, after a look at whether it can.

    Args:
        strategy: of the search.
        wanted: ``search.trials.proposals``: "auto", "nni" or "optuna".

    Raises:
        RunError: it cannot be imported here; or Optuna has no such strategy.
    """
    ways = _ways(strategy)
    if wanted == "optuna" and list(ways) == ["nni"]:
        raise RunError(
            f"search.trials.proposals: Optuna has nothing like strategy '{strategy.name}'. Choose one of "
            f"{', '.join(each.name for each in STRATEGIES if each.by_optuna)}, or leave proposals out."
        )
    failed: list[str] = []
    for library in [wanted] if wanted in ways else ways:
        explore, needs = ways[library]
        try:
            found = Proposals(library, _imported(explore, needs))
        except Exception as error:  # a package that is broken may raise anything
            failed.append(f"{' and '.join(needs)} ({type(error).__name__}: {error})")
            continue
        if failed:
            print(f"search.strategy: Optuna proposes, as {failed[0]} cannot be imported here.", file=sys.stderr)
        return found
    install = "Run: pip install 'atrcnas[optuna]'" if "optuna" in ways else "Install it"
    raise RunError(
        f"search.strategy: '{strategy.name}' needs {', or '.join(failed)}, which cannot be imported here. "
        f"{install}, or choose gumbel, darts or oneshot-random."
    )


def as_begun(proposals: Proposals, strategy: Strategy, journal: Journal) -> Proposals:
    """Those that a search was begun with: after a change of library, what has been scored would not be asked for again.

    Raises:
        RunError: they cannot be imported here.
    """
    begun = str(journal.header.get(HEADER, "nni"))  # older journals do not say
    if proposals.library in (None, begun):
        return proposals
    if begun not in _ways(strategy):
        raise RunError(f"{journal.path}: expected {HEADER} 'nni' or 'optuna', got {begun!r}. Restore the file.")
    print(f"{journal.path}: this search goes on with the proposals of {begun}, as it began.", file=sys.stderr)
    return choose(strategy, begun)


def _ways(strategy: Strategy) -> dict[str | None, tuple[Any, tuple[str, ...]]]:
    """Library -> function and the modules it needs, in the order of preference."""
    if not any(module.startswith("nni.") for module in strategy.needs):
        return {None: (strategy.explore, strategy.needs)}
    ways: dict[str | None, tuple[Any, tuple[str, ...]]] = {"nni": (strategy.explore, strategy.needs)}
    if strategy.by_optuna:
        ways["optuna"] = (strategy.by_optuna, ("optuna",))
    return ways


def _imported(explore: Any, needs: tuple[str, ...]) -> Callable[..., None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NNI's, about a torch that is newer than it
        for module in needs:
            importlib.import_module(module)
        found: Callable[..., None] = resolve(explore)
    return found
