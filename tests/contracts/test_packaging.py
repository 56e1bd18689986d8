"""What setup.cfg lists is what there is."""

from __future__ import annotations

import configparser
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_package_and_every_shelf_of_yaml_is_listed() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "atrcnas").rglob("__init__.py")}
    shelves = {
        ".".join(("atrcnas", *path.parent.relative_to(ROOT).parts))
        for shelf in ("experiments", "search_spaces")
        for path in (ROOT / shelf).rglob("*.yaml")
    }
    assert listed == packages | shelves
