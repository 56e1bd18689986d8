"""What the documentation shows works as it stands: Python runs, YAML is valid, command lines are parsed and checked.

Blocks marked ``file=NAME`` are written to the page's folder, so that its other blocks can use them. Blocks marked ``sh run`` are
really run, all other command lines are parsed by the program they call.
"""

from __future__ import annotations

import argparse
import configparser
import importlib.util
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import typer
import yaml
from torch import nn

from analysis.bench.table import markdown
from analysis.pages import SPEED, made
from atrcnas import KINDS, TASKS, ContextConfig, ContextRefiner, Experiment, Sampler, SearchSpace
from atrcnas.cli import app
from atrcnas.objectives.losses import LOSSES
from atrcnas.objectives.metrics import METRICS
from atrcnas.spec.datasets import DATASETS
from atrcnas.spec.strategies import STRATEGIES
from atrcnas.spec.sweep import SweepSpec

ROOT = Path(__file__).parents[2]
README, CONTRIBUTING = ROOT / "README.md", ROOT / "CONTRIBUTING.md"
PAGES = [README, CONTRIBUTING, *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = (ROOT / "Makefile").read_text(encoding="utf-8")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    marks: dict[str, str]
    text: str


def blocks(page: Path, *languages: str) -> list[Block]:
    found = re.findall(r"^```(\w+)([^\n]*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    marked = [
        Block(first, dict(mark.partition("=")[::2] for mark in marks.split()), text) for first, marks, text in found
    ]
    return [block for block in marked if not languages or block.language in languages]


@pytest.fixture
def folder(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files of the page; what its plugins register is forgotten afterwards."""
    for block in blocks(page):
        if "file" in block.marks:
            (tmp_path / block.marks["file"]).write_text(block.text, encoding="utf-8")
    for registry in (KINDS, TASKS, LOSSES, METRICS, DATASETS, STRATEGIES):
        monkeypatch.setattr(registry, "_records", dict(registry._records))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]


@each_page
def test_every_block_is_of_a_language_that_is_checked(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= {"python", "yaml", "sh", "text"}
    assert page.read_text(encoding="utf-8").count("```") == 2 * len(blocks(page))


@each_page
def test_python_runs_and_commands_marked_so_run(page: Path, folder: Path) -> None:
    for block in blocks(page, "python", "sh"):
        if block.language == "python" and "file" not in block.marks:
            exec(block.text, {})  # noqa: S102
        elif "run" in block.marks:
            done = subprocess.run(
                ["bash", "-euc", f'atrcnas() {{ python -m atrcnas "$@"; }}\n{block.text}'],
                env={
                    **os.environ,
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "PYTHONPATH": str(ROOT),
                },
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr


def test_what_the_contributing_page_adds_is_used(tmp_path: Path) -> None:
    """Its experiment leaves one pair nothing but the new kind, and predicts the new task."""
    experiment = yaml.safe_load(next(block.text for block in blocks(CONTRIBUTING, "yaml")))
    assert experiment["plugins"] == ["blur", "height"]
    assert experiment["space"]["pairs"]["semseg<-height"] == ["blur"]
    files = {block.marks.get("file") for block in blocks(CONTRIBUTING)}
    assert {"blur.py", "height.py"} <= files


@each_page
def test_yaml_is_valid(page: Path, folder: Path) -> None:
    for block in blocks(page, "yaml"):
        value = yaml.safe_load(block.text)
        if "over" in value:
            assert SweepSpec.load(value).trials()
        elif "pairs" in value and "tasks" in value:
            ContextConfig.load(block.marks["file"])
        elif "pairs" in value:
            SearchSpace.load(value)
        else:
            Experiment.load(value if "tasks" in value else laid_over_quickstart(value)).data_options()


def laid_over_quickstart(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part of an experiment, completed."""
    whole = Experiment.load("quickstart").dump()
    for key, value in part.items():
        merge = isinstance(value, dict) and isinstance(whole[key], dict)
        whole[key] = {**whole[key], **value} if merge else value
    return whole


@each_page
def test_command_lines_are_understood(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for block in blocks(page, "sh"):
        for line in block.text.splitlines():
            words = shlex.split(line, comments=True)
            if words:
                check_line(words, folder, monkeypatch)


@each_page
def test_scripts_named_in_prose_are_there(page: Path) -> None:
    for words in re.findall(r"`(?:time )?((?:make|python -m) [^`]+)`", page.read_text(encoding="utf-8")):
        program, *arguments = words.removeprefix("python -m ").split()
        if program == "make":
            check_target(arguments[0])
        else:
            assert importlib.util.find_spec(program), words


def check_line(words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    match words:
        case ["atrcnas", *arguments] | ["python", "-m", "atrcnas", *arguments]:
            check_atrcnas(arguments)
        case ["torchrun", "--nproc_per_node", _, "-m", "atrcnas", *arguments]:
            check_atrcnas(arguments)
        case ["make", target]:
            check_target(target)
        case ["pip", "install", what]:
            check_extra(what)
        case ["python", "-m", "pytest", where, "-m", _]:
            assert (ROOT / where).is_dir()
        case ["python", "-m", module, *arguments]:
            check_script(module, arguments, monkeypatch)
        case ["python", file]:
            assert (folder / file).is_file()
        case _:
            pytest.fail(f"a command nothing here checks: {' '.join(words)}")


def check_target(target: str) -> None:
    assert re.search(rf"^{re.escape(target)}:", SOURCES, re.MULTILINE), target


def check_extra(what: str) -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert what.removeprefix(".[").removesuffix("]") in setup["options.extras_require"], what


def check_atrcnas(arguments: list[str]) -> None:
    """Let the command line parse them, then check the experiment, contexts or sweep they name."""
    command: Any = typer.main.get_command(app)
    if arguments[0].startswith("--"):
        assert arguments[0] in {option for parameter in command.params for option in parameter.opts}
        return
    while hasattr(command, "commands"):
        command, arguments = command.commands[arguments[0]], arguments[1:]
    given = command.make_context(command.name, list(arguments)).params
    contexts = given.get("contexts") or given.get("source")
    config = ContextConfig.load(contexts) if contexts and not contexts.startswith("runs/") else None
    if "experiment" in given:
        experiment = Experiment.load(given["experiment"], given["overrides"] or [])
        if config is not None:
            config.kinds(experiment.tasks, experiment.all_tasks)
    if "file" in given:
        assert SweepSpec.load(given["file"], given["overrides"] or []).trials()


class Parsed(Exception):
    """A script has read its arguments; it need not do more."""


def then_stop(parse: Callable[[argparse.ArgumentParser], argparse.Namespace]) -> Callable[..., None]:
    def parse_and_stop(parser: argparse.ArgumentParser) -> None:
        found = parse(parser)
        if "experiment" in found:
            Experiment.load(found.experiment, found.overrides)
        raise Parsed

    return parse_and_stop


def check_script(module: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a script parse its arguments; one that parses none has to exist."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, module
    source = Path(spec.origin).with_name("__main__.py") if spec.submodule_search_locations else Path(spec.origin)
    if "parse" not in source.read_text(encoding="utf-8"):
        return
    with monkeypatch.context() as patch:
        for name in ("parse_args", "parse_intermixed_args"):
            patch.setattr(argparse.ArgumentParser, name, then_stop(getattr(argparse.ArgumentParser, name)))
        patch.setattr(sys, "argv", [module, *arguments])
        with pytest.raises(Parsed):
            runpy.run_module(module, run_name="__main__")


def test_a_wrong_line_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in (
        "atrcnas serach quickstart",
        "atrcnas search quickstart --runn x",
        "atrcnas search quickstart search.stesp=3",
        "atrcnas retrain quickstart --contexts basline",
        "atrcnas retrain quickstart --contexts atrc-pascal-hrnet18",
        "python -m analysis.nothing",
        "python -m analysis.strategies runs/a --outt b.png",
        "make quickstrat",
        "rm -rf runs",
    ):
        try:
            check_line(line.split(), tmp_path, monkeypatch)
        except (Exception, SystemExit, pytest.fail.Exception):
            continue
        pytest.fail(f"taken for right: {line}")


def test_the_list_of_commands_is_that_of_the_command_line() -> None:
    """Each with all of its options, and no others."""
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    lines = [line.split() for line in re.findall(r"^    atrcnas (.*)", text, re.MULTILINE)]
    shown = {
        " ".join(words[: 2 if words[0] == "data" else 1]): set(re.findall(r"--\w[\w-]*|key=value", " ".join(words)))
        for words in lines
    }
    root: Any = typer.main.get_command(app)
    commands = {
        **root.commands,
        **{f"data {name}": command for name, command in root.commands["data"].commands.items()},
    }
    del commands["data"]
    names = {"overrides": "key=value"}
    assert shown == {
        name: {names.get(p.name, p.opts[0]) for p in command.params if p.name in names or p.opts[0].startswith("--")}
        for name, command in commands.items()
    }


# Pages that are written at the same time as this test.
AWAITED = {"data-conventions.md", "recipes.md", "security.md"}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link, _, anchor in re.findall(r"\]\(([^)#\s]*)(#([\w-]*))?\)", prose):
        if link.startswith("http") or link in AWAITED:
            continue
        target = page.parent / link if link else page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, f"{link}#{anchor}"


def test_every_page_is_in_the_index_and_in_the_readme_s_reach() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name
    assert "](docs/README.md)" in README.read_text(encoding="utf-8")


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= 1300


@each_page
def test_nothing_is_left_to_fill_in(page: Path) -> None:
    found = re.findall(r"@@|\?\?\?|\b(?:TODO|TBD|FIXME|XXX)\b", page.read_text(encoding="utf-8"))
    assert not found


def test_the_table_of_speed_is_that_of_the_stored_measurement() -> None:
    stored = ROOT / "analysis/bench/results/cpu-2-cores.json"
    assert made(SPEED, "bench") == markdown([json.loads(stored.read_text(encoding="utf-8"))])


def test_the_table_of_the_quickstart_is_that_of_the_stored_measurement() -> None:
    page = (ROOT / "docs/search.md").read_text(encoding="utf-8")
    stored = json.loads((ROOT / "analysis/results/quickstart_vs_baseline.json").read_text(encoding="utf-8"))
    for seed in stored["seeds"]:
        for name in ("baseline", "searched"):
            score, cost = seed["scores"][name], seed["costs"][name]
            figures = f"{score['semseg']:.3f} | {score['depth']:.3f} | {score['normals']:.1f} | {score['edge']:.3f}"
            gain = f"{seed['delta_m_percent'][name]:+.1f} % " if name == "searched" else ""
            costs = f"{cost['parameters'] / 1e6:.2f} M | {cost['multiply_adds'] / 1e9:.2f} G"
            assert f"| seed {seed['seed']}: {name} | {figures} | {gain}| {costs} |" in page


class Foreign(nn.Module):
    """Somebody's encoder-decoder with two heads and nothing of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU())
        self.decoders = nn.ModuleDict({name: nn.Conv2d(24, 12, 3, padding=1) for name in ("seg", "height")})
        self.guess = nn.ModuleDict({"seg": nn.Conv2d(12, 5, 1), "height": nn.Conv2d(12, 8, 1)})
        self.heads = nn.ModuleDict({"seg": nn.Conv2d(12, 5, 1), "height": nn.Conv2d(12, 1, 1)})

    def features(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        shared = self.encoder(image)
        return {name: decoder(shared) for name, decoder in self.decoders.items()}


@pytest.mark.parametrize("estimator", ["soft", "sampled"])
def test_a_foreign_network_is_searched_and_then_fixed(estimator: str) -> None:
    torch.manual_seed(0)
    foreign = Foreign()
    pools = SearchSpace.load("full").pools(["seg", "height"])
    refiner, sampler = ContextRefiner(pools, width=12), Sampler(pools, estimator=estimator)
    weights = torch.optim.SGD([*foreign.parameters(), *refiner.parameters()], 0.05)
    logits = torch.optim.Adam([sampler.logits], 0.2)
    image, target = torch.randn(2, 3, 32, 48), torch.randint(5, (2, 8, 12))
    losses = []
    for step in range(8):
        features = foreign.features(image)
        labels = {name: foreign.guess[name](x) for name, x in features.items()}
        refined = refiner(features, labels, mixture=sampler.draw(step, tau=1.0))
        loss = nn.functional.cross_entropy(foreign.heads["seg"](refined["seg"]), target)
        loss = loss + foreign.heads["height"](refined["height"]).square().mean()
        weights.zero_grad(), logits.zero_grad()
        loss.backward()
        weights.step(), logits.step()
        sampler.commit()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert sampler.logits.abs().max() > 0
    fixed = ContextRefiner({pair: (kind,) for pair, kind in sampler.chosen().items()}, width=12)
    features = foreign.features(image)
    refined = fixed(features, {name: foreign.guess[name](x) for name, x in features.items()})
    assert {name: x.shape for name, x in refined.items()} == {name: x.shape for name, x in features.items()}
