"""Exact ground truth of each task, read off the traced surfaces."""

from collections.abc import Callable

import numpy as np

from atrcnas.data.rooms.classes import SHELL, Semseg
from atrcnas.data.rooms.raycast import Surface
from atrcnas.data.rooms.render import surface_ids
from atrcnas.data.rooms.scene import Scene

_CREASE_COSINE = 0.8
_STEP_SHARE = 0.12


def instance_map(scene: Scene, surface: Surface) -> np.ndarray:
    """The instance of every pixel, [P] int64; 0, 1, 2 are wall, floor and ceiling."""
    shell = np.array([0, 0, 0, 0, 1, 2])[surface.face]
    return np.where(surface.primitive < 0, shell, scene.primitives.instance[surface.primitive])


def _semseg(scene: Scene, surface: Surface, shape: tuple[int, int]) -> np.ndarray:
    return scene.labels[instance_map(scene, surface)]


def _depth(scene: Scene, surface: Surface, shape: tuple[int, int]) -> np.ndarray:
    return surface.depth.copy()


def _normals(scene: Scene, surface: Surface, shape: tuple[int, int]) -> np.ndarray:
    return np.ascontiguousarray((scene.camera.axes @ surface.normal).T)


def _human_parts(scene: Scene, surface: Surface, shape: tuple[int, int]) -> np.ndarray:
    return np.where(surface.primitive < 0, 0, scene.primitives.human_part[surface.primitive])


def _edge(scene: Scene, surface: Surface, shape: tuple[int, int]) -> np.ndarray:
    """Mark pixels whose right or lower neighbour is another thing, or lies across a crease or a step in depth."""
    instance = instance_map(scene, surface).reshape(shape)
    surface_id = surface_ids(surface).reshape(shape)
    normal, depth = surface.normal.T.reshape(*shape, 3), surface.depth.reshape(shape)
    edge = np.zeros(shape, dtype=np.int64)
    for here, there in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        crease = (normal[here] * normal[there]).sum(axis=-1) < _CREASE_COSINE
        step = np.abs(depth[here] - depth[there]) > _STEP_SHARE * np.minimum(depth[here], depth[there])
        parts = (surface_id[here] != surface_id[there]) & (crease | step)
        edge[here] |= (instance[here] != instance[there]) | parts
    return edge


def _saliency(scene: Scene, surface: Surface, shape: tuple[int, int]) -> np.ndarray:
    """People in view and what they use; in an empty room the thing that is largest and most central."""
    height, width = shape
    instance = instance_map(scene, surface)
    num_instances = scene.labels.size
    area = np.bincount(instance, minlength=num_instances)
    people = [person for person in scene.used_by if area[person] > 0.002 * instance.size]
    salient = np.zeros(num_instances, dtype=np.int64)
    if people:
        used = [scene.used_by[person] for person in people]
        salient[people + [thing for thing in used if thing >= 0]] = 1
        return salient[instance]
    x = (np.arange(width) + 0.5) / width * 2 - 1
    y = (np.arange(height) + 0.5) / height * 2 - 1
    centrality = np.exp(-1.5 * (x * x + (y * y)[:, None])).ravel()
    weight = np.bincount(instance, centrality, num_instances)
    # The building is the background, however large it is.
    weight[np.isin(scene.labels, (*SHELL, Semseg.DOOR, Semseg.WINDOW))] = 0
    if weight.max() > 0:
        salient[np.argmax(weight)] = 1
    return salient[instance]


_Label = Callable[[Scene, Surface, tuple[int, int]], np.ndarray]

LABELS: dict[str, _Label] = {
    "semseg": _semseg,
    "depth": _depth,
    "normals": _normals,
    "edge": _edge,
    "sal": _saliency,
    "human_parts": _human_parts,
}


def label(task: str, scene: Scene, surface: Surface, shape: tuple[int, int]) -> np.ndarray:
    """Ground truth of one task: [H, W] int64 or float32, [H, W, 3] float32 for normals."""
    values = LABELS[task](scene, surface, shape)
    return values.reshape(*shape, 3) if values.size == 3 * shape[0] * shape[1] else values.reshape(shape)
