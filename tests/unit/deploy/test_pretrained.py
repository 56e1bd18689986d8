"""Networks that travel: by a folder, and by a hub that is played by a server on this machine."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import HfApi, ModelCard
from huggingface_hub.hf_api import RepoUrl
from safetensors import safe_open
from tiny_networks import BACKBONE, far_network, mixed_network, pyramid_network, randomised

from atrcnas import MultiTaskNet, Predictor
from atrcnas.deploy import hub
from atrcnas.deploy.pretrained import pack
from atrcnas.engine.checkpoints import save_weights
from atrcnas.engine.networks import fixed_network
from atrcnas.ground.errors import AtrcnasError, CheckpointError, ExportError
from atrcnas.ground.files import write_yaml
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.results import write_results
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment

IMAGE = torch.rand(1, 3, 50, 70, generator=torch.Generator().manual_seed(3))
COMMIT = "0123456789" * 4
SECRET = "/home/someone/data"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a retrained and scored run on a folder of images."""
    root = tmp_path_factory.mktemp("run")
    names = {"semseg": ["wall", "floor", "cup"]}
    data = {"name": "folder", "options": {"root": SECRET, "image_size": [48, 64], "class_names": names}}
    settings = {"name": "kitchen", "tasks": ["semseg", "depth"], "backbone": {"name": BACKBONE}, "model": {"width": 8}}
    experiment = Experiment.load({**settings, "data": data})
    contexts = ContextConfig.load("uniform-local")
    folder = RunFolder(root)
    write_yaml(folder.experiment, experiment.dump())
    contexts.save(folder.contexts)
    save_weights(randomised(fixed_network(experiment, contexts)), folder.weights)
    latency = {"median": 1.0, "threads": 1, "device": "cpu"}
    costs = {"image_size": [48, 64], "parameters": 1234567, "multiply_adds": 10**9, "latency_ms": latency}
    scores = {"semseg": {"miou": 0.4321}, "depth": {"rmse": float("nan")}}
    write_results(folder.results, {"scores": scores, "costs": costs})
    return root


@pytest.fixture(scope="module")
def packed(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(run, tmp_path_factory.mktemp("packed") / "kitchen", "cc-by-4.0")


@pytest.fixture
def folder(packed: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(packed, tmp_path / "copy"))


@pytest.mark.parametrize("build", [mixed_network, pyramid_network, far_network])
def test_a_network_from_a_folder_is_the_one_that_was_saved(tmp_path: Path, build: Callable[[], MultiTaskNet]) -> None:
    """All kinds, several levels, auxiliary tasks, initial predictions."""
    net = build()
    net.save_pretrained(tmp_path)
    again = MultiTaskNet.from_pretrained(tmp_path)
    assert again.candidates == net.candidates
    assert not again.training
    with torch.no_grad():
        before, after = net(IMAGE), again(IMAGE)
    for part in ("predictions", "labels", "initial"):
        assert all(torch.equal(value, getattr(after, part)[key]) for key, value in getattr(before, part).items())


def test_a_packed_run_predicts_what_the_run_does(run: Path, packed: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    source, copy = Predictor.open(run), Predictor.open(packed)
    assert copy.tasks["semseg"].class_names == ("wall", "floor", "cup")
    assert copy.size == (48, 64)
    for task, expected in source(photo).items():
        assert np.array_equal(copy(photo)[task], expected)


def test_the_weights_file_says_what_it_is_of(packed: Path) -> None:
    with safe_open(packed / "model.safetensors", framework="pt") as content:
        facts = content.metadata()
    assert facts["tasks"] == "semseg, depth"
    assert (packed / "model.safetensors").stat().st_mode == (packed / "config.json").stat().st_mode
    assert facts["atrcnas"] == "0.1.0"
    assert json.loads(facts["contexts"])["depth<-semseg"] == "local"


def test_the_card_has_scores_heat_map_recipe_and_licence_and_nothing_of_the_machine(packed: Path) -> None:
    card = ModelCard.load(packed / "README.md")
    assert (card.data.library_name, card.data.license) == ("atrcnas", "cc-by-4.0")
    assert "| semseg | miou | 0.4321 | higher is better |" in card.text
    assert "| depth | rmse | not defined | m, lower is better |" in card.text
    assert "0 wall, 1 floor, 2 cup" in card.text
    assert "(contexts.png)" in card.text and (packed / "contexts.png").stat().st_size > 1000
    recipe = yaml.safe_load(card.text.split("```yaml\n")[1].split("```")[0])
    assert recipe["retrain"]["steps"] == 40_000
    assert ContextConfig.load(packed / "contexts.yaml").kinds(["semseg", "depth"])
    assert not any(SECRET.encode() in path.read_bytes() for path in packed.iterdir())


def test_saved_again_it_keeps_what_is_known_of_it(packed: Path, tmp_path: Path) -> None:
    MultiTaskNet.from_pretrained(packed).save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == (packed / "README.md").read_text()
    assert (tmp_path / "config.json").read_bytes() == (packed / "config.json").read_bytes()


def test_a_supernet_is_not_saved(tmp_path: Path) -> None:
    net = mixed_network()
    for refiner in net.refiners.values():
        refiner.searching = True
    with pytest.raises(ExportError, match="supernet"):
        net.save_pretrained(tmp_path)


def test_pushing_uploads_the_same_folder(
    run: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def create_repo(self: HfApi, repo_id: str, **options: Any) -> RepoUrl:
        return RepoUrl(f"https://huggingface.co/{repo_id}")

    def upload_folder(self: HfApi, *, repo_id: str, folder_path: Path, **options: Any) -> str:
        asked.update(repo_id=repo_id, files=sorted(path.name for path in Path(folder_path).iterdir()))
        shutil.copytree(folder_path, tmp_path / "hub")
        return "done"

    monkeypatch.setattr(HfApi, "create_repo", create_repo)
    monkeypatch.setattr(HfApi, "upload_folder", upload_folder)
    assert MultiTaskNet.from_run(run, "cc-by-4.0").push_to_hub("me/kitchen") == "done"
    files = sorted(path.name for path in packed.iterdir())
    assert asked == {"repo_id": "me/kitchen", "files": files}
    assert files == ["README.md", "config.json", "contexts.png", "contexts.yaml", "model.safetensors"]
    pushed, saved = (MultiTaskNet.from_pretrained(place).state_dict() for place in (tmp_path / "hub", packed))
    assert all(torch.equal(pushed[name], value) for name, value in saved.items())


@pytest.fixture
def server(packed: Path) -> Iterator[tuple[str, list[str]]]:
    """The part of the Hub's interface that a download uses: its address, and the paths that were asked for."""
    asked: list[str] = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            name = self.path.rpartition("/")[2]
            if self.path.startswith("/me/kitchen/resolve/") and (packed / name).is_file():
                return self._answer((packed / name).read_bytes())
            return self.send_error(404)

        do_HEAD = do_GET

        def _answer(self, content: bytes) -> None:
            self.send_response(200)
            for key, value in {"ETag": f'"{len(content)}"', "X-Repo-Commit": COMMIT}.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}", asked
        listening.shutdown()


def test_from_a_hub_only_weights_and_configuration_are_fetched(
    packed: Path, tmp_path: Path, server: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    address, asked = server
    net = MultiTaskNet.from_pretrained("me/kitchen", endpoint=address, cache_dir=tmp_path)
    assert "Hugging Face Hub" in capsys.readouterr().err
    with torch.no_grad():
        got, expected = (one(IMAGE).predictions["depth"] for one in (net, MultiTaskNet.from_pretrained(packed)))
    assert torch.equal(got, expected)
    assert set(asked) == {
        "/me/kitchen/resolve/main/config.json",
        f"/me/kitchen/resolve/{COMMIT}/model.safetensors",
    }


def test_a_network_the_hub_does_not_have_is_named(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    with pytest.raises(CheckpointError, match=r"me/other: no such path, and not to be had"):
        MultiTaskNet.from_pretrained("me/other", endpoint=server[0], cache_dir=tmp_path)


def test_only_what_can_be_nothing_else_is_looked_for_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def download(name: str, *_: Any, **__: Any) -> str:
        looked.append(name)
        raise OSError("offline")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/mine").mkdir(parents=True)
    for source in ("runs/mine", "model.onnx", "runs/model.onnx", "/runs/mine", "../mine", "a/b/c", "mine", "a b/c", ""):
        with pytest.raises(AtrcnasError):
            Predictor.open(source)
        assert not looked
    with pytest.raises(CheckpointError, match="offline"):
        Predictor.open("me/kitchen")
    assert looked == ["me/kitchen"]


def _changed(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / hub.CONFIG).read_text())
    for key, value in changes.items():
        section, _, last = key.rpartition("__")
        (config[section] if section else config)[last] = value
    (folder / hub.CONFIG).write_text(json.dumps(config))


LIES = {
    "a plugin": {"plugins": ["antigravity"]},
    "another library": {"library_name": "other"},
    "no tasks": {"tasks": {}},
    "an unknown kind": {"contexts": {"depth<-semseg": "osmosis"}},
    "a pair of other tasks": {"contexts": {"depth<-edge": "local"}},
    "no pair": {"contexts": {"depth": "local"}},
    "another backbone": {"backbone": {"name": "resnet18"}},
    "a backbone from the hub": {"backbone": {"name": "hf-hub:someone/model"}},
    "an option of the backbone that loads": {"backbone__options": {"checkpoint_path": "x.pth"}},
    "another width": {"model__width": 16},
    "an enormous width": {"model__width": 10**9},
    "a size without end": {"origin__size": [10**9, 10**9]},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_configuration_that_does_not_fit_is_refused_in_words(folder: Path, lie: str) -> None:
    _changed(folder, **LIES[lie])
    with pytest.raises(AtrcnasError, match=str(folder) if lie != "a size without end" else "size"):
        Predictor.open(folder)


def test_weights_that_a_configuration_names_are_not_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("timm.models.load_state_dict", lambda path, **_: asked.append(path))
    _changed(folder, backbone__weights=str(folder / "model.safetensors"))
    MultiTaskNet.from_pretrained(folder)
    assert asked == []


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_pipe_or_a_damaged_file_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b" " * 2_000_000):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=name):
            MultiTaskNet.from_pretrained(folder)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(CheckpointError):
        MultiTaskNet.from_pretrained(folder)


def test_where_nothing_can_be_written_it_says_so(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AtrcnasError, match="cannot write here"):
        pack(run, tmp_path / "file")
