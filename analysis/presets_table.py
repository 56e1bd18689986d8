"""Try every bundled preset through the readers of the published data sets, and write the table in docs/presets.md.

python -m analysis.presets_table [--page docs/presets.md] [--work DIR]

Rooms are written in the layouts of NYUD-v2 and PASCAL-Context and read back from there. A preset *trains* if two steps
with a tiny backbone end in finite scores, *exports* if its context config comes back from the written file, *deploys* if
the ONNX file computes what the network does. A search space *searches* if two steps of search end in a context config,
which is then exported, trained and deployed likewise. *parity* is what the tests in tests/parity say when run.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from analysis.dataset_files import write_nyud, write_pascal
from analysis.pages import PRESETS, write
from analysis.presets_parity import PROOFS, Trial, parity, prove
from atrcnas import ContextConfig, Experiment, retrain, search
from atrcnas.data.id_lists import Listed
from atrcnas.data.nyud import Nyud
from atrcnas.data.pascal import Pascal
from atrcnas.data.rooms import Rooms, RoomsOptions
from atrcnas.deploy.job import deploy_run
from atrcnas.ground.errors import AtrcnasError
from atrcnas.ground.files import write_json
from atrcnas.spec.bundled import names

SIZE = (64, 96)


@dataclass(frozen=True)
class Stand:
    """A small stand-in for a published data set, in files.

    Attributes:
        title: of the published one.
        reader: its class.
        write: writes one split of it.
    """

    title: str
    reader: type[Listed]
    write: Callable[..., int]


STANDS = (Stand("NYUD-v2", Nyud, write_nyud), Stand("PASCAL-Context", Pascal, write_pascal))


def write_stand(stand: Stand, root: Path) -> None:
    """Write rooms in the layout of ``stand`` below ``root``."""
    for split in ("train", "val"):
        rooms = Rooms(RoomsOptions(image_size=SIZE, train_size=8, val_size=2), split, stand.reader.layout.tasks)
        stand.write(rooms, root, split)


def trials(stand: Stand) -> Iterator[Trial]:
    """What fits the data set: presets with the tasks they are made for, else with all there are, and searches."""
    everything = stand.reader.layout.tasks
    for preset in names("search_spaces/presets"):
        config = ContextConfig.load(preset)
        if set(config.tasks) <= set(everything):
            yield Trial(f"`{preset}`", config.tasks or everything[: config.num_tasks], preset=preset)
    yield Trial("`mti-net`, half of the tasks auxiliary", everything[:2], preset="mti-net", auxiliary=everything[2:])
    yield Trial("`atrc`, one level", everything, space="atrc")
    yield Trial("`full`, one level", everything, space="full")
    yield Trial("`wide`, one level", everything, space="wide")
    branches = {"steps": 2, "points": ["stage4", "stage6"]}
    yield Trial("`atrc`, on a branched encoder that is searched first", everything, space="atrc", branches=branches)
    model = Experiment.load("rooms-pyramid").model.model_dump()
    yield Trial("`pyramid`, per pair and level", everything, space="pyramid", model=model)


def experiment(stand: Stand, root: Path, trial: Trial) -> Experiment:
    """Two steps on the stand-in with a tiny backbone."""
    recipe = {"steps": 2, "batch_size": 2, "validate_every": 2, "log_every": 1}
    return Experiment.load(
        {
            "tasks": list(trial.tasks),
            "auxiliary_tasks": list(trial.auxiliary),
            "data": {"name": stand.reader.layout.name, "options": {"root": str(root)}},
            "backbone": {"name": "mobilenetv2_035"},
            "model": dict(trial.model),
            "space": trial.space or "atrc",
            "search": {**recipe, "branches": dict(trial.branches) or None},
            "retrain": recipe,
            "devices": "cpu",
        }
    )


def begin(spec: Experiment, trial: Trial, run: Path) -> ContextConfig:
    """The kinds to train: those of the preset, or those a search finds."""
    return ContextConfig.load(trial.preset) if trial.preset else search(spec, run)


def train(spec: Experiment, contexts: ContextConfig, run: Path) -> None:
    """Train fixed kinds.

    Raises:
        AtrcnasError: a score is missing or not finite.
    """
    results = retrain(spec, contexts, run)
    figures = {f"{task} {name}": x for task, found in results["scores"].items() for name, x in found.items()}
    wrong = [name for name, x in figures.items() if not math.isfinite(x)]
    if wrong or list(results["scores"]) != list(spec.tasks):
        raise AtrcnasError(f"{run}: expected finite scores of every task, got none in {', '.join(wrong) or 'some'}.")


def export(spec: Experiment, contexts: ContextConfig, run: Path) -> None:
    """Read the context config a run wrote.

    Raises:
        AtrcnasError: it is not the one given.
    """
    written = ContextConfig.load(run / "contexts.yaml")
    if written.kinds(spec.tasks, spec.all_tasks) != contexts.kinds(spec.tasks, spec.all_tasks):
        raise AtrcnasError(f"{run}: contexts.yaml holds other kinds than it was given.")


def deploy(spec: Experiment, contexts: ContextConfig, run: Path) -> None:
    """Write an ONNX file, which is compared with the network."""
    deploy_run(run, [run / "deploy" / "model.onnx"])


def attempt(spec: Experiment, trial: Trial, run: Path) -> dict[str, str]:
    """Check -> "" where it passes, else what went wrong."""
    found: dict[str, str] = {}
    contexts: list[ContextConfig] = []
    steps: dict[str, Callable[[], object]] = {
        "searches": lambda: contexts.append(begin(spec, trial, run)),
        "trains": lambda: train(spec, contexts[0], run),
        "exports": lambda: export(spec, contexts[0], run),
        "deploys": lambda: deploy(spec, contexts[0], run),
    }
    for name, step in steps.items():
        try:
            step()
            found[name] = ""
        except Exception as error:  # whatever goes wrong belongs into the table
            found[name] = f"{type(error).__name__}: {error}"
    return found


def outcome(stand: Stand, trial: Trial, home: Path) -> dict[str, str]:
    """Attempt a trial below ``home``, unless it has passed there before."""
    place = home / stand.reader.layout.name
    name = re.sub(r"\W+", "-", trial.name).strip("-")
    passed, run = place / "passed" / f"{name}.json", place / "runs" / name
    if passed.is_file():
        return dict(json.loads(passed.read_text(encoding="utf-8")))
    shutil.rmtree(run, ignore_errors=True)
    found = attempt(experiment(stand, place, trial), trial, run)
    if not any(found.values()):
        write_json(passed, found)
    return found


def table(found: Mapping[str, Mapping[Trial, Mapping[str, str]]], proven: Mapping[str, bool], searches: bool) -> str:
    """Markdown from data set -> trial -> check -> what went wrong; a dash where a preset is for other tasks.

    Args:
        found: outcomes of :func:`attempt`.
        proven: of :func:`prove`.
        searches: the table of the searches, else that of the presets.
    """
    trials = {trial.name: trial for tried in found.values() for trial in tried if bool(trial.space) == searches}
    checks = {"searches": "searches", "exports": "exports", "trains": "retrains", "deploys": "deploys"}
    if not searches:
        checks = {"trains": "trains", "exports": "exports", "deploys": "deploys"}
    titles = [f"{title} {word}" for title in found for word in checks.values()]
    rows = [["search space" if searches else "preset", *titles, "parity"]]
    rows.append(["---"] * len(rows[0]))
    for name, trial in sorted(trials.items(), key=lambda item: item[0]):
        outcomes = [next((o for other, o in tried.items() if other.name == name), None) for tried in found.values()]
        cells = ["-" if o is None else "no" if o[check] else "yes" for o in outcomes for check in checks]
        rows.append([name, *cells, parity(trial, proven)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def block(found: Mapping[str, Mapping[Trial, Mapping[str, str]]], proven: Mapping[str, bool]) -> str:
    """Both tables, and what `parity` means."""
    tests = "; ".join(f"{part}: `{node.partition('/')[2].replace('parity/', '')}`" for part, node in PROOFS.items())
    return "\n".join(
        [
            table(found, proven, searches=False),
            "",
            table(found, proven, searches=True),
            "",
            "*parity* names the parts whose numbers are proven equal to the reference's in double precision, each by a test of",
            f"`tests/parity` that passed when this was written ({tests}).",
            "A whole network is compared over HRNet18-S, at the number of tasks and the image size in the name of its test;",
            "a part that is not named is not compared.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, default=PRESETS)
    parser.add_argument(
        "--work",
        type=Path,
        help="folder for data and runs, kept: what has passed there is not tried again (default: a temporary one)",
    )
    args = parser.parse_args()
    found: dict[str, dict[Trial, dict[str, str]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        home = args.work or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        proven = prove(home)
        print("parity: " + ", ".join(f"{part} {'passes' if good else 'FAILS'}" for part, good in proven.items()))
        for stand in STANDS:
            write_stand(stand, home / stand.reader.layout.name)
            found[stand.title] = {}
            for trial in trials(stand):
                found[stand.title][trial] = outcome(stand, trial, home)
                wrong = ", ".join(f"{check}: {said}" for check, said in found[stand.title][trial].items() if said)
                print(f"{stand.title} {trial.name}: {wrong or 'passes'}", flush=True)
    write(args.page, "presets", block(found, proven))


if __name__ == "__main__":
    main()
