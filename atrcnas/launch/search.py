"""The search that an experiment asks for, whatever its strategy."""

from __future__ import annotations

import math
import shutil
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from atrcnas.engine.cost_table import limits_of
from atrcnas.engine.devices import surroundings
from atrcnas.engine.gradient_search import search as search_by_gradient
from atrcnas.engine.labels_check import require_labels
from atrcnas.engine.logging import open_clients, tell
from atrcnas.engine.networks import searched_config
from atrcnas.engine.splits import open_splits
from atrcnas.ground.errors import ConfigError, RunError
from atrcnas.launch.ask_tell import Make, Sample, Trial, Trials, digest, progress
from atrcnas.launch.branches import with_branches
from atrcnas.launch.engines import open_pool
from atrcnas.launch.journal import Journal
from atrcnas.launch.pool import Pool
from atrcnas.launch.profiling import Profile
from atrcnas.launch.proposals import Proposals, as_begun, choose
from atrcnas.launch.run_trial import TRAIN
from atrcnas.launch.seeds import search_seeds
from atrcnas.launch.supernet import train_evenly
from atrcnas.runs.budget import Budget, spent
from atrcnas.runs.folder import RunFolder
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.pairs import Pair
from atrcnas.spec.strategies import STRATEGIES


def search(experiment: Experiment, run: str | Path, resume: bool = False, profile: bool = False) -> ContextConfig:
    """Search the context of every pair by ``search.strategy``, and the branches of the encoder if ``search.branches`` asks.

    Args:
        experiment: what to search on; its ``search`` section is the recipe, ``launch`` says where trials run.
        run: run folder; gets ``contexts.yaml`` and ``search/budget.csv``; from a search by gradient, metrics, logits and
            checkpoints, from several seeds a run folder of each, ``search/seed-N``; from one by trials,
            ``search/trials.jsonl`` and the run folder of each, ``search/trials/NAME``.
        resume: continue from the last checkpoint, or the trials in the journal.
        profile: show where the time of a few steps goes, in a search by gradient.

    Returns:
        The chosen context config.

    Raises:
        AtrcnasError: see the message.
    """
    strategy, several = STRATEGIES[experiment.search.strategy], experiment.search.seeds > 1
    if profile:
        _check_profiled(experiment)
    if several or not strategy.by_gradient:
        experiment.check_one_device("a search with several seeds" if several else "a trial")
    # A search of branches takes long: what is refused is refused before it.
    proposals = None if strategy.by_gradient else choose(strategy, experiment.search.trials.proposals)
    experiment = with_branches(experiment, run, resume)
    if proposals is not None:
        return _search_by_trials(experiment, run, resume, proposals)
    if several:
        return search_seeds(experiment, run, resume)
    watching = [Profile(RunFolder(Path(run)).stage("search") / "profile")] if profile else []
    return search_by_gradient(experiment, run, resume, watching)


def _check_profiled(experiment: Experiment) -> None:
    """Refuse a profile of anything but one search by gradient."""
    if experiment.search.seeds > 1:
        raise ConfigError("--profile: looks at one search, got several seeds. Set search.seeds=1.")
    strategy = STRATEGIES[experiment.search.strategy]
    if not strategy.by_gradient:
        raise ConfigError(
            f"--profile: expected a search by gradient, got '{strategy.name}'. Set search.strategy=gumbel."
        )


def _search_by_trials(experiment: Experiment, run: str | Path, resume: bool, proposals: Proposals) -> ContextConfig:
    """Score configs that ``proposals`` asks for, and keep the best."""
    strategy, options = STRATEGIES[experiment.search.strategy], experiment.search.trials
    require_labels(experiment, open_splits(experiment))
    folder = RunFolder(Path(run).absolute())
    with folder.locked():
        folder.enter(experiment, "search", resume, surroundings(experiment))
        supernet, cost = _supernet(experiment, folder) if strategy.score else (None, (0, 0.0))
        journal = Journal(folder.journal, {"at_once": experiment.launch.workers, **proposals.header})
        proposals = as_begun(proposals, strategy, journal)
        best = _Best(experiment, folder, cost, proposals.library)
        pools = experiment.search_space().pools(experiment.tasks, experiment.all_tasks)
        try:
            with open_pool(experiment.launch) as pool:
                limits = limits_of(experiment, open_splits(experiment)) if experiment.search.budget else None
                make = _maker(experiment, folder, pool, supernet)
                trials = Trials(journal, make, options.number, best.on_trial, limits, pools)
                seed = experiment.seed if options.seed is None else options.seed
                proposals.explore({str(pair): pool for pair, pool in pools.items()}, trials, options, seed)
                trials.finish()
            _drop_checkpoints(folder)
            best.budget.table.sync()
        finally:
            tell(best.loggers, lambda logger: logger.close())
        return best.contexts()


def _supernet(experiment: Experiment, folder: RunFolder) -> tuple[str, tuple[int, float]]:
    """The run folder whose supernet scores the configs, and what its training cost."""
    given = experiment.search.trials.supernet
    run = Path(given).absolute() if given else folder.root / "supernet"
    if given:
        _check_same_data(experiment, RunFolder(run))
    else:
        train_evenly(experiment, run)
    return str(run), spent(RunFolder(run).budget)[:2]


def _check_same_data(experiment: Experiment, supernet: RunFolder) -> None:
    """Refuse a supernet that was trained on samples that configs would be chosen on here."""
    other = supernet.load_experiment()
    for key in ("seed", "data.name", "data.options", "data.selection"):
        here, there = (_value(which.with_absolute_paths(), key) for which in (experiment, other))
        if here != there:
            raise ConfigError(
                f"search.trials.supernet: {supernet.root} has {key}: {there}, this experiment {here}; its weights may have "
                "seen what configs are chosen on here. Search with the same data and seed, or leave supernet out."
            )


def _value(experiment: Experiment, key: str) -> Any:
    value: Any = experiment.dump()
    for part in key.split("."):
        value = value[part]
    return value


def _maker(experiment: Experiment, folder: RunFolder, pool: Pool, supernet: str | None) -> Make:
    """Starts a trial: a training of its own, or a score with the weights of ``supernet``."""
    if (score := STRATEGIES[experiment.search.strategy].score) is not None:
        values = experiment.dump()
        return lambda _, sample, share, before: pool.submit(
            score, {"experiment": values, "sample": dict(sample), "supernet": supernet}
        )
    steps = experiment.search.trials.steps
    every = {key: min(getattr(experiment.retrain, key), steps) for key in ("validate_every", "log_every")}
    # Loggers show the search, not each of its trials.
    values = {**experiment.replace(retrain={"steps": steps, **every}).dump(), "loggers": {}}

    def make(number: int, sample: Sample, share: float, before: float) -> Future[dict[str, Any]]:
        where = folder.stage("search") / "trials" / f"{number:04d}-{digest(sample)}"
        asked = {"sample": dict(sample), "folder": str(where), "share": share, "before": before}
        return pool.submit(TRAIN, {"experiment": values, **asked})

    return make


def _drop_checkpoints(folder: RunFolder) -> None:
    """Of trainings that were not asked to go on."""
    for left in folder.stage("search").glob("trials/*/retrain/checkpoints"):
        shutil.rmtree(left, ignore_errors=True)


class _Best:
    """Callback per trial: keeps the budget, and the best config in contexts.yaml."""

    def __init__(
        self, experiment: Experiment, folder: RunFolder, cost: tuple[int, float], proposals: str | None
    ) -> None:
        self.experiment, self.folder, (self.steps, self.seconds) = experiment, folder, cost
        self.proposals = proposals
        self.budget = Budget(folder.budget, experiment.search.strategy)
        self.budget.table.begin()
        self.loggers = open_clients(experiment, folder, "search")
        self.best: Trial | None = None
        self.num_trials = 0

    def on_trial(self, trial: Trial) -> None:
        self.num_trials = max(self.num_trials, trial.number + 1)
        self.steps, self.seconds = self.steps + trial.steps, self.seconds + trial.seconds
        if self.best is None or (trial.share, trial.rank) > (self.best.share, self.best.rank):
            self.best = trial
            self.contexts()
        self.budget.add(self.num_trials, self.steps, trial.score, self.seconds)
        scores = {"search/trial/score": trial.score, "search/trial/best": self.best.score}
        tell(self.loggers, lambda logger: logger.scalars(scores, self.num_trials))
        progress(trial, self.best.score, self.experiment.search.trials.number)

    def contexts(self) -> ContextConfig:
        """The best config; written again, since it says how many trials it was chosen from."""
        if self.best is None:
            raise RunError("search.strategy: the strategy asked for no trial. Check it, or the search space.")
        kinds = {Pair.parse(pair): kind for pair, kind in self.best.sample.items()}
        score = self.best.score if math.isfinite(self.best.score) else None
        made: dict[str, Any] = {"trials": self.num_trials, "score": score, "proposals": self.proposals}
        found = searched_config(self.experiment, kinds, self.steps, **made)
        found.save(self.folder.contexts)
        return found
