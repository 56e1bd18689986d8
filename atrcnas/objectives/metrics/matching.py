"""Size of a maximum one-to-one matching between boundary pixels, for many thresholds of one image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_flow

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def matching_sizes(member: Bools, pixels: Int64s, targets: Int64s, shape: tuple[int, int], distance: float) -> Int64s:
    """Match predicted to true boundary pixels one to one, as many as possible.

    Args:
        member: [L, N] bool, whether predicted pixel n belongs to level l.
        pixels: [N] int64 flat indices of predicted pixels into the image, ascending.
        targets: [M] int64 flat indices of true boundary pixels, ascending.
        shape: H, W of the image.
        distance: pixels; a pair at exactly this distance may match.

    Returns:
        [L] int64, the size of a maximum matching at each level.
    """
    graph = _candidate_graph(pixels, targets, shape, distance)
    reachable = np.diff(graph.indptr) > 0
    member = member & reachable
    sizes = np.zeros(len(member), np.int64)
    for level, present in enumerate(member):
        if level and np.array_equal(present, member[level - 1]):
            sizes[level] = sizes[level - 1]
            continue
        chosen = graph[np.flatnonzero(present)]
        # Flow from the smaller side: it ends with few vertices left over, so that few searches fail.
        if chosen.shape[0] > np.count_nonzero(np.bincount(chosen.indices, minlength=1)):
            chosen = chosen.T.tocsr()
        sizes[level] = maximum_matching(chosen)
    return sizes


def maximum_matching(graph: csr_matrix) -> int:
    """Size of a maximum matching of a bipartite graph.

    Args:
        graph: [A, B] sparse; an entry at (a, b) is an edge, whatever its value.

    Returns:
        The number of edges in a maximum matching: the largest flow through vertices of capacity 1, found by Dinic's
        algorithm. SciPy's ``maximum_bipartite_matching`` gives the same number but takes seconds on such graphs.
    """
    num_left, num_right = graph.shape
    num_edges = len(graph.indices)
    source = num_left + num_right
    sink = source + 1
    # Rows of the capacity matrix: left vertices, right vertices, source, sink; the sink's row is empty.
    heads = [num_left + graph.indices, np.full(num_right, sink), np.arange(num_left)]
    starts = [graph.indptr, num_edges + np.arange(1, num_right + 1), np.full(2, num_edges + num_right + num_left)]
    indices, indptr = (np.concatenate(part).astype(np.int32) for part in (heads, starts))
    capacity = csr_matrix((np.ones(len(indices), np.int32), indices, indptr), shape=(sink + 1, sink + 1))
    return int(maximum_flow(capacity, source, sink, method="dinic").flow_value)


def _candidate_graph(pixels: Int64s, targets: Int64s, shape: tuple[int, int], distance: float) -> csr_matrix:
    """[N, M] sparse, an entry for every pair of a predicted and a true pixel within ``distance``."""
    reach = int(distance)
    height, width = shape
    frame_width = width + 2 * reach
    place = np.full((height + 2 * reach) * frame_width, -1, np.int32)
    place[_in_frame(targets, width, reach)] = np.arange(len(targets), dtype=np.int32)
    step = np.arange(-reach, reach + 1)
    dy, dx = np.meshgrid(step, step, indexing="ij")
    # Raster order of the offsets is ascending order of the targets, as a sorted row wants it.
    offsets = (dy * frame_width + dx)[dy**2 + dx**2 <= distance**2]
    near = place[_in_frame(pixels, width, reach)[:, None] + offsets]
    found = near >= 0
    indptr = np.concatenate([[0], np.cumsum(found.sum(axis=1))]).astype(np.int32)
    indices = near[found]
    return csr_matrix((np.ones(len(indices), np.int8), indices, indptr), shape=(len(pixels), len(targets)))


def _in_frame(flat: Int64s, width: int, reach: int) -> Int64s:
    """Flat indices into the image -> into the image with a frame ``reach`` pixels wide, where nothing wraps around."""
    rows, columns = np.divmod(flat, width)
    return (rows + reach) * (width + 2 * reach) + columns + reach
