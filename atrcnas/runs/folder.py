"""The run folder: where each file of a run is, who may write it, and what it was made with."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrcnas.ground.errors import RunError
from atrcnas.ground.files import PARTIAL, make_folder, read_yaml, write_json, write_yaml
from atrcnas.ground.locking import LockHeldError, locked
from atrcnas.ground.opening import read_regular
from atrcnas.ground.paths import below, require_plain_tree
from atrcnas.ground.rank import first_process
from atrcnas.ground.registry import Registry
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.overrides import differences
from atrcnas.spec.paths import require_places
from atrcnas.spec.tasks import TASKS, Task

# What may change within a run, and what matters only once the stage has started.
FREE = ("plugins", "devices", "num_nodes", "launch", "loggers")
SECTIONS = {"search": ("search", "space"), "retrain": ("retrain",)}
FREE_OF_DATA = ("workers", "cache_mib")
STAGES = tuple(SECTIONS)
RESUME = "resume"  # the command that goes on with whatever began a run
_MAX_BYTES = 10**6


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run.

    Attributes:
        root: the folder.
    """

    root: Path

    @property
    def experiment(self) -> Path:
        """The resolved experiment."""
        return self.root / "experiment.yaml"

    @property
    def environment(self) -> Path:
        """What the run was made with, and the command that began it."""
        return self.root / "environment.json"

    @property
    def contexts(self) -> Path:
        """The chosen context config."""
        return self.root / "contexts.yaml"

    @property
    def weights(self) -> Path:
        """Weights of the retrained network."""
        return self.root / "model.safetensors"

    @property
    def results(self) -> Path:
        """Scores and costs of the retrained network."""
        return self.root / "results.json"

    @property
    def samples(self) -> Path:
        """Predictions and ground truth of some validation images."""
        return self.root / "samples"

    @property
    def confusion(self) -> Path:
        """Pixels by true and predicted class."""
        return self.root / "confusion.csv"

    @property
    def importance(self) -> Path:
        """What the scores lose without the context of each pair."""
        return self.root / "importance.csv"

    @property
    def plots(self) -> Path:
        """Figures."""
        return below(self.root, "plots")

    @property
    def report(self) -> Path:
        """The page that shows it all."""
        return below(self.root, "report.html")

    @property
    def exported(self) -> Path:
        """The network as the whole job exports it."""
        return below(self.root, "deploy", "model.onnx")

    def stage(self, stage: str) -> Path:
        """Folder of ``search`` or ``retrain``: metrics, logits, checkpoints."""
        return self.root / stage

    def metrics(self, stage: str) -> Path:
        """Losses, schedules and scores of a stage, by step."""
        return self.stage(stage) / "metrics.csv"

    @property
    def logits(self) -> Path:
        """Logits and probabilities of a search, by step."""
        return self.stage("search") / "logits.csv"

    @property
    def branch_logits(self) -> Path:
        """Logits and probabilities of the copies in a search of branches, by step."""
        return self.stage("search") / "branches.csv"

    @property
    def branches(self) -> Path:
        """Run folder of the search of branches that comes before that of contexts."""
        return self.stage("search") / "branches"

    @property
    def budget(self) -> Path:
        """What a search has spent, and the scores it has found with it."""
        return self.stage("search") / "budget.csv"

    @property
    def journal(self) -> Path:
        """The finished trials of a search by trials."""
        return self.stage("search") / "trials.jsonl"

    def seed(self, number: int) -> Path:
        """Run folder of one of several searches with different seeds."""
        return self.stage("search") / f"seed-{number}"

    @property
    def sweep(self) -> Path:
        """What a sweep was made with."""
        return self.root / "sweep.yaml"

    @property
    def sweep_journal(self) -> Path:
        """The finished trials of a sweep."""
        return self.root / "trials.jsonl"

    def checkpoints(self, stage: str) -> Path:
        """Folder of the checkpoints of a stage."""
        return self.stage(stage) / "checkpoints"

    def load_experiment(self, overrides: Sequence[str] = ()) -> Experiment:
        """The experiment this run was made with.

        Args:
            overrides: ``key.path=value`` for where its files are now, or where it computes.

        Raises:
            RunError: this is not a run folder.
            ConfigError: an override of anything else.
        """
        if not self.experiment.is_file():
            raise RunError(f"{self.root}: expected a run folder, got one without experiment.yaml. Check the path.")
        meant = self._before_selection()
        if overrides:
            paths = Experiment.load(self.experiment, meant, check_space=False).paths()
            require_places(overrides, paths, FREE)
        return Experiment.load(self.experiment, [*meant, *overrides], check_space=False)

    def task_table(self) -> Registry[Task]:
        """The task table with the tasks of this run as its experiment has them; of no run, that of the package.

        Raises:
            ConfigError: the experiment cannot be read any more.
        """
        return (
            TASKS.with_records(self.load_experiment().resolved_tasks().values()) if self.experiment.is_file() else TASKS
        )

    def _before_selection(self) -> list[str]:
        """What an experiment.yaml of a version without these keys meant."""
        value = read_yaml(self.experiment, "experiment")
        sections = value if isinstance(value, dict) else {}
        missing = []
        for section, key, meant in (("data", "selection", "0"), ("retrain", "keep", "best")):
            given = sections.get(section)
            if isinstance(given, dict) and key not in given:
                missing.append(f"{section}.{key}={meant}")
        return missing

    def load_contexts(self) -> ContextConfig:
        """The context config of this run.

        Raises:
            RunError: nothing was searched or given yet.
        """
        if not self.contexts.is_file():
            raise RunError(
                f"{self.contexts}: not there yet. Run `atrcnas search` into {self.root} first, or give --contexts."
            )
        return ContextConfig.load(self.contexts)

    @contextmanager
    def locked(self, writes: bool = True) -> Iterator[None]:
        """Hold the folder for writing; in processes that only help another one, do nothing.

        Raises:
            RunError: another process holds it, or it cannot be written.
            AtrcnasError: it holds a link or a pipe.
        """
        if not writes:
            yield
            return
        with ExitStack() as held:
            try:
                make_folder(self.root)
                require_plain_tree(self.root)
                held.enter_context(locked(self.root / ".lock"))
                for left in self.root.rglob(f"{PARTIAL}*"):
                    left.unlink(missing_ok=True)
            except LockHeldError as error:
                raise RunError(
                    f"{self.root}: another process is writing this run. Wait for it, or choose another --run."
                ) from error
            except OSError as error:
                raise RunError(f"{self.root}: cannot write here ({error.strerror}). Choose another --run.") from error
            yield

    def begun(self, stage: str) -> bool:
        """Whether a stage has a checkpoint to go on from; one that failed before its first may be started again."""
        finished = stage == "retrain" and self.results.is_file()
        by_trials = stage == "search" and self.journal.exists()
        by_seeds = stage == "search" and RunFolder(self.seed(0)).checkpoints(stage).exists()
        return finished or by_trials or by_seeds or self.checkpoints(stage).exists()

    def enter(self, experiment: Experiment, stage: str, resume: bool, environment: Mapping[str, Any]) -> None:
        """Write down what a stage is made with; called after all input checks.

        Args:
            experiment: the resolved experiment.
            stage: "search" or "retrain".
            resume: whether the stage may have started before.
            environment: versions, device and commit.

        Raises:
            RunError: the stage has already started and ``resume`` is off, or the run's experiment differs.
        """
        if self.begun(stage) and not resume:
            raise RunError(
                f"{self.stage(stage)}: this run has already started. Add --resume to continue, or choose another --run."
            )
        experiment = experiment.with_space_inline().with_absolute_paths()
        self._check_same(experiment)
        if not first_process():
            return
        if resume and not self.begun(stage):
            print(f"{self.root}: nothing to resume in '{stage}'; starting.", file=sys.stderr)
        began_by = self.began_by()
        write_yaml(self.experiment, experiment.dump())
        goes_on = (environment.get("command") or [])[:1] == [RESUME] and began_by
        write_json(self.environment, {**environment, **({"command": began_by} if goes_on else {})})

    def began_by(self) -> list[str]:
        """The words of the command line that began this run; none if it was no command, or an earlier version."""
        try:
            command = json.loads(read_regular(self.environment, _MAX_BYTES)).get("command")
        except (OSError, ValueError, AttributeError, RecursionError):
            return []
        return [str(word) for word in command] if isinstance(command, list) else []

    def move(self, experiment: Experiment) -> None:
        """Write down where the files of a run are now.

        Args:
            experiment: the run's own with other paths, see :meth:`load_experiment`.

        Raises:
            RunError: another process writes the run.
        """
        with self.locked(first_process()):
            if first_process():
                write_yaml(self.experiment, experiment.with_space_inline().with_absolute_paths().dump())

    def check_contexts(self, contexts: ContextConfig, experiment: Experiment) -> None:
        """Refuse a context config that is not the one this run started with.

        Raises:
            RunError: it differs.
        """
        begun = any(self.begun(stage) for stage in SECTIONS)
        if not begun:
            return
        kinds, before = contexts.kinds(experiment.tasks, experiment.all_tasks), self.load_contexts()
        same_tree = before.model.branches == contexts.model.branches
        if before.kinds(experiment.tasks, experiment.all_tasks) != kinds or not same_tree:
            raise RunError(f"{self.contexts}: this run has another context config. Choose another --run.")

    def keep_contexts(self, contexts: ContextConfig, experiment: Experiment) -> None:
        """Write the context config, pair by pair, unless the search of this run has."""
        if first_process() and not self.begun("search"):
            kinds = contexts.kinds(experiment.tasks, experiment.all_tasks)
            ContextConfig.from_kinds(kinds, contexts.model.given(), contexts.provenance).save(self.contexts)

    def _check_same(self, experiment: Experiment) -> None:
        """Refuse an experiment that differs from the run's in what its started stages depend on."""
        begun = {stage for stage in SECTIONS if self.begun(stage)}
        if not begun:
            return
        free = set(FREE).union(*(keys for stage, keys in SECTIONS.items() if stage not in begun))
        earlier = self.load_experiment().with_absolute_paths()
        before, now = (_without_free(one.dump()) for one in (earlier, experiment))
        fixed = [key for key in now if key not in free]
        differing = differences({key: before.get(key) for key in fixed}, {key: now[key] for key in fixed})
        if differing:
            raise RunError(
                f"{self.experiment}: cannot continue, the experiment differs in {differing}. "
                "Use the run's own experiment.yaml, or choose another --run."
            )


def _without_free(dump: dict[str, Any]) -> dict[str, Any]:
    return {**asked(dump), "data": {key: value for key, value in dump["data"].items() if key not in FREE_OF_DATA}}


def asked(dump: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment's values without a tree that its own search finds, which the run writes into it."""
    if not dump["search"].get("branches"):
        return dict(dump)
    return {**dump, "model": {**dump["model"], "branches": {}}}
