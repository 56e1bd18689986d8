"""Try every bundled preset through the readers of the published data sets, and write the table in the README.

python -m analysis.presets_table [--readme README.md] [--work DIR]

Rooms are written in the layouts of NYUD-v2 and PASCAL-Context and read back from there. A preset *trains* if two steps
with a tiny backbone end in finite scores, *exports* if its context config comes back from the written file, *deploys* if
the ONNX file computes what the network does.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrcnas import ContextConfig, Experiment, retrain
from atrcnas.data.listed import Listed
from atrcnas.data.nyud import Nyud
from atrcnas.data.pascal import Pascal
from atrcnas.data.rooms import Rooms, RoomsOptions
from atrcnas.data.writing import write_nyud, write_pascal
from atrcnas.ground.errors import AtrcnasError
from atrcnas.ground.files import write_text
from atrcnas.job import deploy_run
from atrcnas.spec.bundled import names

BEGIN, END = "<!-- presets:begin -->", "<!-- presets:end -->"
CHECKS = ("trains", "exports", "deploys")
SIZE = (64, 96)
README = Path(__file__).resolve().parents[1] / "README.md"


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


def trials(stand: Stand) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Presets that fit the data set, each with its tasks: those the preset is made for, else all there are."""
    for preset in names("search_spaces/presets"):
        made_for = ContextConfig.load(preset).tasks
        if set(made_for) <= set(stand.reader.layout.tasks):
            yield preset, made_for or stand.reader.layout.tasks


def experiment(stand: Stand, root: Path, tasks: Sequence[str], **sections: Any) -> Experiment:
    """Two steps on the stand-in with a tiny backbone."""
    recipe = {"steps": 2, "batch_size": 2, "validate_every": 2, "log_every": 1}
    return Experiment.load(
        {
            "tasks": list(tasks),
            "data": {"name": stand.reader.layout.name, "options": {"root": str(root)}},
            "backbone": {"name": "mobilenetv2_035"},
            "search": recipe,
            "retrain": recipe,
            "devices": "cpu",
            **sections,
        }
    )


def train(spec: Experiment, preset: str, run: Path) -> None:
    """Train a preset.

    Raises:
        AtrcnasError: it cannot be, or a score is not finite.
    """
    results = retrain(spec, ContextConfig.load(preset), run)
    figures = {f"{task} {name}": x for task, found in results["scores"].items() for name, x in found.items()}
    wrong = [name for name, x in figures.items() if not math.isfinite(x)]
    if wrong or list(results["scores"]) != list(spec.tasks):
        raise AtrcnasError(f"{preset}: expected finite scores of every task, got none in {', '.join(wrong) or 'some'}.")


def export(spec: Experiment, preset: str, run: Path) -> None:
    """Read the context config a run wrote.

    Raises:
        AtrcnasError: it is not that of the preset.
    """
    written, given = ContextConfig.load(run / "contexts.yaml"), ContextConfig.load(preset)
    if written.kinds(spec.tasks, spec.all_tasks) != given.kinds(spec.tasks, spec.all_tasks):
        raise AtrcnasError(f"{run}: contexts.yaml holds other kinds than '{preset}'.")


def deploy(spec: Experiment, preset: str, run: Path) -> None:
    """Write an ONNX file, which is compared with the network."""
    deploy_run(run, run / "deploy" / "model.onnx")


def attempt(spec: Experiment, preset: str, run: Path) -> dict[str, str]:
    """Check -> "" where it passes, else what went wrong."""
    found = {}
    for name, check in zip(CHECKS, (train, export, deploy), strict=True):
        try:
            check(spec, preset, run)
            found[name] = ""
        except Exception as error:  # whatever goes wrong belongs into the table
            found[name] = f"{type(error).__name__}: {error}"
    return found


def table(found: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str:
    """Markdown from data set -> preset -> check -> what went wrong; a dash where a preset is for other tasks."""
    head = ["preset", *(f"{title} {check}" for title in found for check in CHECKS)]
    rows = [head, ["---"] * len(head)]
    for preset in names("search_spaces/presets"):
        outcomes = [found[title].get(preset) for title in found for _ in CHECKS]
        checks = list(CHECKS) * len(found)
        cells = ["-" if o is None else "no" if o[check] else "yes" for o, check in zip(outcomes, checks, strict=True)]
        rows.append([f"`{preset}`", *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def put(readme: str, made: str) -> str:
    """``readme`` with ``made`` between the markers.

    Raises:
        AtrcnasError: the markers are not there once each, in order.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise AtrcnasError(f"README: expected {BEGIN} and, after it, {END}, once each. Put them where the table goes.")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readme", type=Path, default=README)
    parser.add_argument("--work", type=Path, help="folder for data and runs, kept; a temporary one if not given")
    args = parser.parse_args()
    found: dict[str, dict[str, dict[str, str]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        home = args.work or Path(temporary)
        for stand in STANDS:
            root = home / stand.reader.layout.name
            write_stand(stand, root)
            found[stand.title] = {}
            for preset, tasks in trials(stand):
                outcome = attempt(experiment(stand, root, tasks), preset, home / "runs" / root.name / preset)
                found[stand.title][preset] = outcome
                print(f"{stand.title} {preset}: " + (", ".join(filter(None, outcome.values())) or "passes"), flush=True)
    write_text(args.readme, put(args.readme.read_text(encoding="utf-8"), table(found)))


if __name__ == "__main__":
    main()
