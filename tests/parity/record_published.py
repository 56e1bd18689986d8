"""Record what the published networks predict, by running the public code of ATRC and of MTI-Net.

    python tests/parity/record_published.py ATRC_DIR MTI_NET_DIR

with checkouts of github.com/brdav/atrc and github.com/SimonVandenhende/Multi-Task-Learning-PyTorch. Their networks are
filled by name (``cases.filled``), run in double precision in evaluation mode, and asked for every case in ``cases.CASES``.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from cases import CASES, CHANNELS, FIXTURE, LABELS, Case, filled, image_of, sampled
from safetensors.torch import save_file
from torch import Tensor, nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WIDTHS = [18, 36, 72, 144]


def fill(module: nn.Module) -> nn.Module:
    """Fill by name; evaluation mode."""
    module.double()
    for part in module.modules():
        nn.Module.train(part, False)  # one class there returns nothing from its own
        part.training = False
    state = {name: value for name, value in module.state_dict().items() if value.is_floating_point()}
    module.load_state_dict({name: filled(name, value.shape) for name, value in state.items()}, strict=False)
    return module


class Atrc(nn.Module):
    """Backbone and head, under the names of a published checkpoint."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        from model.backbones.hrnet import hrnetv2p_w18_s
        from model.heads.fcn import FCNHead
        from model.heads.relationalcontext import RelationalContextHead

        settings = {
            "tasks": list(case.tasks),
            "task_channel_mapping": {task: {"final": CHANNELS[task], "aux": LABELS[task]} for task in case.tasks},
            "in_index": [0, 1, 2, 3],
            "idx_to_planes": dict(enumerate(WIDTHS)),
        }
        self.backbone = hrnetv2p_w18_s()
        plain = case.network == "baseline"
        self.head = FCNHead(**settings) if plain else RelationalContextHead(atrc_genotype=case.genotype, **settings)

    def forward(self, image: Tensor) -> Iterator[tuple[str, Tensor]]:
        out = self.head(self.backbone(image), image.shape[-2:], image=image)
        yield from out["final"].items()
        yield from ((f"labels.{task}", logits) for task, logits in out.get("aux", {}).items())


class Distilling(nn.Module):
    """MTI-Net or PAD-Net over HRNet18-S."""

    def __init__(self, case: Case, root: Path) -> None:
        super().__init__()
        from models.mti_net import MTINet
        from models.padnet import PADNet
        from models.seg_hrnet import HighResolutionFuse, HighResolutionHead, HighResolutionNet

        backbone = HighResolutionNet(yaml.safe_load((root / "models/model_info/hrnet_w18.yml").read_text()))
        names = types.SimpleNamespace(NAMES=list(case.tasks), NUM_OUTPUT=CHANNELS)
        everyone = types.SimpleNamespace(NAMES=list(case.everyone), NUM_OUTPUT=CHANNELS)
        settings = types.SimpleNamespace(TASKS=names, AUXILARY_TASKS=everyone)
        if case.network == "pad-net":
            fused = nn.Sequential(backbone, HighResolutionFuse(WIDTHS, 256))
            self.net = PADNet(settings, fused, sum(WIDTHS))
        else:
            heads = nn.ModuleDict({task: HighResolutionHead(WIDTHS, CHANNELS[task]) for task in case.tasks})
            self.net = MTINet(settings, backbone, WIDTHS, heads)
        self.case = case

    def forward(self, image: Tensor) -> Iterator[tuple[str, Tensor]]:
        out: dict[str, Any] = self.net(image)
        yield from ((task, out[task]) for task in self.case.tasks)
        for task in self.case.everyone:
            if self.case.network == "pad-net":
                yield f"initial.{task}.4", out[f"initial_{task}"]
            else:
                scales = out["deep_supervision"]
                yield from ((f"initial.{task}.{4 << i}", scales[f"scale_{i}"][task]) for i in range(4))


def main(atrc: Path, mti: Path) -> None:
    """Write the fixture."""
    sys.path[:0] = [str(atrc / "src"), str(mti)]
    # Of what they use, what no network here needs and what libraries no longer have.
    vars(np)["int"] = int
    sys.modules["termcolor"] = types.SimpleNamespace(colored=str)
    sys.modules["torchvision.models.utils"] = types.SimpleNamespace(load_state_dict_from_url=None)
    mean, std = (torch.tensor(values).double().view(3, 1, 1) for values in (MEAN, STD))  # rounded, as a network's are
    found: dict[str, Tensor] = {}
    for case in CASES:
        net = fill(Atrc(case) if case.network in ("atrc", "baseline") else Distilling(case, mti))
        with torch.no_grad():
            for name, value in net((image_of(case) - mean) / std):
                found[f"{case.name}.{name}"] = sampled(value)
                print(f"{case.name}.{name}", tuple(value.shape), f"sd {value.std().item():.3g}")
    save_file(found, FIXTURE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
