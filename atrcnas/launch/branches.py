"""Branches first, contexts after: the tree that a search of contexts goes on."""

from __future__ import annotations

from pathlib import Path

from atrcnas.engine.branch_search import branches_alone
from atrcnas.engine.devices import connect, surroundings
from atrcnas.engine.gradient_search import search
from atrcnas.ground.errors import ConfigError
from atrcnas.runs.folder import RunFolder
from atrcnas.spec.experiment import Experiment


def with_branches(experiment: Experiment, run: str | Path, resume: bool = False) -> Experiment:
    """Search where tasks part in the encoder, if the experiment asks for that before its contexts.

    Args:
        experiment: its ``search`` section is the recipe of the weights, ``search.branches`` that of the tree.
        run: run folder; gets a run folder of the search of branches, ``search/branches``.
        resume: keep a search of branches that is finished, and go on with one that is not.

    Returns:
        The experiment on the tree that was found; the same where the tree is found with the contexts, or given.

    Raises:
        AtrcnasError: see the message.
        Stopped: asked to stop; the state is saved.
    """
    spec, folder = experiment.search.branches, RunFolder(Path(run).absolute())
    if spec is None:
        return experiment
    own = RunFolder(folder.branches)
    if experiment.model.branches and not own.begun("search") and not folder.begun("search"):
        raise ConfigError(
            "model.branches: expected nothing, since search.branches is to find where tasks part. Remove one of the two."
        )
    if spec.at_once:
        return experiment
    fabric = connect(experiment)
    with folder.locked(fabric.is_global_zero):
        if not folder.begun("search"):
            folder.enter(experiment, "search", resume, surroundings(experiment))
        found = search(branches_alone(experiment), own.root, resume)
    return experiment.replace(model={"branches": found.model.branches})
