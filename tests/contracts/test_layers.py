"""The house rule: an import goes to the same folder or downward, without cycles; what is asked for needs no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "atrcnas"
FLOORS = [
    {"_version"},
    {"ground"},
    {"spec"},
    {"runs"},
    {"nn", "data", "plots", "loggers"},
    {"objectives"},
    {"sampling", "contextbench"},
    {"costs"},
    {"engine"},
    {"deploy", "launch", "planning", "report"},
    {"the house itself"},  # cli, the public API, and what lies next to them
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
NO_TORCH = ("ground", "spec", "runs", "plots", "contextbench", "report")


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room(module: str) -> str:
    """The folder below atrcnas a module is in."""
    parts = module.split(".")
    in_folder = len(parts) > 2 or SOURCES.get(module, PACKAGE).name == "__init__.py"
    return parts[1] if len(parts) > 1 and (in_folder or module == "atrcnas._version") else "the house itself"


def imports(module: str) -> set[str]:
    """Modules of ours that ``module`` imports, at the top or inside a function."""
    tree = ast.parse(SOURCES[module].read_text(encoding="utf-8"))
    package = module if SOURCES[module].name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                found.add(whole if whole in SOURCES else base)
    return {name for name in found if name.split(".")[0] == "atrcnas"} - {module}


def test_every_room_has_a_floor() -> None:
    assert {room(module) for module in SOURCES} <= set(FLOOR)


@pytest.mark.parametrize("module", SOURCES)
def test_imports_go_to_the_same_folder_or_downward(module: str) -> None:
    here = room(module)
    upward = [
        f"{module} imports {name}"
        for name in sorted(imports(module))
        if room(name) != here and FLOOR[room(name)] >= FLOOR[here]
    ]
    assert upward == []


@pytest.mark.parametrize("module", SOURCES)
def test_imports_of_our_own_exist(module: str) -> None:
    assert sorted(imports(module) - set(SOURCES)) == []


def test_no_import_cycles() -> None:
    try:
        TopologicalSorter({module: imports(module) for module in SOURCES}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def loaded_by(*modules: str) -> set[str]:
    """Names in sys.modules after a fresh interpreter imports ``modules``."""
    code = f"import {', '.join(modules)}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("name", NO_TORCH)
def test_rooms_that_describe_or_draw_load_no_torch(name: str) -> None:
    modules = [module for module in SOURCES if room(module) == name]
    assert loaded_by(*modules) & {"torch", "timm", "nni", "pytorch_lightning"} == set()


def test_importing_an_experiment_loads_no_torch() -> None:
    assert "torch" not in loaded_by("atrcnas.spec.experiment")


def test_importing_atrcnas_loads_neither_torch_nor_nni() -> None:
    assert loaded_by("atrcnas") & {"torch", "timm", "nni", "pytorch_lightning", "matplotlib"} == set()
