"""One of everything that a plugin can add, as a user would write it: this file, and `plugins: [toys]` in the experiment."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from pydantic import Field
from timm.models import build_model_with_cfg, register_model
from timm.models.resnet import BasicBlock, ResNet
from torch import nn
from torchmetrics import Metric

from atrcnas.data.sample import Sample
from atrcnas.deploy.formats import DEPLOY_FORMATS, DeployFormat
from atrcnas.deploy.loading import ExportedNet
from atrcnas.deploy.metadata import Metadata
from atrcnas.nn.contexts.base import Context
from atrcnas.objectives.weighting.base import Weighting
from atrcnas.plots import PLOTS, Plot
from atrcnas.sampling.estimators import Estimator
from atrcnas.spec.datasets import DATASETS, DataSet
from atrcnas.spec.decoders import DECODERS, Decoder
from atrcnas.spec.kinds import KINDS, Kind
from atrcnas.spec.labels import LABEL_ENCODERS, LabelEncoder
from atrcnas.spec.loggers import LOGGERS, Logger
from atrcnas.spec.loss_weighting import LOSS_WEIGHTINGS, LossWeighting
from atrcnas.spec.losses import LOSSES, Loss
from atrcnas.spec.metrics import METRICS, MetricEntry
from atrcnas.spec.optimizers import OPTIMIZERS, SCHEDULES, Optimizer, Schedule
from atrcnas.spec.schema import Float, Int, Spec
from atrcnas.spec.strategies import ESTIMATORS, STRATEGIES, Strategy
from atrcnas.spec.strategies import Estimator as EstimatorRecord
from atrcnas.spec.tasks import TASKS, Task


class Mean(Context):
    """The mean of the source features over the image, projected."""

    def __init__(self, pairs, width, out_width, searching):
        super().__init__(pairs, width, out_width, searching)
        self.project = nn.ModuleList(nn.Conv2d(width, out_width, 1) for _ in self.pairs)

    def forward(self, inputs, rows):
        maps = []
        for row in rows:
            source = inputs.features[self.pairs[row].source]
            maps.append(self.project[row](source.mean((2, 3), keepdim=True)).expand(-1, -1, *source.shape[2:]))
        return maps


KINDS.register(Kind("mean", Mean, "mean over the image", "Y", "#888800"))


class HuberOptions(Spec):
    beta: Float = Field(default=1.0, gt=0, le=10, description="difference from which the loss is linear")


def huber(prediction, target, valid, beta=1.0):
    loss = nn.functional.smooth_l1_loss(
        prediction, torch.where(valid[:, None], target, 0.0), beta=beta, reduction="none"
    )
    return torch.where(valid[:, None], loss, 0.0).sum() / valid.sum().clamp(min=1)


LOSSES.register(Loss("huber", huber, HuberOptions))


class OutlierOptions(Spec):
    limit: Float = Field(default=2.0, gt=0, description="error from which a pixel is an outlier, pixels")


class Outliers(Metric):
    """Share of pixels with an error above a limit."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit
        self.add_state("counts", torch.zeros(2, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction, target, valid):
        wrong = ((prediction - target).abs()[:, 0] > self.limit) & valid
        self.counts += torch.stack([wrong.sum(), valid.sum()])

    def compute(self):
        return {"outliers": self.counts[0] / self.counts[1].clamp(min=1)}


METRICS.register(MetricEntry("outliers", lambda task: Outliers(**task.metric_options), OutlierOptions))


def fit_ranks(batches, num_labels, seed):
    values = torch.cat([target[:, 0][valid] for target, valid in batches])
    return torch.quantile(values, torch.linspace(0, 1, num_labels + 1)[1:-1])


def encode_ranks(target, valid, num_labels, state):
    edges = torch.linspace(0, 8, num_labels + 1)[1:-1] if state is None else state
    return torch.where(valid, torch.bucketize(target[:, 0].contiguous(), edges.to(target)), 0)


LABEL_ENCODERS.register(LabelEncoder("ranks", encode_ranks, fit_ranks))
DECODERS.register(Decoder("softplus", nn.functional.softplus))

TASKS.register(
    Task(
        name="disparity",
        description="shift between two views, pixels",
        target="scalar",
        channels=1,
        label_channels=5,
        label_encoder="ranks",
        loss="huber",
        loss_options={"beta": 0.5},
        label_loss="cross_entropy",
        metric="outliers",
        score="outliers",
        higher_is_better=False,
        decode="softplus",
        unit="px",
        display="magma",
    )
)


class StripesOptions(Spec):
    image_size: tuple[Int, Int] = Field(default=(32, 64), description="height, width, pixels")
    num_samples: Int = Field(default=8, ge=2, le=100, description="of each split")


class Stripes:
    """Bright stripes; the brighter, the larger the disparity, and the class says whether it is large."""

    Options = StripesOptions

    def __init__(self, options, split, tasks):
        self.options, self.tasks, self.seed = options, tasks, {"train": 0, "val": 1000}[split]
        self.class_names = {"semseg": ("far", "near")}

    def __len__(self):
        return self.options.num_samples

    def __getitem__(self, index):
        height, width = self.options.image_size
        bright = np.random.default_rng(self.seed + index).random(width // 8, np.float32).repeat(8)
        bright = np.broadcast_to(bright, (height, width))
        maps = {"semseg": (bright > 0.5).astype(np.int64), "disparity": 8 * bright}
        image = np.repeat((255 * bright).astype(np.uint8)[..., None], 3, axis=2)
        valid = {task: np.ones((height, width), bool) for task in self.tasks}
        return Sample(f"{index:03d}", image, {task: maps[task].copy() for task in self.tasks}, valid)

    @classmethod
    def num_classes(cls, options):
        return {"semseg": 2}


DATASETS.register(DataSet("stripes", Stripes, "stripes of two distances"))


def write_toy(program, path, metadata):
    stream = io.BytesIO()
    torch.export.save(program, stream)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.json", metadata.to_json())
        archive.writestr("program.pt2", stream.getvalue())


def load_toy(path, trusted):
    with zipfile.ZipFile(path) as archive:
        metadata = Metadata.from_json(archive.read("about.json").decode(), path)
        program = torch.export.load(io.BytesIO(archive.read("program.pt2")))
    return ExportedNet(metadata, program.module())


DEPLOY_FORMATS.register(DeployFormat(".toy", "toy runtime", write_toy, load_toy))


def in_order(pools, trials, options, seed):
    """The configs in the order of the pools' kinds, the first of every pair first."""
    for number in range(trials.left):
        trials.submit({pair: kinds[number % len(kinds)] for pair, kinds in pools.items()})


STRATEGIES.register(Strategy("in-order", "trials of every pair's first kind, then of its second", explore=in_order))


class Even(Estimator):
    """Mixtures in which all candidates weigh the same, whatever the logits; nothing ever commits."""

    def draw(self, step, tau):
        return (self.sampler.draw(step, 1e6),)

    def after_step(self, step):
        pass


ESTIMATORS.register(EstimatorRecord("even", "all candidates alike", Even))


class SignOptions(Spec):
    shrink: Float = Field(default=0.0, ge=0, lt=1, description="share of each weight that a step takes away")


class Sign(torch.optim.Optimizer):
    """Every weight moves by the rate, in the direction of its gradient's sign."""

    def __init__(self, groups, shrink):
        super().__init__(groups, {"shrink": shrink})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["shrink"]).sub_(group["lr"] * parameter.grad.sign())


OPTIMIZERS.register(
    Optimizer("sign", "sign of the gradient", lambda groups, recipe, options: Sign(groups, options.shrink), SignOptions)
)


class StairOptions(Spec):
    stairs: Int = Field(default=2, ge=1, description="equal falls of the rate")


def stair(share, recipe, options):
    return 1 - int(share * options.stairs) / options.stairs


SCHEDULES.register(Schedule("stair", "falls in equal stairs", stair, StairOptions))


class ShareOptions(Spec):
    first: Float = Field(default=0.5, ge=0, le=1, description="share of the first task")


class Share(Weighting):
    """The first task gets its share, the others what is left."""

    def total(self, losses, plain):
        first, *others = losses.values()
        return self.options.first * first + (1 - self.options.first) * sum(others)


LOSS_WEIGHTINGS.register(LossWeighting("share", "a share for the first task", Share, ShareOptions))


class NotesOptions(Spec):
    file: str = Field(default="notes.txt", description="in the run folder")


class Notes:
    """Lines in a file."""

    id = None

    def __init__(self, place, options):
        self.stream = (place.run / options.file).open("a")

    def scalars(self, values, step):
        self.stream.writelines(f"{step} {name} {value}\n" for name, value in values.items())

    def figure(self, name, path, step):
        self.stream.write(f"{step} {name} {path.name}\n")

    def close(self):
        self.stream.close()


LOGGERS.register(Logger("notes", "lines in a file", Notes, NotesOptions))


def draw_rates(run_dir):
    rates = pd.read_csv(run_dir / "retrain/metrics.csv").query("name == 'learning_rate'")
    figure = Figure()
    figure.subplots().plot(rates["step"], rates["value"])
    return figure


PLOTS.register(Plot("rates", draw_rates, "retrain/metrics.csv"))


@register_model
def toy_resnet(pretrained=False, **options):
    layers = {"block": BasicBlock, "layers": (1, 1, 1, 1), "channels": (8, 8, 16, 16)}
    return build_model_with_cfg(ResNet, "toy_resnet", pretrained, **layers, **options)
