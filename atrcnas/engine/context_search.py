"""The search in a training loop of somebody else's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from atrcnas.engine.choice import Choice, build_sampler
from atrcnas.engine.losses import Losses
from atrcnas.ground.errors import ConfigError
from atrcnas.nn.mixture import Mixture
from atrcnas.objectives.averaging import average
from atrcnas.spec.pairs import Pair
from atrcnas.spec.recipe import SearchSpec
from atrcnas.spec.schema import validate
from atrcnas.spec.strategies import STRATEGIES


class ContextSearch:
    """Everything a search adds to a training loop: the draw, the entropy, Adam on the logits, commits.

    .. code-block:: python

        search = ContextSearch(pools, steps=1000)
        while not search.done:
            losses = [{task: ... for task in tasks} for mixture in search.draw()]   # refiner(..., mixture=mixture)
            optimizer.zero_grad()
            search.objective(losses).backward()
            optimizer.step()
            search.step()
        fixed = ContextRefiner(search.chosen(), width)

    Args:
        pools: kinds per pair, those of the searching refiner.
        steps: of the whole search; the schedules end there.
        seed: of the draws; equal in all processes of a distributed training.
        num_kinds: how many kinds a pair may end with, 1 or 2.
        device: of the logits, that of the refiner.
        recipe: further keys of the ``search`` section of an experiment, such as ``estimator``, ``draws``, ``tau``,
            ``entropy_weight``, ``commit_gap``, ``logits_learning_rate`` and ``logits_warm_up``. Those of the weights have
            no effect: the weights are yours.

    Attributes:
        sampler: the logits; ``sampler.probability_table()`` says what they stand for.
        steps_done: 0 at first.

    Raises:
        ConfigError: an unknown key or a value out of range, or one that needs costs.
    """

    def __init__(
        self,
        pools: Mapping[Pair, tuple[str, ...]],
        steps: int,
        *,
        seed: int = 0,
        num_kinds: int = 1,
        device: torch.device | str = "cpu",
        **recipe: Any,
    ) -> None:
        spec = validate(SearchSpec, {"steps": steps, **recipe}, "ContextSearch")
        if not STRATEGIES[spec.strategy].by_gradient:
            raise ConfigError(
                f"ContextSearch: strategy: expected gumbel or darts, got '{spec.strategy}', which trains no logits."
            )
        for key in spec.by_cost:
            raise ConfigError(
                f"ContextSearch: {key}: what contexts cost in a network of your own is not known here. Leave it out."
            )
        self.sampler = build_sampler(pools, spec, seed, num_kinds).to(device)
        self.steps_done = 0
        self._choice = Choice(self.sampler, spec)
        self._drawn: Sequence[Mixture] = ()

    @property
    def done(self) -> bool:
        """Whether all steps have been taken."""
        return self.steps_done >= self._choice.recipe.steps

    def draw(self) -> Sequence[Mixture]:
        """The mixtures of this step: one, or several with the estimator ``paired``, all for the same batch."""
        self._drawn = self._choice.draw(self.steps_done)
        return self._drawn

    def objective(self, losses: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """What weights and logits descend: the mean over the mixtures of the summed losses, and the logits' own terms.

        Args:
            losses: for each drawn mixture, task -> its loss, a scalar with gradient.

        Raises:
            ConfigError: not one mapping for each mixture of :meth:`draw`; or, with several, without every target.
        """
        if isinstance(losses, Mapping | Tensor) or len(losses) != len(self._drawn) or not self._drawn:
            got = type(losses).__name__ if isinstance(losses, Mapping | Tensor) else len(losses)
            raise ConfigError(
                f"losses: expected a list of {len(self._drawn)}, one mapping from task to loss for each mixture, got {got}. "
                "Call draw() first, and compute the losses under each of its mixtures."
            )
        targets = {pair.target for pair in self.sampler.pairs}
        for one in losses:
            if len(losses) > 1 and not targets <= one.keys():
                raise ConfigError(
                    f"losses: expected those of {sorted(targets)}, got those of {sorted(one)}. Add the others."
                )
        total = torch.stack([torch.stack(list(one.values())).sum() for one in losses]).mean()
        return self._choice.objective(self.steps_done, self._drawn, Losses(total, losses))

    def step(self) -> None:
        """Move the logits by their gradient, which is then cleared, and commit the pairs that have decided."""
        choice, step = self._choice, self.steps_done
        if not choice.rests(step):
            average(logits.grad for logits in choice.parameters if logits.grad is not None)
            choice.optimizer.step()
        choice.optimizer.zero_grad()
        choice.after_step(step)
        self.steps_done += 1

    def chosen(self) -> dict[Pair, tuple[str]]:
        """The kind of each pair, as the fixed :class:`ContextRefiner` takes it."""
        return {pair: (kind,) for pair, kind in self.sampler.chosen().items()}

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, from which a search goes on exactly as it would have."""
        return {"steps_done": self.steps_done, **self._choice.state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self._choice.load(state)
        self.steps_done = int(state["steps_done"])
