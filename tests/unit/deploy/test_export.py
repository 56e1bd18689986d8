from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx
import pytest
import torch
from tiny_networks import BACKBONE, far_network, mixed_network, plain_network, records
from torch import Tensor, nn

import atrcnas.deploy.export as module
from atrcnas.deploy.export import export
from atrcnas.deploy.loading import load_exported
from atrcnas.ground.errors import ExportError
from atrcnas.nn.fold import fold_batch_norm
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.model import BackboneSpec
from atrcnas.spec.pairs import Pair

SIZE = (32, 64)


@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
@pytest.mark.parametrize("name", ["mixed", "pyramid", "far"])
def test_the_file_computes_what_the_network_does_at_any_batch_size(exported, name: str, suffix: str) -> None:
    case = exported(name, suffix)
    loaded = load_exported(case.report.path)
    assert loaded.metadata.size == case.size
    assert list(loaded.metadata.tasks) == list(case.net.tasks)
    for batch in (1, 5):
        image = torch.rand(batch, 3, *case.size)
        with torch.no_grad():
            expected = case.net(image).predictions
        got = loaded.run(image)
        assert got.keys() == expected.keys()
        for task, wanted in expected.items():
            assert (got[task] - wanted).abs().max() < 1e-4 * (wanted.max() - wanted.min())


@pytest.mark.parametrize(
    ("backbone", "suffix"),
    [
        ("hrnet_w18_small_v2", ".onnx"),
        pytest.param("hrnet_w18_small_v2", ".pt2", marks=pytest.mark.slow),
        ("test_convnext", ".onnx"),
        ("test_convnext", ".pt2"),
    ],
)
def test_backbones_whose_maps_do_not_fit_the_image_are_exported(tmp_path: Path, backbone: str, suffix: str) -> None:
    """HRNet resizes its branches to each other inside; ConvNeXt's patches need a padded image."""
    report = export(plain_network(backbone), (43, 70), tmp_path / f"net{suffix}")
    assert report.size == load_exported(report.path).metadata.size == (43, 70)
    assert report.num_batch_norms == 0


@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_the_report_gives_differences_and_no_batch_norm_is_left(exported, suffix: str) -> None:
    report = exported("mixed", suffix).report
    assert report.num_batch_norms == 0
    assert report.file_bytes == report.path.stat().st_size
    assert all(0 <= value < 1e-4 for value in report.differences.values())
    assert all(task in str(report) for task in report.differences)
    assert [path.name for path in report.path.parent.iterdir() if path.name.startswith(".")] == []


def test_the_onnx_file_is_whole_and_says_what_it_holds(exported) -> None:
    case = exported("mixed", ".onnx")
    model = onnx.load(case.report.path)
    onnx.checker.check_model(model)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert not any("BatchNorm" in node.op_type for node in model.graph.node)
    assert not any("initial" in tensor.name for tensor in model.graph.initializer)
    shapes = {
        value.name: [part.dim_param or part.dim_value for part in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"image": ["batch", 3, 51, 70], "semseg": ["batch", 5, 51, 70], "normals": ["batch", 3, 51, 70]}
    about = json.loads({entry.key: entry.value for entry in model.metadata_props}["atrcnas"])
    assert (about["height"], about["width"]) == case.size
    assert {name: (task["decode"], task["channels"]) for name, task in about["tasks"].items()} == {
        "semseg": ("argmax", 5),
        "normals": ("unit", 3),
    }


def test_a_file_that_computes_something_else_is_refused_and_the_old_one_stays(tmp_path: Path, monkeypatch) -> None:
    def corrupt(net: MultiTaskNet, size: tuple[int, int], **form: bool) -> MultiTaskNet:
        folded = fold_batch_norm(net, size, **form)
        folded.heads["depth"].body[-1].weight *= 1.01
        return folded

    net, out = plain_network(BACKBONE), tmp_path / "net.pt2"
    monkeypatch.setattr(module, "fold_batch_norm", corrupt)
    with pytest.raises(ExportError, match="depth"):
        export(net, SIZE, out)
    assert list(tmp_path.iterdir()) == []
    out.write_text("old")
    with pytest.raises(ExportError, match="differ"):
        export(net, SIZE, out)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("net.pt2", "old")]


@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_a_file_that_takes_one_batch_size_only_is_refused(tmp_path: Path, monkeypatch, suffix: str) -> None:
    def fixed_batch(net: MultiTaskNet, size: tuple[int, int]) -> torch.export.ExportedProgram:
        return torch.export.export(module._Exported(net), (torch.zeros(1, 3, *size),))

    monkeypatch.setattr(module, "_trace", fixed_batch)
    monkeypatch.setattr(torch.onnx, "export", partial(_without_shapes, torch.onnx.export))
    with pytest.raises(ExportError, match="cannot be exported"):
        export(plain_network(BACKBONE), SIZE, tmp_path / f"net{suffix}")
    assert list(tmp_path.iterdir()) == []


def _without_shapes(exporter: Callable[..., object], *args: object, dynamic_shapes: object, **kwargs: object) -> object:
    return exporter(*args, **kwargs)


def test_a_network_that_gives_nan_is_refused(tmp_path: Path) -> None:
    net = plain_network(BACKBONE)
    net.heads["depth"].body[-1].bias.data.fill_(float("nan"))
    with pytest.raises(ExportError, match="inf"):
        export(net, SIZE, tmp_path / "net.pt2")


@pytest.mark.parametrize("build", [mixed_network, far_network])
def test_the_contexts_take_part_in_what_is_compared(build: Callable[[], MultiTaskNet]) -> None:
    net = build()
    image = torch.rand(1, 3, *SIZE)
    contexts = [context for refiner in net.refiners.values() for context in refiner.contexts.values()]
    with torch.no_grad():
        before = net(image).predictions
        for context in contexts:
            changed = [parameter for parameter in context.parameters() if parameter.dim() > 1]
            kept = [parameter.clone() for parameter in changed]
            for parameter in changed:
                parameter.mul_(-0.5)
            after = net(image).predictions
            for parameter, old in zip(changed, kept, strict=True):
                parameter.copy_(old)
            assert any((after[task] - before[task]).abs().max() > 1e-3 * before[task].std() for task in before), context


def test_the_network_stays_as_it_was(tmp_path: Path) -> None:
    net = plain_network(BACKBONE).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    export(net, SIZE, tmp_path / "net.pt2", example=torch.rand(1, 3, *SIZE))
    assert net.training
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_the_exporters_say_nothing(tmp_path: Path, capfd, recwarn) -> None:
    export(plain_network(BACKBONE), SIZE, tmp_path / "net.onnx")
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn.list] == []


def test_another_suffix_names_the_two(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"\.onnx or \.pt2"):
        export(plain_network(BACKBONE), SIZE, tmp_path / "net.tflite")


def test_a_searching_network_is_sent_to_retraining(tmp_path: Path) -> None:
    net = MultiTaskNet(records("depth"), {Pair("depth", "depth"): ("none", "local")}, BackboneSpec(name=BACKBONE))
    with pytest.raises(ExportError, match="retrain"):
        export(net, SIZE, tmp_path / "net.pt2")


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ExportError, match=r"pip install 'atrcnas\[deploy\]'"):
        export(plain_network(BACKBONE), SIZE, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("shape", "dtype"), [((3, 32, 64), None), ((1, 3, 32, 32), None), ((1, 3, 32, 64), torch.uint8)]
)
def test_an_example_of_another_shape_or_type_is_refused(tmp_path: Path, shape: tuple[int, ...], dtype) -> None:
    example = torch.ones(shape, dtype=dtype)
    with pytest.raises(ExportError, match="example"):
        export(plain_network(BACKBONE), SIZE, tmp_path / "net.pt2", example=example)


class OfOneSize(nn.Module):
    """A backbone's body that takes no other image than of 96 x 96."""

    def forward(self, image: Tensor) -> list[Tensor]:
        raise AssertionError(f"expected 96 x 96, got {tuple(image.shape[-2:])}")


def test_a_size_the_backbone_cannot_take_is_named(tmp_path: Path) -> None:
    net = plain_network(BACKBONE)
    net.backbone.body = OfOneSize()
    with pytest.raises(ExportError, match="32 x 64"):
        export(net, SIZE, tmp_path / "net.pt2")
