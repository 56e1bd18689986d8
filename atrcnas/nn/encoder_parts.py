"""A timm feature extractor as a sequence of parts, each of which reads what the one before gives, to be cut between them.

Branching points are named alike for all models: ``stem`` (before the first layer), ``stage1``, ``stage2``, ... (before the
layers that lead to each of timm's stages) and ``stage3.2`` (before the second block of the third stage).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from timm.models import FeatureListNet
from timm.models.convnext import ConvNeXtStage
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.hrnet import HighResolutionNetFeatures
from timm.models.mobilenetv3 import MobileNetV3Features
from timm.models.swin_transformer import SwinTransformerStage
from torch import Tensor, nn

from atrcnas.ground.errors import ConfigError
from atrcnas.spec.branches import STEM
from atrcnas.spec.pairs import BASE_LEVEL

State = Tensor | list[Tensor]  # a list in HRNet, of the maps of its parallel branches
Reached = tuple[State, list[Tensor]]  # what the next part reads, and the maps of the feature extractor so far


class Part(NamedTuple):
    """One module of the sequence.

    Attributes:
        module: its name in the feature extractor.
        point: the branching point before it; None if tasks cannot part there.
        gives: which of its maps (only HRNet's last part has several) are maps of the feature extractor.
    """

    module: str
    point: str | None
    gives: tuple[int, ...] = ()


def parts_of(body: nn.Module, name: str) -> tuple[Part, ...]:
    """The parts of a feature extractor in the order in which they run.

    Args:
        body: from timm, with ``features_only``.
        name: of the model, for the message.

    Raises:
        ConfigError: it is no such sequence.
    """
    if isinstance(body, HighResolutionNetFeatures) and body.incre_modules is None:
        found = _stages(_hrnet_stages(body), body, ())
        maps = tuple(index - 1 for index in sorted(body._out_idx))
        return (*found[:-1], found[-1]._replace(gives=maps))
    if isinstance(body, EfficientNetFeatures | MobileNetV3Features) and body.feature_hooks is None:
        stages = [[f"blocks.{index}"] for index in range(len(body.blocks))]
        stem = [child for child, _ in body.named_children() if child != "blocks"]
        return _stages([stem, *stages], body, {f"blocks.{stage - 1}" for stage in body._stage_out_idx})
    if isinstance(body, FeatureListNet):
        return _stages(_listed_stages(body), body, set(body.return_layers))
    raise ConfigError(
        f"branches: backbone '{name}' is no sequence of stages that can be cut. Choose a convolutional one or a "
        "Swin transformer, or remove model.branches and search.branches."
    )


def points_of(parts: tuple[Part, ...]) -> tuple[str, ...]:
    """The branching points, from the image on."""
    return tuple(part.point for part in parts if part.point is not None)


def maps_of(state: State) -> list[Tensor]:
    """The maps that a part gives, one or several."""
    return state if isinstance(state, list) else [state]


def run_part(module: nn.Module, gives: Iterable[int], reached: Reached) -> Reached:
    """Run a part on what was reached before it.

    Args:
        module: the part's.
        gives: as in :class:`Part`.
        reached: left as it is.
    """
    before, maps = reached
    after = _after(module, before)
    several = maps_of(after)
    return after, [*maps, *(several[index] for index in gives)]


def _after(module: nn.Module, state: State) -> State:
    if not isinstance(module, nn.ModuleList):
        return module(state)
    # HRNet between two stages: a branch goes on as it is, or is made from the coarsest there is.
    maps = maps_of(state)
    return [maps[i] if isinstance(one, nn.Identity) else one(maps[-1]) for i, one in enumerate(module)]


def _hrnet_stages(body: nn.Module) -> list[list[str]]:
    stem = ["conv1", "bn1", "act1", "conv2", "bn2", "act2"]
    return [stem, ["layer1"], *([f"transition{stage - 1}", f"stage{stage}"] for stage in (2, 3, 4))]


def _listed_stages(body: Any) -> list[list[str]]:
    """Of timm's list of modules: a stage ends with a map of stride 4 or more, and what lies before the first is the stem."""
    ends = {info["module"].replace(".", "_") for info in body.feature_info.info if info["reduction"] >= BASE_LEVEL}
    stages: list[list[str]] = [[]]
    for child in body:
        if child in ends and len(stages) == 1:
            stages.append([])
        stages[-1].append(child)
        if child in ends:
            stages.append([])
    return [stages[0], *filter(None, stages[1:])]


def _stages(stages: list[list[str]], body: nn.Module, giving: Collection[str]) -> tuple[Part, ...]:
    """Parts of the stem, ``stages[0]``, and of each stage, whose last module is taken apart into its blocks."""
    found = [Part(module, STEM if place == 0 else None) for place, module in enumerate(stages[0])]
    for number, (*before, last) in enumerate(stages[1:], start=1):
        entry, blocks = _blocks(last, body.get_submodule(last))
        points = [f"stage{number}.{place}" for place in range(2, len(blocks) + 1)]
        first, *rest = [*before, *entry, *blocks]
        inner = [None] * (len(rest) - len(points)) + points
        parts = [Part(first, f"stage{number}"), *(Part(*part) for part in zip(rest, inner, strict=True))]
        found += [*parts[:-1], parts[-1]._replace(gives=(0,) if last in giving else ())]
    return tuple(found)


def _blocks(name: str, stage: nn.Module) -> tuple[list[str], list[str]]:
    """What comes first in a stage, and its blocks; the whole stage is one block if it is no plain sequence of them."""
    if isinstance(stage, ConvNeXtStage | SwinTransformerStage):
        return [f"{name}.downsample"], [f"{name}.blocks.{index}" for index in range(len(stage.blocks))]
    if isinstance(stage, nn.Sequential) and all(list(block.children()) for block in stage):
        return [], [f"{name}.{child}" for child, _ in stage.named_children()]
    return [], [name]
