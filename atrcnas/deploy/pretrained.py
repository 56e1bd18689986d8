"""Saving a fixed network as a folder that travels, and loading it: safetensors and JSON, nothing that is executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from atrcnas._version import __version__
from atrcnas.deploy.hub import CONFIG, HEATMAP, WEIGHTS, find_folder
from atrcnas.deploy.metadata import MAX_BYTES, Metadata
from atrcnas.deploy.predictor import validation_size
from atrcnas.engine.checkpoints import read_weights, save_weights
from atrcnas.engine.networks import load_network
from atrcnas.ground.errors import AtrcnasError, CheckpointError, ConfigError, ExportError
from atrcnas.ground.files import nan_to_null, write_json
from atrcnas.ground.opening import read_regular
from atrcnas.nn.net import MultiTaskNet
from atrcnas.plots.canvas import save as save_figure
from atrcnas.plots.contexts import draw_heatmap
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.results import read_results
from atrcnas.spec.context_config import ContextConfig, Provenance
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.model import BackboneSpec, ModelSpec
from atrcnas.spec.pairs import Pair
from atrcnas.spec.schema import Int, Spec, validate
from atrcnas.spec.tasks import Task

_HINT = "Save it again with `atrcnas pack`."


class Origin(Spec):
    """What a run knows of its network besides the weights; ``None`` where it is not known."""

    experiment: str
    data: str = Field(description="name of the data set")
    size: tuple[Int, Int] | None = Field(description="height, width to which validation resized images, pixels")
    max_pixels: Int | None = Field(description="of a validation image, where they are not resized")
    scores: dict[str, dict[str, float | None]] = Field(description="on the validation split")
    parameters: Int
    multiply_adds: Int
    recipe: dict[str, Any] = Field(description="sections of the experiment, without paths of the machine")
    provenance: Provenance = Field(description="of the contexts")
    licence: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9.-]{0,60}$")


class Config(Spec):
    """config.json: all that a network is built from, checked before any of it is used."""

    library_name: Literal["atrcnas"] = "atrcnas"
    schema_version: Literal[1] = Field(default=1, alias="schema")
    version: str = Field(default=__version__, max_length=100, description="of the atrcnas that wrote it")
    tasks: dict[str, Task]
    auxiliary_tasks: dict[str, Task] = {}
    contexts: dict[str, str] = Field(description="pair -> kind, such as depth<-semseg: local")
    backbone: BackboneSpec
    model: ModelSpec
    origin: Origin | None = None

    @model_validator(mode="after")
    def _tasks_usable(self) -> Self:
        Metadata(tasks={**self.tasks, **self.auxiliary_tasks}, height=1, width=1)
        return self

    @classmethod
    def of(cls, net: MultiTaskNet) -> Config:
        """That of a fixed network.

        Raises:
            ExportError: it is still searching.
        """
        if net.searching:
            raise ExportError("expected a fixed network, got a supernet. Retrain its context config first.")
        return cls(
            tasks=net.records,
            auxiliary_tasks=net.auxiliary,
            contexts={str(pair): kinds[0] for pair, kinds in net.candidates.items()},
            # The weights travel in the file; those that training began with are of no use, and may be a path.
            backbone=net.backbone_spec.model_copy(update={"weights": "none"}),
            model=net.model,
            origin=net.origin,
        )

    @classmethod
    def read(cls, path: Path) -> Config:
        """Read the file.

        Raises:
            CheckpointError: missing, larger than 1 MB, or not a configuration of ours.
        """
        try:
            return validate(cls, json.loads(read_regular(path, MAX_BYTES)), str(path))
        except ConfigError as error:
            raise CheckpointError(f"{error} {_HINT}") from error
        except OSError as error:
            raise CheckpointError(f"{path}: cannot read it ({error.strerror}). {_HINT}") from error
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path}: expected JSON, got something else ({error!s:.100}). {_HINT}") from error

    def kinds(self) -> dict[Pair, str]:
        """The kind of each pair."""
        return {Pair.parse(pair): kind for pair, kind in self.contexts.items()}

    def context_config(self) -> ContextConfig | None:
        """The contexts in the form of contexts.yaml; None of a network without pairs."""
        provenance = self.origin.provenance if self.origin else None
        model = self.model.model_dump(exclude_defaults=True)
        return ContextConfig.from_kinds(self.kinds(), model, provenance) if self.contexts else None

    def build(self) -> MultiTaskNet:
        """The network, with weights that are not trained."""
        candidates = {pair: (kind,) for pair, kind in self.kinds().items()}
        backbone = self.backbone.model_copy(update={"weights": "none"})  # whatever the file says: no path, no download
        net = MultiTaskNet(self.tasks, candidates, backbone, self.model, self.auxiliary_tasks)
        net.origin = self.origin
        return net


def save(net: MultiTaskNet, folder: Path) -> None:
    """Write configuration, weights and heat map; the card is written by ``save_pretrained`` itself.

    Raises:
        ExportError: the network is still searching.
    """
    config = Config.of(net)
    write_json(folder / CONFIG, nan_to_null(config.model_dump(by_alias=True, mode="json")))
    save_weights(net, folder / WEIGHTS, _facts(config))
    contexts = config.context_config()
    if contexts is not None:
        contexts.save(folder / "contexts.yaml")
        save_figure(draw_heatmap(contexts), folder / HEATMAP)


def _facts(config: Config) -> Mapping[str, str]:
    """What the weights' file says of itself; safetensors allows text only."""
    return {
        "format": "pt",
        "atrcnas": config.version,
        "tasks": ", ".join(config.tasks),
        "contexts": json.dumps(config.contexts),
    }


def load(source: str | Path, **hub: Any) -> MultiTaskNet:
    """See :meth:`~atrcnas.nn.pretrained.Pretrained.from_pretrained`."""
    folder = find_folder(source, **hub)
    config = Config.read(folder / CONFIG)
    try:
        net = config.build()
    except (ConfigError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder / CONFIG}: no network can be built from it ({error!s:.300}). {_HINT}"
        ) from error
    try:
        net.load_state_dict(read_weights(folder / WEIGHTS))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{folder / WEIGHTS}: of another network than {CONFIG} says ({reason}). {_HINT}"
        ) from error
    return net.eval()


def pack(run: Path, out: Path, licence: str | None = None) -> Path:
    """Save the retrained network of a run into the folder ``out``.

    Raises:
        AtrcnasError: not retrained and scored yet, or ``out`` cannot be written.
    """
    net = from_run(run, licence)
    try:
        net.save_pretrained(out)
    except OSError as error:
        raise AtrcnasError(f"{out}: cannot write here ({error.strerror or error}). Choose another folder.") from error
    return out


def from_run(run: Path, licence: str | None) -> MultiTaskNet:
    """See :meth:`~atrcnas.nn.pretrained.Pretrained.from_run`."""
    folder = RunFolder(run)
    experiment, net, results = folder.load_experiment(), load_network(folder), read_results(run)
    size, max_pixels = validation_size(folder, experiment, net)
    origin = {
        "experiment": experiment.name,
        "data": experiment.data.name,
        "size": size,
        "max_pixels": max_pixels,
        "scores": nan_to_null(results["scores"]),
        "parameters": results["costs"]["parameters"],
        "multiply_adds": results["costs"]["multiply_adds"],
        "recipe": _recipe(experiment),
        "provenance": folder.load_contexts().provenance,
        "licence": licence,
    }
    net.origin = validate(Origin, origin, "licence")
    return net


def _recipe(experiment: Experiment) -> dict[str, Any]:
    """How it was trained; paths and addresses of the machine stay where they are."""
    dumped = experiment.dump()
    data = {key: value for key, value in dumped["data"].items() if key != "options"}
    weights = dumped["backbone"]["weights"]
    backbone = {**dumped["backbone"], "weights": weights if weights in ("none", "hub") else "a file"}
    return {key: dumped[key] for key in ("seed", "retrain", "precision")} | {"data": data, "backbone": backbone}
