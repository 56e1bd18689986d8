"""Estimators: which mixtures a search step computes, and how the logits learn from them; see spec/strategies.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from atrcnas.nn.mixture import Mixture
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.recipe import SearchSpec


class Estimator(nn.Module):
    """Base of all estimators. Its buffers are part of the checkpoint; the sampler's are saved separately.

    Args:
        sampler: the logits and the draws of a single mixture.
        recipe: the search section.
    """

    def __init__(self, sampler: Sampler, recipe: SearchSpec) -> None:
        super().__init__()
        self._sampler, self.recipe = (sampler,), recipe  # in a tuple: not a submodule

    @property
    def sampler(self) -> Sampler:
        """The sampler."""
        return self._sampler[0]

    def draw(self, step: int, tau: float) -> Sequence[Mixture]:
        """The mixtures of a step, at least one; a function of (seed, step), equal in every process.

        Args:
            step: 0, 1, ...
            tau: temperature > 0.
        """
        raise NotImplementedError

    def term(self, step: int, mixtures: Sequence[Mixture], parts: Sequence[Mapping[str, Tensor]]) -> Tensor | None:
        """What moves the logits besides the gradient that flows through the mixtures.

        Args:
            step: as in :meth:`draw`.
            mixtures: what was drawn.
            parts: for each mixture, task -> its weighted loss, without gradient.

        Returns:
            A scalar whose gradient with respect to the logits is added; None for nothing.
        """
        return None

    def scale(self) -> Tensor | None:
        """[P], what the logits' objective multiplies the loss by, for each pair; None: it takes the loss as it is."""
        return None

    def after_step(self, step: int) -> None:
        """What happens after a step: by default pairs commit by the sampler's rule."""
        self.sampler.commit()


class Relaxed(Estimator):
    """One mixture per step, which carries the gradient in its weights: ``soft`` and ``sampled``, see :class:`Sampler`."""

    def draw(self, step: int, tau: float) -> Sequence[Mixture]:
        """The sampler's own draw."""
        return (self.sampler.draw(step, tau),)
