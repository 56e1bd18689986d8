"""Run files as the engine writes them, made up: for the tests here and for looking at the figures by eye."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atrcnas.ground.files import write_yaml
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.pairs import Pair, all_pairs
from atrcnas.spec.tasks import TASKS

POOL = ("none", "global", "local", "tlabel", "slabel")


def pool(pair: Pair, kinds: Sequence[str] = POOL) -> list[str]:
    """The kinds ``pair`` may choose from."""
    return [kind for kind in kinds if KINDS[kind].on_diagonal or not pair.on_diagonal]


def contexts(tasks: Sequence[str], levels: Sequence[int] = (4,), preset: bool = False, seed: int = 0) -> dict[str, Any]:
    """What contexts.yaml holds; ``preset`` leaves out the probabilities and everything else a search knows."""
    rng = np.random.default_rng(seed)
    tables: dict[int, dict[str, dict[str, str]]] = {level: {task: {} for task in tasks} for level in levels}
    probabilities: dict[str, dict[str, float]] = {}
    for pair in all_pairs(tasks, levels):
        kinds = pool(pair, (*POOL, "mti"))
        chances = rng.dirichlet(np.full(len(kinds), 0.3))
        tables[pair.level][pair.target][pair.source] = kinds[int(chances.argmax())]
        probabilities[str(pair)] = {kind: round(float(p), 4) for kind, p in zip(kinds, chances, strict=True)}
    pairs: Any = tables if len(levels) > 1 else tables[levels[0]]
    provenance = (
        {"source": "a paper"}
        if preset
        else {"experiment": "nyud_atrc_search", "seed": 3, "step": 40000, "commit": "1f3c9ab"}
    )
    value = {"schema": 1, "tasks": list(tasks), "levels": list(levels), "pairs": pairs}
    return {**value, "provenance": provenance if preset else {**provenance, "probabilities": probabilities}}


def write_rows(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a csv file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])


def write_logits(
    path: Path, tasks: Sequence[str], levels: Sequence[int] = (4,), num_logged: int = 40, seed: int = 0
) -> None:
    """Pairs that drift from a uniform choice towards one kind, and commit once they are sure."""
    rng = np.random.default_rng(seed)
    pairs = all_pairs(tasks, levels)
    logits = {pair: np.zeros(len(pool(pair))) for pair in pairs}
    pull = {pair: rng.normal(size=len(pool(pair))) * rng.uniform(0.05, 0.35) for pair in pairs}
    committed = dict.fromkeys(pairs, False)
    rows: list[Sequence[Any]] = []
    for index in range(num_logged):
        for pair in pairs:
            if not committed[pair]:
                logits[pair] = logits[pair] + pull[pair] + 0.06 * rng.normal(size=len(pull[pair]))
            chances = np.exp(logits[pair]) / np.exp(logits[pair]).sum()
            committed[pair] |= bool(chances.max() > 0.93)
            for kind, logit, chance in zip(pool(pair), logits[pair], chances, strict=True):
                place = (index * 1000, pair.level, pair.target, pair.source)
                rows.append((*place, kind, f"{logit:.5f}", f"{chance:.5f}", int(committed[pair])))
    write_rows(path, ("step", "level", "target", "source", "kind", "logit", "probability", "committed"), rows)


def write_metrics(path: Path, tasks: Sequence[str], searching: bool, num_steps: int = 40000, seed: int = 0) -> None:
    """Falling noisy losses, schedules, and a score of every task now and then."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[Any, ...]] = []
    for step in range(0, num_steps + 1, 200):
        done = step / num_steps
        losses = {
            task: (1 + index) * (0.25 + np.exp(-6 * done)) * rng.uniform(0.8, 1.2) for index, task in enumerate(tasks)
        }
        rows += [(step, "train", task, "loss", f"{loss:.5f}") for task, loss in losses.items()]
        rows += [(step, "train", "", "loss", f"{sum(losses.values()):.5f}")]
        rows += [(step, "train", "", "learning_rate", f"{0.01 * (1 - done) ** 0.9:.6f}")]
        if searching:
            rows += [
                (step, "train", "", "tau", f"{2 - 1.9 * done:.4f}"),
                (step, "train", "", "entropy", f"{1.6 - done:.4f}"),
            ]
            rows += [(step, "train", "", "committed_share", f"{max(0.0, done - 0.4):.4f}")]
        if step and step % 4000 == 0:
            for task in tasks:
                record = TASKS[task]
                noise = rng.normal() * 0.01
                value = 0.8 - 0.5 * np.exp(-3 * done) if record.higher_is_better else 0.5 + 0.6 * np.exp(-3 * done)
                rows.append((step, "val", task, record.score, f"{value + noise + 0.02 * (not searching):.4f}"))
    write_rows(path, ("step", "stage", "task", "name", "value"), rows)


def _scene(height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A floor, a wall and some balls: image, classes, depth in metres, normals."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width] / height
    classes = np.where(rows > 0.6, 1, 0)
    depth = np.where(rows > 0.6, 4.8 - 7 * (rows - 0.6), 4.8)
    normals = np.where((rows > 0.6)[..., None], (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
    for index in range(5):
        y, x, radius = rng.uniform(0.2, 0.85), rng.uniform(0.1, 0.9) * width / height, rng.uniform(0.08, 0.2)
        dx, dy = (columns - x) / radius, (rows - y) / radius
        inside = dx**2 + dy**2 < 1
        bulge = np.sqrt(np.clip(1 - dx**2 - dy**2, 0, 1))
        classes = np.where(inside, 2 + index * 3, classes)
        depth = np.where(inside, 3.2 - index * 0.5 - radius * bulge, depth)
        normals = np.where(inside[..., None], np.stack([dx, dy, -bulge], -1), normals)
    light = 0.35 + 0.65 * np.clip(normals @ np.array([-0.4, -0.6, -0.7]), 0, 1)
    image = (light[..., None] * rng.uniform(0.35, 1, (32, 3))[classes] * 255).astype(np.uint8)
    return image, classes.astype(np.int64), depth.astype(np.float32), normals.astype(np.float32)


def write_sample(path: Path, tasks: Sequence[str], size: tuple[int, int] = (120, 160), seed: int = 0) -> None:
    """One picture with predictions that are nearly right and truth with holes."""
    rng = np.random.default_rng(seed)
    image, classes, depth, normals = _scene(*size, seed)
    boundary = (np.abs(np.diff(classes, axis=0, prepend=0)) + np.abs(np.diff(classes, axis=1, prepend=0))) > 0
    arrays: dict[str, Any] = {"image": image}
    for task in tasks:
        record = TASKS[task]
        valid = np.ones(size, bool)
        valid[-size[0] // 6 :, : size[1] // 3] = False
        if record.target == "scalar":
            truth: np.ndarray = depth
            guess: np.ndarray = (depth * 1.05 + 0.08 * rng.normal(size=size)).astype(np.float32)
        elif record.target == "vector":
            truth = normals
            guess = normals + 0.15 * rng.normal(size=normals.shape).astype(np.float32)
            guess = guess / np.linalg.norm(guess, axis=-1, keepdims=True)
        elif record.decode in ("foreground", "sigmoid"):
            truth = (boundary if record.channels == 1 else classes > 4).astype(np.int64)
            guess = np.clip(truth * 0.75 + 0.15 * rng.random(size), 0, 1).astype(np.float32)
        else:
            truth = classes % record.channels if record.channels else classes
            guess = np.where(rng.random(size) < 0.04, 3, truth)
        arrays |= {f"prediction.{task}": guess, f"target.{task}": truth, f"valid.{task}": valid}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def write_run(run_dir: Path, tasks: Sequence[str], levels: Sequence[int] = (4,), num_samples: int = 2) -> Path:
    """A whole run folder, as far as plots read it."""
    run_dir.mkdir(parents=True, exist_ok=True)
    write_yaml(run_dir / "contexts.yaml", contexts(tasks, levels))
    write_logits(run_dir / "search/logits.csv", tasks, levels)
    write_metrics(run_dir / "search/metrics.csv", tasks, searching=True)
    write_metrics(run_dir / "retrain/metrics.csv", tasks, searching=False, num_steps=30000, seed=1)
    for index in range(num_samples):
        write_sample(run_dir / f"samples/{index:04d}.npz", tasks, seed=index)
    return run_dir
