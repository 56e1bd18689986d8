"""Trials on a real Ray cluster of two nodes, one of which is killed in mid-trial."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from atrcnas.ground.errors import RunError
from atrcnas.launch.engines import open_pool
from atrcnas.launch.sweep import sweep
from atrcnas.runs.results import read_results
from atrcnas.spec.launch import LaunchSpec
from tests.e2e.test_sweep import each_trial_is_whole_and_its_own, spec
from tests.results import record
from tests.unit.launch.fake import FAULT, true_score
from tests.unit.launch.test_strategies import explore

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray")


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield made
    made.shutdown()


def kill_when(true: Callable[[], bool], cluster: Any, node: Any) -> threading.Thread:
    def wait_and_kill() -> None:
        while not true():
            time.sleep(0.01)
        cluster.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=wait_and_kill, daemon=True)
    thread.start()
    return thread


def num_lines(path: Path) -> int:
    return path.read_text().count("\n") if path.is_file() else 0


def test_scores_stay_with_their_configs_when_a_node_dies(
    cluster: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    node = cluster.add_node(num_cpus=2)

    def three_are_running() -> bool:
        begun, ended = (num_lines(tmp_path / "a" / f"{what}.txt") for what in ("begun", "calls"))
        return ended >= 4 and begun - ended == 3  # the head takes one, so two are on the node

    killer = kill_when(three_are_running, cluster, node)
    with open_pool(LaunchSpec(engine="ray", workers=3, address=cluster.address)) as pool:
        trials = explore("oneshot-random", tmp_path / "a", at_once=3, pool=pool, slow=2.0)
    killer.join()
    assert "its worker died" in capfd.readouterr().err
    assert [trial.number for trial in trials] == list(range(30))
    assert all(trial.score == true_score(trial.sample) for trial in trials)
    assert [(t.sample, t.score) for t in trials] == [
        (t.sample, t.score) for t in explore("oneshot-random", tmp_path / "b")
    ]
    entries = [json.loads(line) for line in (tmp_path / "a/trials.jsonl").read_text().splitlines()][1:]
    assert len(entries) == len({json.dumps(entry["sample"]) for entry in entries}) == 30
    record(
        "test_ray", "one of two nodes killed with 3 trials at once: 30 of 30 scores with their own configs, none twice"
    )


def test_a_sweep_loses_and_doubles_nothing_when_a_node_dies(
    cluster: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    node = cluster.add_node(num_cpus=2)
    folder = tmp_path / "run"

    killer = kill_when(lambda: len(list(folder.glob("trials/*/retrain/metrics.csv"))) >= 3, cluster, node)
    lines = list(sweep(spec(launch={"engine": "ray", "workers": 3, "address": cluster.address}), folder))
    killer.join()
    assert "its worker died" in capfd.readouterr().err
    each_trial_is_whole_and_its_own(folder)
    assert lines[1].startswith("contexts_baseline-seed ")
    alone = list(sweep(spec(), tmp_path / "alone"))
    for name in (path.name for path in (folder / "trials").iterdir()):
        scores = [read_results(root / "trials" / name)["scores"] for root in (folder, tmp_path / "alone")]
        assert scores[0] == scores[1], name
    assert [line.split("  ")[0] for line in alone] == [line.split("  ")[0] for line in lines]


def test_a_local_ray_starts_by_itself_and_reserves_what_is_asked(tmp_path: Path) -> None:
    launch = LaunchSpec(engine="ray", workers=2, resources={"CPU": 1})
    with open_pool(launch) as pool:
        answer = pool.submit(FAULT, {"folder": str(tmp_path / "one"), "deaths": 1}).result()
        assert answer["calls"] == 2 and answer["threads"] == "1"
        assert ray.cluster_resources()["CPU"] >= 1
        assert not ray._private.worker.global_worker.node.webui_url, "no dashboard"
    assert not ray.is_initialized()


def test_resources_no_node_has_are_refused_on_a_local_ray() -> None:
    wanted = LaunchSpec(engine="ray", resources={"GPU": 99, "tpu": 1})
    with (
        pytest.raises(RunError, match=r"launch\.resources: no node has .*'GPU': 99.*there are .*'tpu': 0"),
        open_pool(wanted),
    ):
        pass
    assert not ray.is_initialized()


def test_a_cluster_that_lacks_the_resources_yet_is_waited_for(
    cluster: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    launch = LaunchSpec(engine="ray", workers=1, address=cluster.address, resources={"CPU": 1, "special": 1})
    with open_pool(launch) as pool:
        waiting = pool.submit(FAULT, {"folder": str(tmp_path / "one")})
        assert "no node has {'CPU': 1, 'special': 1}" in capfd.readouterr().err
        time.sleep(1)
        assert not waiting.done()
        cluster.add_node(num_cpus=1, resources={"special": 1})
        assert waiting.result(timeout=120)["calls"] == 1


def test_an_address_without_ray_is_one_message() -> None:
    wrong = LaunchSpec(engine="ray", address="127.0.0.1:1")
    with pytest.raises(RunError, match=r"launch\.address: no Ray at '127\.0\.0\.1:1'"), open_pool(wrong):
        pass
