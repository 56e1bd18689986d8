"""Targets that read text: YAML, JSON, CSV tables and id lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from atrcnas.contextbench import table
from atrcnas.data.colours import colour_table
from atrcnas.data.id_lists import read_ids
from atrcnas.deploy.metadata import Metadata
from atrcnas.deploy.pretrained import Config
from atrcnas.engine.logging import known_ids
from atrcnas.ground.files import read_yaml
from atrcnas.launch.ask_tell import Trials
from atrcnas.launch.journal import Journal
from atrcnas.runs.budget import spent
from atrcnas.runs.folder import RunFolder
from atrcnas.runs.results import read_results
from atrcnas.runs.tables import LOGITS, read_metrics, read_some
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.space import SearchSpace
from atrcnas.spec.sweep import SweepSpec
from atrcnas.spec.tasks import TASKS, Task
from tests.fuzz.documents import KEYS, WORDS
from tests.fuzz.guided.mutators import tree, words
from tests.fuzz.guided.rule import Target

NAMES = ("semseg", "depth")
RECORDS = {name: TASKS[name].with_options(5 if TASKS[name].channels is None else None) for name in NAMES}
_ONE = {"depth": RECORDS["depth"]}
_RULES = {"default": ["none", "local", "global"], "diagonal": ["none", "tlabel"], "depth<-semseg": ["slabel"]}
_SPACE = {"schema": 1, "levels": [4], "choose": 1, "pairs": _RULES}
_BRANCHES = {"stage3": [["semseg", "edge"], ["depth"]]}
_EXPERIMENT = {
    "schema": 1, "name": "x", "seed": 3, "tasks": [*NAMES], "auxiliary_tasks": ["edge"], "space": _SPACE,
    "data": {"name": "rooms", "options": {"image_size": [64, 96], "train_size": 8}, "augment": {"scale": [0.75, 1.5]}},
    "task_options": {"depth": {"weight": 2.0}}, "backbone": {"name": "resnet18", "options": {}},
    "model": {"width": 16, "fuse": "concat", "branches": _BRANCHES}, "loggers": {"tensorboard": {}}, "devices": 1,
    "search": {"steps": 6, "strategy": "gumbel", "trials": {"number": 3}, "branches": {"points": ["stage3"], "tau": [5.0, 0.1]}},
    "retrain": {"steps": 4, "optimizer": "adamw", "optimizer_options": {}, "schedule": "poly"},
}  # fmt: skip
_CHOSEN = {"semseg": {"semseg": "none", "depth": "local"}, "depth": {"semseg": "global", "depth": "tlabel"}}
_SOURCE = {
    "seed": 1,
    "score": 0.5,
    "step": 9,
    "probabilities": {"depth<-semseg": {"local": 0.5}},
    "undecided": {"depth<-depth": 0.1},
}
_CONTEXTS = [
    {"schema": 1, "tasks": [*NAMES], "levels": [4], "pairs": _CHOSEN, "model": {"width": 16}, "provenance": _SOURCE},
    {"tasks": [*NAMES], "levels": [4, 8], "pairs": {level: _CHOSEN for level in (4, 8)}},
    {
        "num_tasks": 2,
        "pairs": {"default": "local+global", "diagonal": "none"},
        "model": {"neck": "pyramid", "branches": _BRANCHES},
    },
]
_SWEEP = {
    "name": "s",
    "experiment": _EXPERIMENT,
    "over": {"seed": [0, 1], "contexts": ["search", "baseline"]},
    "sample": 1,
}
_LATENCY = {"median": 1.0, "threads": 1, "device": "c"}
_RESULTS = {
    "scores": {"semseg": {"miou": 0.5, "x": None}, "depth": {"rmse": 1}}, "keep": "best", "selected_on": {"split": "val"},
    "costs": {"image_size": [4, 4], "parameters": 3, "multiply_adds": 3, "latency_ms": _LATENCY},
}  # fmt: skip
_TRIAL = {
    "sample": {"depth<-semseg": "local"},
    "score": 0.5,
    "steps": 4,
    "seconds": 0.5,
    "seed": 1,
    "folder": "a",
    "by_target": {"depth": 0.1},
}
_METRICS = "step,stage,task,name,value\n1,train,,loss,0.5\n1,val,depth,rmse,nan\n2,train,,loss,inf\n"
_LOGITS = "step,level,target,source,kind,logit,probability,committed\n1,4,depth,semseg,local,0.1,0.5,0\n"
_BUDGET = "strategy,trial,step,seconds,score,best\ngumbel,1,10,0.50,0.1,0.1\n"
VOCABULARY = [word for word in dict.fromkeys([*WORDS, *KINDS.names]) if len(word) < 400]
RECORD_KEYS = [
    *Task.__dataclass_fields__,
    "argmax",
    "viridis",
    "vector",
    "sigmoid",
    "unit",
    "classes",
    "scalar",
    *NAMES,
    "tasks",
    "height",
    "width",
]


def _json(*values: Any) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


def _both(*values: Any) -> list[bytes]:
    """As JSON, which YAML includes and whose tree is mutated; and in blocks, whose text is."""
    flow = _json(*values)
    return [*flow, *(yaml.safe_dump(json.loads(text), sort_keys=False).encode() for text in flow)]


def _bench() -> list[bytes]:
    names = table.columns(_ONE)
    rows = (["baseline", "none.none/none.none"], range(2))
    lines = [
        ",".join([config, str(seed), "1.5", "9", *["0.5"] * (len(names) - 4)]) for config in rows[0] for seed in rows[1]
    ]
    return ["\n".join([",".join(names), *lines, ""]).encode()]


def _trials() -> list[bytes]:
    return [b"\n".join([*_json({"at_once": 2}, _TRIAL, _TRIAL), b""])]


def _description() -> list[bytes]:
    return [Metadata(height=8, width=8, tasks=RECORDS).to_json().encode()]


def _experiment(path: Path) -> None:
    experiment = Experiment.load(path)
    if Experiment.load(experiment.dump()).dump() != experiment.dump():
        raise ValueError("an experiment that is written differs when it is read")


def _space(path: Path) -> None:
    space = SearchSpace.load(path)
    if SearchSpace.load(space.dump()) != space:
        raise ValueError("a space that is written differs when it is read")
    space.pools(NAMES)


def _contexts(path: Path) -> None:
    contexts, again = ContextConfig.load(path), path.with_name("again.yaml")
    contexts.save(again)
    if ContextConfig.load(again) != contexts:
        raise ValueError("a context config that is written differs when it is read")
    contexts.kinds(NAMES)


def _sweep(path: Path) -> None:
    spec = SweepSpec.load(path)
    points = spec.sample or 1
    for values in spec.over.values():
        points *= len(values) if spec.sample is None else 1
    if points <= 2:  # each takes milliseconds
        spec.trials()


def _overrides(path: Path) -> None:
    Experiment.load(_EXPERIMENT, path.read_bytes().decode("utf-8", "replace").split("\0"))


def _journal(path: Path) -> None:
    Trials(Journal(path, {"at_once": 2}), _never, 10)


def _never(number: int, sample: Any) -> Any:
    raise AssertionError("no trial is made")


def _began_by(path: Path) -> None:
    RunFolder(path.parent).began_by()


def _network(path: Path) -> None:
    network = Config.read(path)
    network.kinds()
    network.context_config()


def _colours(path: Path) -> None:
    colour_table(path, path.parent, "data.options.colours")


def _metadata(path: Path) -> None:
    Metadata.from_json(path.read_bytes().decode("utf-8", "surrogateescape"), path)


_LINES = [word for line in (_METRICS, _LOGITS) for word in line.replace("\n", ",").split(",")]
_TABLE = words([*_LINES, '"', "\r", ",", "1e400", "1_0", "0x1"])
_TREE, _VALUES = tree(VOCABULARY), tree([*_RESULTS, *_RESULTS["costs"], *_TRIAL, "at_once", "split"])
_TEXT = words([*VOCABULARY, "!!int", "!!set", "&a", "*a", "<<", "|", ">-", "---", "0x", "1:59"])
_OVERRIDES = words([*VOCABULARY, "=", ".", "\0", *[f"{key}={word}" for key in KEYS for word in ("1", "[]", "{}")]])
_OF_KEYS = ("experiment: ", "expected key.path=value", "at most", "on the command line", "plugins: ")
_REFERENCE = {"data": {"semseg": {"depth": 3}, "depth": {"semseg": 0}}, "step": 9}
_CODES, _IDS = tree([*NAMES, "data", "step"]), words(["0001", "..", ".a", "a" * 200, "a" * 201, "\u00e9"])
_LOGGERS = tree(["wandb", "mlflow", "x"])
_NETWORK = {
    "tasks": json.loads(Metadata(height=8, width=8, tasks=RECORDS).to_json())["tasks"],
    "contexts": {"depth<-semseg": "local"}, "backbone": {"name": "resnet18"}, "model": {"width": 16},
}  # fmt: skip
_NETWORKS = tree([*RECORD_KEYS, *_NETWORK, "depth<-semseg", "local"])
_LISTED = words(["0", "255", "256", "void", "wall", "#", ",", "\n", "\r", "\u0663"])
_SWEEPS = tree([*VOCABULARY, *_SWEEP, "quickstart", "baseline"])
_ENTRIES = words([*_TRIAL, "at_once", "{}", "[]", "\n", '"', "{", "}"])

TARGETS = {
    "yaml": Target("x.yaml", read_yaml, lambda: _both(_SPACE, _CONTEXTS[2]), _TEXT, 40_000),
    "experiment": Target("experiment.yaml", _experiment, lambda: _both(_EXPERIMENT), _TREE, names=("plugins: ",)),
    "overrides": Target(
        "overrides", _overrides, lambda: [b"seed=1\0devices=9", b"space=full"], _OVERRIDES, names=_OF_KEYS
    ),
    "space": Target("space.yaml", _space, lambda: _both(_SPACE), _TREE, names=("pairs", "expected a pair")),
    "contexts": Target("contexts.yaml", _contexts, lambda: _both(*_CONTEXTS), _TREE),
    "reference": Target("reference.json", _contexts, lambda: _json(_REFERENCE), _CODES, 40_000),
    "sweep": Target("sweep.yaml", _sweep, lambda: _both(_SWEEP), _SWEEPS, names=("trial ", "over: ")),
    "results": Target(
        "results.json", lambda path: read_results(path.parent), lambda: _json(_RESULTS), _VALUES, 150_000
    ),
    "journal": Target("trials.jsonl", _journal, _trials, _ENTRIES, 200_000),
    "loggers": Target("loggers.json", known_ids, lambda: _json({"wandb": "x1", "mlflow": None}), _LOGGERS, 40_000),
    "environment": Target(
        "environment.json", _began_by, lambda: _json({"command": ["run", "x"]}), tree(["command"]), 40_000
    ),
    "network": Target(
        "config.json", _network, lambda: _json(_NETWORK), _NETWORKS, names=("context config", "expected a pair")
    ),
    "colours": Target("colours.csv", _colours, lambda: [b"0,0,0,void\n1,2,3,wall\n4 5 6 floor\n"], _LISTED, 100_000),
    "description": Target("x.onnx", _metadata, _description, tree(RECORD_KEYS), 250_000),
    "metrics": Target("metrics.csv", read_metrics, lambda: [_METRICS.encode()], _TABLE),
    "logits": Target("logits.csv", lambda path: read_some(path, LOGITS), lambda: [_LOGITS.encode()], _TABLE),
    "budget": Target("budget.csv", spent, lambda: [_BUDGET.encode()], _TABLE),
    "contextbench": Target("bench.csv", lambda path: table.read(path, _ONE), _bench, _TABLE),
    "ids": Target(
        "train.txt", lambda path: read_ids(path, "Correct it."), lambda: [b"0001\n0002\n2008_000003\n"], _IDS, 400_000
    ),
}
