"""Write the tables of docs/backbones.md from backbones.yaml, by shapes alone: ``python -m analysis.backbones``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from analysis.pages import BACKBONES, write
from atrcnas import ContextConfig, Experiment
from atrcnas.engine.costs import counted, multiply_adds
from atrcnas.engine.networks import fixed_network
from atrcnas.ground.files import read_yaml
from atrcnas.nn.heads import LabelBranch
from atrcnas.nn.net import MultiTaskNet

LISTED: dict[str, Any] = read_yaml(Path(__file__).with_suffix(".yaml"))
SIZE, WIDTH = (128, 160), 64
TASKS = ("semseg", "depth", "normals", "edge")
KINDS = ("linear", "wide", "aspp", "mti", "tlabel", "slabel", "local", "global")
WIDTHS = (32, 64, 128, 256)


def experiment(title: str, weights: str = "none", **sections: Any) -> Experiment:
    """An experiment on rooms with a listed backbone and its recipe.

    Args:
        title: of the backbone.
        weights: as ``backbone.weights``.
        sections: further ones; of search and retrain, what changes in the recipe.
    """
    entry = LISTED["backbones"][title]
    train = LISTED["recipes"][entry["recipe"]]["train"]
    base = {"tasks": list(TASKS), "model": {"width": WIDTH}, "backbone": {**entry["backbone"], "weights": weights}}
    stages = {stage: {**train, **sections.pop(stage, {})} for stage in ("search", "retrain")}
    return Experiment.load({**base, **stages, "data": {"name": "rooms"}, **sections})


def shapes(spec: Experiment, contexts: ContextConfig) -> MultiTaskNet:
    """A fixed network without values."""
    with torch.device("meta"):
        return fixed_network(spec, contexts)


def row(title: str) -> str:
    """A backbone's row: its maps, parameters, multiply-adds of one image, alone and as the baseline of four tasks."""
    entry, net = LISTED["backbones"][title], shapes(experiment(title), ContextConfig.load("baseline"))
    backbone = net.backbone.eval()
    image = torch.empty(1, 3, *SIZE, device="meta")
    with torch.no_grad():
        alone = counted(lambda: backbone(image))
    weights = sum(parameter.numel() for parameter in backbone.parameters())
    branch = LabelBranch(sum(backbone.widths.values()), 40).to("meta").eval()
    features = torch.empty(1, sum(backbone.widths.values()), SIZE[0] // 4, SIZE[1] // 4, device="meta")
    labels = counted(lambda: branch(features))
    strides, widths = sorted(set(backbone.strides.values())), list(backbone.widths.values())
    maps = f"{widths[0]} four times, of stride {strides[0]}" if len(strides) == 1 else ", ".join(map(str, widths))
    cells = [title, f"`{entry['backbone']['name']}`", maps, entry["recipe"], f"{weights / 1e6:.2f} M"]
    cells += [f"{count / 1e9:.2f} G" for count in (alone, multiply_adds(net, SIZE), labels)]
    cells += [str(sum(widths) // 4), entry["sizes"]]
    return f"| {' | '.join(cells)} |"


def table() -> Iterator[str]:
    """All backbones."""
    head = ("backbone", "timm name", "channels at strides 4, 8, 16, 32", "recipe", "parameters", "multiply-adds")
    head += ("baseline", "label branch", "width", "sizes")
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for title in LISTED["backbones"]:
        yield row(title)


def kinds() -> Iterator[str]:
    """What a kind adds to the multiply-adds of a network, for each pair, by the width of task features."""
    yield f"| kind | {' | '.join(f'width {width}' for width in WIDTHS)} |"
    yield "|---|" + "---|" * len(WIDTHS)
    # The narrowest maps there are, so that label branches hardly count.
    small = Experiment.load({"tasks": list(TASKS), "backbone": {"name": "atrcnas_small"}, "data": {"name": "rooms"}})
    specs = [small.replace(model={"width": width}) for width in WIDTHS]
    without = [multiply_adds(shapes(spec, ContextConfig.load("baseline")), SIZE) for spec in specs]
    for kind in KINDS:
        contexts = ContextConfig(schema=1, pairs={"default": kind, "diagonal": "none"})
        num_pairs = len(TASKS) * (len(TASKS) - 1)
        added = [multiply_adds(shapes(spec, contexts), SIZE) - base for spec, base in zip(specs, without, strict=True)]
        yield f"| `{kind}` | {' | '.join(f'{one / num_pairs / 1e9:.3f} G' for one in added)} |"


def recipes() -> Iterator[str]:
    """Each recipe as a part of an experiment, with a backbone that it is for."""
    for name, recipe in LISTED["recipes"].items():
        users = {title: entry for title, entry in LISTED["backbones"].items() if entry["recipe"] == name}
        backbone = {**next(iter(users.values()))["backbone"], "weights": "hub"}
        parts = {"backbone": backbone, "model": {"width": WIDTH}, "retrain": {"steps": 40_000, **recipe["train"]}}
        lines = "\n".join(f"{key}: {_flow(value)}" for key, value in parts.items())
        yield f"**{name}**: {', '.join(users)}. After {recipe['after']}.\n\n```yaml\n{lines}\n```\n"


def _flow(value: Mapping[str, Any]) -> str:
    """YAML on as few lines as it takes."""
    text: str = yaml.safe_dump(dict(value), default_flow_style=True, sort_keys=False, width=110)
    return text.strip().replace("\n", "\n ")


if __name__ == "__main__":
    write(BACKBONES, "recipes", "\n".join(recipes()).strip())
    write(BACKBONES, "backbones", "\n".join(table()))
    write(BACKBONES, "kinds", "\n".join(kinds()))
