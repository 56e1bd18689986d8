"""Which parts of a preset's network, and of a search, are held to the reference's numbers: what tests/parity say when run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from atrcnas import KINDS, ContextConfig, SearchSpace
from atrcnas.spec.model import ModelSpec

ROOT = Path(__file__).resolve().parents[1]
_STEP = "tests/parity/test_contexts.py::test_training_step_equals_the_reference[{}]"
_ATRC = "tests/parity/test_published_networks.py::test_network_of_atrc_predicts_what_the_published_one_does[{}]"
_PRESET = "tests/parity/test_published_networks.py::test_preset_predicts_what_the_published_network_does[{}]"
# Whole network of a preset -> the test that compares its predictions with the published code's, tasks and size in its id.
_NETWORKS = {
    "atrc": _ATRC.format("atrc-5-75x100"),
    "baseline": _ATRC.format("baseline-3-33x47"),
    "mti-net": _PRESET.format("mti-net-5-64x32"),
    "pad-net": _PRESET.format("pad-net-5-32x64"),
}
# Part of a network or of a search -> the test that holds it to the reference's numbers.
PROOFS = {
    **{kind: _STEP.format(kind) for kind in ("global", "local", "tlabel", "slabel")},
    "mti": "tests/parity/test_mti.py::test_distillation_equals_the_reference",
    "relations": "tests/parity/test_relations.py::test_fixed_module_with_mixed_kinds_and_a_target_without_sources",
    "propagation": "tests/parity/test_mti.py::test_propagation_equals_the_reference",
    "mixture": "tests/parity/test_relations.py::test_supernet_under_a_given_mixture",
    "entropy": "tests/parity/test_relations.py::test_entropy_term",
    "conv3-features": _NETWORKS["atrc"],
    "bottleneck2-features": _NETWORKS["pad-net"],
    "basic2-features": _NETWORKS["mti-net"],
    "conv1-head": _NETWORKS["atrc"],
    "bottleneck2-head": _NETWORKS["pad-net"],
    "pyramid-head": _NETWORKS["mti-net"],
    **{f"{name}-network": test for name, test in _NETWORKS.items()},
}
# The whole networks again, as points of the space; the kinds of `atrc` are those its test mixes.
_FORMS = {
    "atrc": ({"none", "global", "tlabel", "slabel"}, ModelSpec()),
    "baseline": ({"none"}, ModelSpec(refine=False)),
    **{name: ({"none", "mti"}, ModelSpec(**ContextConfig.load(name).model.given())) for name in ("mti-net", "pad-net")},
}


@dataclass(frozen=True)
class Trial:
    """One row of a table: a preset to train, or a space to search and then train what was found.

    Attributes:
        name: in the table.
        tasks: predicted ones.
        preset: its name, "" for a search.
        space: its name, "" for a preset.
        auxiliary: tasks that only help.
        model: settings of a search; a preset brings its own.
        branches: how a search also finds where tasks part in the encoder.
    """

    name: str
    tasks: tuple[str, ...]
    preset: str = ""
    space: str = ""
    auxiliary: tuple[str, ...] = ()
    model: Mapping[str, Any] = field(default_factory=dict, hash=False)
    branches: Mapping[str, Any] = field(default_factory=dict, hash=False)


def parts(trial: Trial) -> list[str]:
    """The parts of a trial's network, and of its search, that have a golden: keys of ``PROOFS``."""
    if trial.space:
        pools, model = SearchSpace.load(trial.space).pools(trial.tasks), ModelSpec(**trial.model)
        kinds = {kind for pool in pools.values() for kind in pool}
    else:
        config = ContextConfig.load(trial.preset)
        model = ModelSpec(**config.model.given())
        kinds = set(config.kinds(trial.tasks, trial.tasks + trial.auxiliary).values())
    has = [kind.name for kind in KINDS if kind.name in kinds and kind.name in PROOFS]
    has += ["relations"] if has and model.fuse == "concat" else []
    has += ["propagation"] if model.propagate else []
    has += [part for part in (f"{model.task_features}-features", f"{model.head}-head") if part in PROOFS]
    if trial.space:
        return [*has, "mixture", "entropy"]
    return has + [f"{name}-network" for name, (most, form) in _FORMS.items() if kinds <= most and model == form]


def prove(work: Path) -> dict[str, bool]:
    """Run the tests behind ``PROOFS``: part -> whether every one of them ran and passed."""
    report = work / "parity.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *PROOFS.values()]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)  # the report says what failed
    passed = set()
    for case in ElementTree.parse(report).iter("testcase"):
        if not len(case):  # a failure, an error or a skip would be below it
            passed.add((case.attrib["classname"].rpartition(".")[2], case.attrib["name"]))
    return {
        part: (Path(file).stem, test) in passed for part, node in PROOFS.items() for file, test in [node.split("::")]
    }


def parity(trial: Trial, proven: Mapping[str, bool]) -> str:
    """A cell: the parts with a golden, or those of them whose test did not pass."""
    failing = [part for part in parts(trial) if not proven[part]]
    return f"no: {' '.join(failing)}" if failing else " ".join(parts(trial)) or "-"
