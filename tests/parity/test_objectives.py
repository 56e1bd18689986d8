"""Losses and metrics give the reference implementation's numbers, in float64.

The golden file is used where there is one. The committed fixture is a crop of its inputs; what is expected of the
crop comes from the formulas restated here in NumPy, which are themselves held against the golden file. To cut anew:

    python tests/parity/test_objectives.py GOLDEN_DIR
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from atrcnas.ground.registry import resolve
from atrcnas.spec.decoders import DECODERS
from atrcnas.spec.labels import LABEL_ENCODERS
from atrcnas.spec.losses import LOSSES
from atrcnas.spec.metrics import METRICS
from atrcnas.spec.tasks import TASKS

Arrays = Mapping[str, np.ndarray]

FIXTURE = Path(__file__).parent / "data" / "objectives.safetensors"
GOLDEN = "losses_metrics.safetensors"
MISSING = 255
WINDOW = (slice(0, 1), slice(None), slice(0, 7), slice(3, 11))
TOLERANCE = 1e-9


# The published formulas, one after the other, on whole arrays and with NumPy only.


def nll(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return -np.take_along_axis(log_p, label.astype(int)[:, None], 1)[:, 0]


def restated_losses(data: Arrays) -> dict[str, float]:
    masks = {name: (data[f"in.{name}"] != MISSING).all(1) for name in ("semseg", "depth", "normals", "sal", "edge")}
    classes = {name: np.where(masks[name], data[f"in.{name}"][:, 0], 0) for name in ("semseg", "sal", "edge")}
    depth, normals = data["in.depth"], data["in.normals"]
    unit = data["in.p_normals"] / np.linalg.norm(data["in.p_normals"], axis=1, keepdims=True)
    bins = np.digitize(depth[:, 0], np.logspace(np.log10(0.7), np.log10(10), 41)[1:-1])
    nearest = ((normals[:, None] - data["in.centroids"][None, :, :, None, None]) ** 2).sum(2).argmin(1)
    fg = (classes["sal"] == 1) & masks["sal"]
    share = fg.sum() / masks["sal"].sum()
    sal = np.where(fg, 1 - share, share) * nll(data["in.p_sal"], classes["sal"])
    losses = {
        "semseg": nll(data["in.p_semseg"], classes["semseg"])[masks["semseg"]].mean(),
        "depth": np.abs(data["in.p_depth"] - depth)[:, 0][masks["depth"]].mean(),
        "depth_aux": nll(data["in.p_depth_aux"], bins)[masks["depth"]].mean(),
        "normals": np.abs(unit - normals).sum(1)[masks["normals"]].mean(),
        "normals_aux": nll(data["in.p_normals_aux"], nearest)[masks["normals"]].mean(),
        "sal": sal[masks["sal"]].mean(),
    }
    for positive in (0.8, 0.95):
        weight = np.where(classes["edge"] == 1, positive, 1 - positive)
        bce = np.logaddexp(0, np.where(classes["edge"] == 1, -1, 1) * data["in.p_edge"][:, 0])
        losses[f"edge_pw{positive}"] = (weight * bce)[masks["edge"]].mean()
        losses[f"edge_aux_pw{positive}"] = (weight * nll(data["in.p_edge_aux"], classes["edge"]))[masks["edge"]].mean()
    return {f"loss.{name}": float(value) for name, value in losses.items()}


def restated_metrics(data: Arrays) -> dict[str, float]:
    label, found = data["in.semseg"][:, 0], data["in.p_semseg"].argmax(1)
    seen = label != MISSING
    both = [((label == k) & (found == k)).sum() for k in range(data["in.p_semseg"].shape[1])]
    either = [(((label == k) | (found == k)) & seen).sum() for k in range(len(both))]
    depth, normals, raw = data["in.depth"], data["in.normals"], data["in.p_normals"]
    cosine = (raw * normals).sum(1) / np.linalg.norm(raw, axis=1)
    sal = data["in.sal"][:, 0]
    foreground = np.exp(-nll(data["in.p_sal"], np.ones_like(sal)))
    best = 0.0
    for threshold in np.arange(0.05, 1, 0.05):
        chosen = (foreground >= threshold) & (sal != MISSING)
        precision = (chosen & (sal == 1)).sum() / max(chosen.sum(), 1)
        recall = (chosen & (sal == 1)).sum() / max((sal == 1).sum(), 1)
        best = max(best, 1.3 * precision * recall / max(0.3 * precision + recall, 1e-300))
    return {
        "metric.semseg_miou": float(np.mean([b / max(e, 1) for b, e in zip(both, either, strict=True)])),
        "metric.depth_rmse": float(np.sqrt(((data["in.p_depth"] - depth)[depth != MISSING] ** 2).mean())),
        "metric.normals_mean_error_deg": float(
            np.degrees(np.arccos(cosine.clip(-1, 1)))[normals[:, 0] != MISSING].mean()
        ),
        "metric.sal_maxf": float(best),
    }


def restated(data: Arrays) -> dict[str, float]:
    return restated_losses(data) | restated_metrics(data)


def crop(golden: Arrays) -> dict[str, np.ndarray]:
    """A window of the inputs in which every task has valid and missing pixels, and what is expected there."""
    inputs = {
        name: np.ascontiguousarray(value[WINDOW]) if value.ndim == 4 else value
        for name, value in golden.items()
        if name.startswith("in.")
    }
    return inputs | {name: np.array(value) for name, value in restated(inputs).items()}


# The package, driven by the task table.


def computed(data: Arrays) -> dict[str, float]:
    figures: dict[str, float] = {}
    for task in TASKS:
        if f"in.{task.name}" not in data:
            continue
        raw = torch.from_numpy(data[f"in.p_{task.name}"])
        target, valid = ground_truth(data, task.name, task.target == "classes")
        figures[f"loss.{task.name}"] = float(
            resolve(LOSSES[task.loss].function)(raw, target, valid, **task.loss_options)
        )
        if f"in.p_{task.name}_aux" in data:
            logits = torch.from_numpy(data[f"in.p_{task.name}_aux"])
            encoder = LABEL_ENCODERS[task.label_encoder]
            state = torch.from_numpy(data["in.centroids"]) if encoder.fit else None
            labels = resolve(encoder.encode)(target, valid, logits.shape[1], state)
            figures[f"loss.{task.name}_aux"] = float(
                resolve(LOSSES[task.label_loss].function)(logits, labels, valid, **task.loss_options)
            )
        metric = METRICS[task.metric].build(task.with_options(num_classes=5) if task.channels is None else task)
        metric.update(resolve(DECODERS[task.decode].function)(raw), target, valid)
        figures[f"metric.{task.name}_{task.score}"] = float(metric.compute()[task.score])
    return figures


def ground_truth(data: Arrays, name: str, is_classes: bool) -> tuple[Tensor, Tensor]:
    """Target in the engine's layout and valid mask; missing pixels hold NaN or an impossible class, to no effect."""
    target = torch.from_numpy(data[f"in.{name}"])
    valid = (target != MISSING).all(1)
    if is_classes:
        return target[:, 0].long(), valid
    return torch.where(valid[:, None], target, torch.nan), valid


NAMES = {
    "loss.semseg": "loss.semseg",
    "loss.depth": "loss.depth",
    "loss.depth_aux": "loss.depth_aux",
    "loss.normals": "loss.normals",
    "loss.normals_aux": "loss.normals_aux",
    "loss.sal": "loss.sal",
    "loss.edge": "loss.edge_pw0.8",
    "loss.edge_aux": "loss.edge_aux_pw0.8",
    "metric.semseg_miou": "metric.semseg_miou",
    "metric.depth_rmse": "metric.depth_rmse",
    "metric.normals_mean_error": "metric.normals_mean_error_deg",
    "metric.sal_max_f": "metric.sal_maxf",
}


def check(figures: Callable[[Arrays], Mapping[str, float]], data: Arrays, names: Mapping[str, str]) -> None:
    ours = figures(data)
    for here, there in names.items():
        assert ours[here] == pytest.approx(float(data[there]), abs=TOLERANCE, rel=TOLERANCE), here


@pytest.fixture(scope="module")
def golden(golden_dir: Path | None) -> Arrays:
    if golden_dir is None:
        pytest.skip("no shared/golden here")
    return load_file(golden_dir / GOLDEN)


@pytest.fixture(scope="module")
def fixture() -> Arrays:
    return load_file(FIXTURE)


def test_package_gives_the_golden_numbers(golden: Arrays) -> None:
    check(computed, golden, NAMES)


def test_restated_formulas_give_the_golden_numbers(golden: Arrays) -> None:
    check(restated, golden, {name: name for name in golden if not name.startswith("in.")})


def test_package_gives_the_numbers_of_the_fixture(fixture: Arrays) -> None:
    check(computed, fixture, NAMES)


def test_restated_formulas_give_the_numbers_of_the_fixture(fixture: Arrays) -> None:
    check(restated, fixture, {name: name for name in fixture if not name.startswith("in.")})


@pytest.mark.parametrize("loss", ["balanced_bce", "balanced_edge_cross_entropy"])
def test_positive_weight_of_pascal(fixture: Arrays, loss: str) -> None:
    name = "edge" if loss == "balanced_bce" else "edge_aux"
    target, valid = ground_truth(fixture, "edge", is_classes=True)
    value = resolve(LOSSES[loss].function)(
        torch.from_numpy(fixture[f"in.p_{name}"]), target, valid, positive_weight=0.95
    )
    assert float(value) == pytest.approx(float(fixture[f"loss.{name}_pw0.95"]), abs=TOLERANCE)


def test_fixture_is_a_crop_of_the_golden_file(golden: Arrays, fixture: Arrays) -> None:
    fresh = crop(golden)
    assert fresh.keys() == fixture.keys()
    for name, value in fresh.items():
        assert value == pytest.approx(fixture[name], abs=1e-12), name


@pytest.mark.parametrize("name", ["semseg", "depth", "normals", "sal", "edge"])
def test_fixture_has_valid_and_missing_pixels(fixture: Arrays, name: str) -> None:
    missing = fixture[f"in.{name}"] == MISSING
    assert missing.any()
    assert not missing.all()


def test_fixture_stays_small() -> None:
    assert FIXTURE.stat().st_size < 150_000


if __name__ == "__main__":
    save_file(crop(load_file(Path(sys.argv[1]) / GOLDEN)), FIXTURE)
