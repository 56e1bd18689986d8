"""Networks that travel as a folder or by the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from huggingface_hub import ModelCard, ModelHubMixin

from atrcnas.ground.registry import resolve

# It lies above this room, since the card shows scores and figures; so it is found by name when it is first used.
_HOME = "atrcnas.deploy.pretrained"


class Pretrained(ModelHubMixin, library_name="atrcnas", tags=["computer-vision", "multi-task-learning"]):
    """``save_pretrained``, ``from_pretrained`` and ``push_to_hub`` of a fixed network.

    Attributes:
        origin: what is known of the network besides its weights: scores, class names, recipe, licence; None of one
            that was built here.
    """

    origin: Any = None

    @classmethod
    def from_run(cls, run: str | Path, licence: str | None = None) -> Self:
        """The retrained network of a run folder, with all that its model card will say.

        Args:
            run: the folder; ``plugins`` of its experiment are imported.
            licence: of the weights, an identifier of the Hub such as ``cc-by-nc-4.0``; None: the card says that it is not
                given.

        Raises:
            RunError: no run folder, or not retrained and scored yet.
            CheckpointError: the weights are damaged.
        """
        loaded: Self = resolve(f"{_HOME}:from_run")(Path(run), licence)
        return loaded

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **hub: Any) -> Self:
        """A network from a folder of :meth:`save_pretrained`, or from the Hub; nothing that it brings is executed.

        Args:
            pretrained_model_name_or_path: the folder, or ``owner/name`` on the Hub where no such path exists.
            hub: ``revision``, ``token``, ``cache_dir``, ``force_download`` and ``local_files_only`` of
                ``huggingface_hub.hf_hub_download``.

        Returns:
            In evaluation mode, on the CPU.

        Raises:
            CheckpointError: missing, damaged, not from atrcnas, or not to be had from the Hub.
            ConfigError: it names a kind, task or backbone that is not registered here.
        """
        loaded: Self = resolve(f"{_HOME}:load")(pretrained_model_name_or_path, **hub)
        return loaded

    def _save_pretrained(self, save_directory: Path) -> None:
        resolve(f"{_HOME}:save")(self, save_directory)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The card as text: tasks, scores, contexts, recipe, how to use it."""
        return ModelCard(resolve("atrcnas.deploy.model_card:card_text")(self))
