"""Smaller exported files: half precision and 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from tiny_networks import one_pair_network, windows_network

from atrcnas import Predictor
from atrcnas.deploy.export import Exporter, ExportReport, export
from atrcnas.deploy.formats import format_of
from atrcnas.deploy.loading import load_exported
from atrcnas.ground.errors import ExportError

SIZE = (51, 70)
SMALL = (".fp16.onnx", ".int8.onnx")


def _scenes(count: int, seed: int) -> torch.Tensor:
    """[count, 3, *SIZE]: smooth, as photographs are and noise is not."""
    rough = torch.rand(count, 3, 5, 7, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(rough, SIZE, mode="bicubic").clamp(0, 1)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ExportReport]:
    """The files of one network, by their endings."""
    folder, exporter = tmp_path_factory.mktemp("small"), Exporter(one_pair_network(), SIZE, _scenes(8, seed=0))
    return {ending: exporter.write(folder / f"net{ending}") for ending in (".onnx", *SMALL)}


@pytest.mark.parametrize(("name", "ending"), [("a.onnx", ".onnx"), ("A.INT8.ONNX", ".int8.onnx"), ("b.c.pt2", ".pt2")])
def test_the_longest_ending_that_fits_is_the_format(name: str, ending: str) -> None:
    assert format_of(Path(name)).name == ending


def test_a_half_or_a_quarter_of_the_bytes_of_each_weight(reports: dict[str, ExportReport]) -> None:
    kinds = {ending: {} for ending in reports}
    for ending, report in reports.items():
        for tensor in onnx.load(report.path).graph.initializer:
            kind = onnx.TensorProto.DataType.Name(tensor.data_type)
            kinds[ending][kind] = kinds[ending].get(kind, 0) + int(np.prod(tensor.dims))
    floats = kinds[".onnx"]["FLOAT"]
    assert kinds[".fp16.onnx"]["FLOAT16"] > 0.99 * floats
    assert kinds[".int8.onnx"]["INT8"] > 0.9 * floats
    assert reports[".int8.onnx"].file_bytes < reports[".fp16.onnx"].file_bytes < reports[".onnx"].file_bytes


@pytest.mark.parametrize(("ending", "near"), [(".fp16.onnx", 0.01), (".int8.onnx", 0.25)])
def test_on_images_it_was_not_calibrated_on_it_still_does_what_the_network_does(
    reports: dict[str, ExportReport], ending: str, near: float
) -> None:
    net, file = one_pair_network(), load_exported(reports[ending].path)
    for batch in (1, 3):
        images = _scenes(batch, seed=5)
        got = file.run(images)
        with torch.no_grad():
            expected = net(images).predictions
        for task, value in expected.items():
            assert got[task].dtype == torch.float32
            assert (got[task] - value).abs().max() < near * (value.max() - value.min())
    assert max(reports[ending].differences.values()) > 1e-5, "it says that it is not exact"


@pytest.mark.parametrize("ending", SMALL)
def test_a_mask_that_several_pairs_read_is_valid_onnx(ending: str, tmp_path: Path) -> None:
    report = Exporter(windows_network(), SIZE, _scenes(8, seed=0)).write(tmp_path / f"net{ending}")
    onnx.checker.check_model(onnx.load(report.path), full_check=True)


@pytest.mark.parametrize("ending", SMALL)
def test_it_predicts_as_any_other_file(reports: dict[str, ExportReport], ending: str) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    predictor = Predictor.open(reports[ending].path)
    assert predictor(photo)["semseg"].shape == (60, 90)


def test_8_bits_without_images_are_refused_before_the_network_is_traced(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"net\.int8\.onnx: \.int8\.onnx needs images"):
        export(one_pair_network(), SIZE, tmp_path / "net.int8.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_far_from_the_network_is_not_written(tmp_path: Path) -> None:
    """Half precision ends at 65,504."""
    net = one_pair_network()
    for head in net.heads.values():
        for parameter in head.parameters():
            parameter.data.mul_(1e7)
    with pytest.raises(ExportError, match=r"net\.fp16\.onnx: not written"):
        export(net, SIZE, tmp_path / "net.fp16.onnx", example=_scenes(2, seed=0))
    assert list(tmp_path.iterdir()) == []
