"""Every command line in the documentation is parsed by the program it calls, and the experiment it names is checked."""

from __future__ import annotations

import argparse
import configparser
import importlib.util
import re
import runpy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from atrcnas import ContextConfig, Experiment
from atrcnas.cli import Listing, app
from atrcnas.spec.sweep import SweepSpec
from tests.contracts.test_layers import FLOORS
from tests.docs.pages import ROOT, blocks, each_page

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


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
        case ["torchrun", "--standalone", "--nproc-per-node", _, "--no-python", "--", "atrcnas", *arguments]:
            check_atrcnas(arguments)
        case ["make", target]:
            check_target(target)
        case ["make", target, setting]:
            check_target(target)
            assert f"$({setting.split('=')[0]})" in (ROOT / "Makefile").read_text()
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
    assert re.search(rf"^{re.escape(target)}:", MAKEFILE, re.MULTILINE), target


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


def test_the_page_says_all_that_can_be_listed() -> None:
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^    atrcnas list (\S+)", text, re.MULTILINE)
    assert shown.split("|") == [listing.value for listing in Listing]


def test_the_tree_on_the_page_of_the_architecture_is_the_one_that_is_there() -> None:
    """Each room, in the order in which imports may go; all that is named exists."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`atrcnas/[^|]*) \|([^|]*)\|$", text, re.MULTILINE)
    for where, what in rows:
        first, *others = [ROOT / name for name in re.findall(r"`(atrcnas/[^`]+)`", where)]
        inside = re.findall(r"`([\w.]+(?:\.py|/))`", where + what)
        home = first.parent if first.suffix else first
        assert all(path.exists() for path in (first, *others, *(home / name for name in inside))), where
    rooms = [where.strip("`").removeprefix("atrcnas/") for where, _ in rows if "." not in where]
    order = [name for floor in reversed(FLOORS) for name in sorted(floor) if (ROOT / "atrcnas" / name).is_dir()]
    assert sorted(rooms) == sorted(order)
    floors = [next(number for number, floor in enumerate(FLOORS) if room in floor) for room in rooms]
    assert floors == sorted(floors, reverse=True)


def test_the_steps_files_on_the_page_of_the_architecture_are_there() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    files = re.findall(r"^\| `(\w+\.py)` \|", text, re.MULTILINE)
    assert len(files) > 5
    assert all((ROOT / "atrcnas/engine" / name).is_file() for name in files)


def test_the_list_of_commands_is_that_of_the_command_line() -> None:
    """Each with all of its options, and no others."""
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    lines = [line.split() for line in re.findall(r"^    atrcnas (.*)", text, re.MULTILINE)]
    root: Any = typer.main.get_command(app)
    groups = {name: group.commands for name, group in root.commands.items() if hasattr(group, "commands")}
    shown = {
        " ".join(words[: 2 if words[0] in groups else 1]): set(re.findall(r"--\w[\w-]*|key=value", " ".join(words)))
        for words in lines
    }
    commands = {name: command for name, command in root.commands.items() if name not in groups}
    commands |= {f"{name} {inner}": command for name, group in groups.items() for inner, command in group.items()}
    names = {"overrides": "key=value"}
    assert shown == {
        name: {names.get(p.name, p.opts[0]) for p in command.params if p.name in names or p.opts[0].startswith("--")}
        for name, command in commands.items()
    }
