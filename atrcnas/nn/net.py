"""The one model: baselines, PAD-Net, MTI-Net, ATRC and the supernet are points of its configuration space.

image -> backbone -> neck -> task features F_t (and label logits A_t)          per level, coarse to fine; the backbone may
                                                                               be a tree, with a neck at each leaf
      -> for every pair (t <- s): kind(s) -> mixture -> fuse -> refine         ContextRefiner, per level
      -> head per task -> predictions at the image's size
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from atrcnas.ground.errors import ConfigError
from atrcnas.nn.backbone import Backbone
from atrcnas.nn.blocks import ConvBN, resize
from atrcnas.nn.encoder_tree import Group, PerLeaf, branch_name, build_encoder
from atrcnas.nn.heads import Head, LabelBranch, TaskFeatures, predictor
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.named import Named
from atrcnas.nn.pretrained import Pretrained
from atrcnas.nn.propagate import Propagate
from atrcnas.nn.relations import ContextRefiner, label_tasks
from atrcnas.spec.branches import Branches
from atrcnas.spec.model import BackboneSpec, ModelSpec
from atrcnas.spec.pairs import BASE_LEVEL, Pair
from atrcnas.spec.tasks import Task

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass
class Outputs:
    """The result of one forward pass.

    Attributes:
        predictions: task -> [B, channels, H, W], raw (before decoding), at the image's size.
        labels: (task, level) -> [B, K, h, w] label logits, at feature size.
        initial: (task, level) -> [B, channels, h, w] deeply supervised initial predictions, at feature size.
    """

    predictions: dict[str, Tensor]
    labels: dict[tuple[str, int], Tensor] = field(default_factory=dict)
    initial: dict[tuple[str, int], Tensor] = field(default_factory=dict)


@dataclass
class Encoded:
    """What a forward pass has computed before any context is pooled.

    Attributes:
        size: height and width of the image.
        valid: [B, 1, H, W] bool, False where the image is padding; None if all is image.
        features: level, coarse to fine -> task -> [B, C, h, w].
        labels: as in :class:`Outputs`.
        initial: as in :class:`Outputs`.
        maps: of the backbone, of all leaves where it is a tree.
    """

    size: tuple[int, ...]
    valid: Tensor | None
    features: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    labels: dict[tuple[str, int], Tensor] = field(default_factory=dict)
    initial: dict[tuple[str, int], Tensor] = field(default_factory=dict)
    maps: tuple[Tensor, ...] = ()

    def mask(self, level: int) -> Tensor | None:
        """``valid`` at the size of a level's maps."""
        return None if self.valid is None else self.valid[..., ::level, ::level]


class MultiTaskNet(nn.Module, Pretrained):
    """Multi-task network over one backbone; searching or fixed by what ``candidates`` holds.

    Args:
        tasks: records of the predicted tasks, by name.
        candidates: the kinds each pair may use: one each in a fixed network, several in the supernet. Empty: no pairs.
        backbone: timm backbone.
        model: neck, task features, fusion, head.
        auxiliary: records of tasks that give context but are not predicted.
        built: a backbone that is there already, used in place of a new one; it has its ``widths``.

    Raises:
        ConfigError: see :func:`build_encoder` and :class:`ContextRefiner`; or a training batch too small for BatchNorm.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        candidates: Mapping[Pair, Sequence[str]],
        backbone: BackboneSpec | None = None,
        model: ModelSpec | None = None,
        auxiliary: Mapping[str, Task] | None = None,
        built: Backbone | None = None,
    ) -> None:
        super().__init__()
        backbone, model = backbone or BackboneSpec(), model or ModelSpec()
        everyone = {**tasks, **(auxiliary or {})}
        self.tasks, self.all_tasks, self.model = tuple(tasks), tuple(everyone), model
        self.records = dict(tasks)
        self.auxiliary, self.backbone_spec = dict(auxiliary or {}), backbone
        self.register_buffer("image_mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("image_std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        self.image_mean: Tensor
        self.image_std: Tensor
        self.backbone = build_encoder(backbone, model.branches, self.all_tasks) if built is None else built
        self.leaves = Branches.of(model.branches, self.all_tasks).leaves
        self.coarsest = max(self.backbone.widths)
        concat = model.neck == "concat"
        inputs = {BASE_LEVEL: sum(self.backbone.widths.values())} if concat else self.backbone.widths
        base = model.width or max(inputs[BASE_LEVEL] // 4, 1)
        self.widths = {BASE_LEVEL: base} if concat else dict(inputs)
        self.levels = tuple(self.widths)
        neck_conv = ConvBN(inputs[BASE_LEVEL], inputs[BASE_LEVEL]) if model.neck_conv else nn.Identity()
        self.neck_conv = neck_conv if len(self.leaves) == 1 else PerLeaf(neck_conv, self.leaves)
        self.stems: Named[TaskFeatures] = Named()
        self.labels: Named[nn.ModuleDict] = Named()
        self.initial: Named[nn.ModuleDict] = Named()
        self.propagate: Named[Propagate] = Named()
        self.refiners: Named[ContextRefiner] = Named()
        self._check_levels(candidates, backbone.name)
        for level in self.levels:
            self._build_level(level, inputs[level], everyone, candidates)
        self.heads: Named[Head] = Named(
            {name: Head(model.head, self.widths, task.num_channels) for name, task in tasks.items()}
        )

    def _check_levels(self, candidates: Iterable[Pair], backbone: str) -> None:
        missing = sorted({pair.level for pair in candidates} - set(self.levels))
        if missing:
            raise ConfigError(
                f"levels {missing}: expected some of {list(self.levels)}, which neck: {self.model.neck} has with backbone "
                f"'{backbone}'. Leave the others out, or choose another backbone."
            )

    def _build_level(
        self, level: int, in_width: int, tasks: Mapping[str, Task], candidates: Mapping[Pair, Sequence[str]]
    ) -> None:
        model, width, key = self.model, self.widths[level], str(level)
        coarser = [self.widths[other] for other in self.levels if other > level]
        carried = coarser[0] if model.propagate and coarser else 0
        if model.task_features != "none":
            self.stems[key] = TaskFeatures(model.task_features, tasks, in_width + carried, width)
        if model.deep_supervision:
            self.initial[key] = nn.ModuleDict(
                {name: predictor(width, task.num_channels) for name, task in tasks.items()}
            )
        if model.propagate and level != self.levels[0]:
            self.propagate[key] = Propagate(list(tasks), width)
        here = {pair: kinds for pair, kinds in candidates.items() if pair.level == level}
        if here:
            self.refiners[key] = ContextRefiner(
                here, width, hidden=model.hidden, fuse=model.fuse, refine=model.refine, dropout=model.dropout
            )
            self.labels[key] = nn.ModuleDict(
                {name: LabelBranch(in_width, tasks[name].num_labels) for name in label_tasks(here)}
            )

    @property
    def searching(self) -> bool:
        """Whether any pair still has several kinds."""
        return any(refiner.searching for refiner in self.refiners.values())

    @property
    def candidates(self) -> dict[Pair, tuple[str, ...]]:
        """The kinds each pair may use, over all levels."""
        return {pair: kinds for refiner in self.refiners.values() for pair, kinds in refiner.candidates.items()}

    def forward(self, image: Tensor, valid: Tensor | None = None, mixture: Mixture | None = None) -> Outputs:
        """Predict all tasks.

        Args:
            image: [B, 3, H, W], RGB in [0, 1] (float) or [0, 255] (uint8); any size.
            valid: [B, 1, H, W] bool, False where the image is padding; None if all is image.
            mixture: weights of the candidates; None for a fixed network.
        """
        encoded = self.encode(image, valid, mixture)
        return Outputs(self.decode(encoded, mixture), encoded.labels, encoded.initial)

    def encode(self, image: Tensor, valid: Tensor | None = None, mixture: Mixture | None = None) -> Encoded:
        """The part of :meth:`forward` up to task features and label logits; of the mixture it reads ``copies`` alone."""
        self._check_statistics(image)
        # With copies, the backbone is a BranchSupernet.
        copies = () if mixture is None or mixture.copies is None else (mixture.copies,)
        found = self.backbone(self._prepare(image, valid), *copies)
        leaves = dict(zip(self.leaves, [found] if len(self.leaves) == 1 else found, strict=True))
        necks = {leaf: self._neck(leaf, maps) for leaf, maps in leaves.items()}
        every = tuple(one for maps in leaves.values() for one in maps.values())
        encoded = Encoded(tuple(image.shape[-2:]), valid, maps=every)
        carried: dict[str, Tensor] | None = None
        for level in reversed(self.levels):
            features = {leaf: neck[level] for leaf, neck in necks.items()}
            own = encoded.features[level] = self._task_features(level, features, carried)
            for name, module in self._part(self.initial, level).items():
                encoded.initial[name, level] = module(own[name])
            for name, branch in self._part(self.labels, level).items():
                encoded.labels[name, level] = branch(next(x for leaf, x in features.items() if name in leaf))
            key = str(level)
            carried = self.propagate[key](own) if key in self.propagate else None
        return encoded

    def decode(self, encoded: Encoded, mixture: Mixture | None = None) -> dict[str, Tensor]:
        """The part of :meth:`forward` that depends on the mixture: task -> [B, channels, H, W], raw."""
        return next(self.decode_each(encoded, (mixture,)))

    def decode_each(self, encoded: Encoded, mixtures: Sequence[Mixture | None]) -> Iterator[dict[str, Tensor]]:
        """As :meth:`decode` under each of ``mixtures``; contexts that several of them use are pooled once.

        Hooks of a refiner are called where there is one mixture.
        """
        refined: list[dict[int, dict[str, Tensor]]] = [{} for _ in mixtures]
        for level, own in encoded.features.items():
            each: list[dict[str, Tensor]] = [{} for _ in mixtures]
            if str(level) in self.refiners:
                labels = {name: logits for (name, at), logits in encoded.labels.items() if at == level}
                refiner, mask = self.refiners[str(level)], encoded.mask(level)
                if len(mixtures) > 1:
                    each = refiner.refine_each(own, labels, mask, mixtures)
                else:  # a call, which hooks see
                    each = [refiner(own, labels, mask, mixtures[0])]
            for maps, found in zip(refined, each, strict=True):
                maps[level] = {**own, **found}
        mask = encoded.mask(BASE_LEVEL)
        for maps in refined:
            yield {
                task: resize(self.heads[task]({level: maps[level][task] for level in self.levels}, mask), encoded.size)
                for task in self.tasks
            }

    def _check_statistics(self, image: Tensor) -> None:
        stride, (batch, _, height, width) = self.coarsest, image.shape
        if self.training and batch == 1 and max(height, width) <= stride:
            raise ConfigError(
                f"BatchNorm needs more than one value of a channel at stride {stride}; got a batch of one image of at most "
                f"{stride}x{stride} pixels. Train with a larger batch_size or crop_size."
            )

    def _prepare(self, image: Tensor, valid: Tensor | None) -> Tensor:
        if not image.is_floating_point():
            image = image.to(self.image_mean.dtype) / 255
        image = (image - self.image_mean) / self.image_std
        if valid is not None:
            image = image * valid.to(image.dtype)
        return image.contiguous(memory_format=torch.channels_last)

    def _neck(self, leaf: Group, maps: dict[int, Tensor]) -> dict[int, Tensor]:
        if self.model.neck == "pyramid":
            return maps
        conv = self.neck_conv.branches[branch_name(leaf)] if isinstance(self.neck_conv, PerLeaf) else self.neck_conv
        size = maps[BASE_LEVEL].shape[-2:]
        return {BASE_LEVEL: conv(torch.cat([resize(maps[level], size) for level in maps], dim=1))}

    def _task_features(
        self, level: int, features: dict[Group, Tensor], carried: dict[str, Tensor] | None
    ) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for leaf, x in features.items():
            plain = str(level) not in self.stems
            found |= dict.fromkeys(leaf, x) if plain else self.stems[str(level)](x, carried, leaf)
        return {task: found[task] for task in self.all_tasks}

    def _part(self, parts: Named[nn.ModuleDict], level: int) -> dict[str, nn.Module]:
        return dict(parts[str(level)].items()) if str(level) in parts else {}
