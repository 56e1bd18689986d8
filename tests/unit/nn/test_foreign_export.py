"""A refiner in somebody else's network leaves it exportable: every kind, of one size and of any."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from context_parts import POOLING
from foreign import Foreign, every_kind, uniform
from torch import Tensor
from torch.export import Dim

from atrcnas.spec.pairs import Pair

# From 9 rows and columns of features on, as docs/own-network.md says.
ANY_SIZE = {0: Dim("batch", min=1), 2: Dim("height", min=17, max=512), 3: Dim("width", min=17, max=512)}
LEVELS = [(kind.name, 4) for kind in POOLING] + [("affinity", 16), ("cross", 16), ("aspp", 16)]


def images(*sizes: tuple[int, int, int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(batch, 3, height, width, generator=generator) for batch, height, width in sizes]


def through_torch(net: Foreign, example: Tensor, sizes: dict[int, Any] | None) -> Any:
    # With gradients on, as somebody would who does not think of them.
    return torch.export.export(net, (example,), dynamic_shapes=None if sizes is None else {"image": sizes}).module()


def through_onnx(net: Foreign, example: Tensor, sizes: dict[int, Any] | None, path: Path) -> Any:
    tasks = list(net.heads)
    with contextlib.redirect_stdout(io.StringIO()):
        shapes = None if sizes is None else {"image": sizes}
        program = torch.onnx.export(
            net, (example,), dynamo=True, dynamic_shapes=shapes, output_names=tasks, verbose=False
        )
    program.save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (name,) = [given.name for given in session.get_inputs()]
    return lambda image: dict(zip(tasks, map(torch.from_numpy, session.run(None, {name: image.numpy()})), strict=True))


@torch.no_grad()
def assert_same(net: Foreign, exported: Any, inputs: Sequence[Tensor], tolerance: float) -> None:
    for image in inputs:
        expected, got = net(image), exported(image)
        for task, wanted in expected.items():
            torch.testing.assert_close(got[task], wanted, rtol=0.0, atol=tolerance)


def test_sizes_may_stay_free_where_maps_are_cut_into_tiles() -> None:
    net = Foreign({Pair("seg", "height"): ("local",)})
    example, *others = images((2, 36, 44), (1, 50, 86), (3, 17, 63))
    assert_same(net, through_torch(net, example, ANY_SIZE), [example, *others], 1e-6)


def test_a_refiner_exports_to_onnx(tmp_path: Path) -> None:
    net = Foreign({Pair("seg", "height"): ("wide",)})
    (example,) = images((2, 36, 44))
    assert_same(net, through_onnx(net, example, None, tmp_path / "net.onnx"), [example], 1e-5)


def test_a_network_with_every_kind_exports_and_padding_stays_an_input() -> None:
    net = Foreign(every_kind())
    (image,) = images((2, 36, 44))
    valid = torch.ones(2, 1, 18, 22, dtype=torch.bool)
    exported = torch.export.export(net, (image, valid)).module()
    valid[..., 12:] = False
    with torch.no_grad():
        expected, got, whole = net(image, valid), exported(image, valid), net(image)
    for task, wanted in expected.items():
        torch.testing.assert_close(got[task], wanted, rtol=0.0, atol=1e-6)
    assert any((whole[task] - wanted).abs().max() > 1e-3 for task, wanted in expected.items())


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "level"), LEVELS)
def test_each_kind_exports_by_itself_in_both_formats(kind: str, level: int, tmp_path: Path) -> None:
    net = Foreign(uniform(kind, level))
    example, *others = images((2, 36, 44), (1, 50, 86), (3, 17, 63))
    assert_same(net, through_torch(net, example, None), [example], 1e-6)
    assert_same(net, through_torch(net, example, ANY_SIZE), [example, *others], 1e-6)
    assert_same(net, through_onnx(net, example, None, tmp_path / "one.onnx"), [example], 1e-5)
    assert_same(net, through_onnx(net, example, ANY_SIZE, tmp_path / "any.onnx"), [example, *others], 1e-5)
