"""requirements/lock.txt: one version each, of everything that setup.cfg asks for, within its bounds."""

from __future__ import annotations

import configparser
import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKED_ON = {
    "extra": "",
    "python_version": "3.11",
    "python_full_version": "3.11.7",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
}


def pinned(text: str) -> dict[str, Version]:
    """Package -> its one version.

    Raises:
        ValueError: a line is something else: a link, a path, an option, a range.
    """
    found: dict[str, Version] = {}
    for line in text.splitlines():
        match = re.fullmatch(r"([\w.-]+)==([\w.!+-]+)", line)
        if not match or canonicalize_name(match[1]) in found:
            raise ValueError(line)
        found[canonicalize_name(match[1])] = Version(match[2])
    return found


def asked() -> list[Requirement]:
    """What an installation for development asks for."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = (setup["options"]["install_requires"] + setup["options.extras_require"]["dev"]).splitlines()
    every = [Requirement(line) for line in lines if line]
    return [each for each in every if each.marker is None or each.marker.evaluate(LOCKED_ON)]


def lacks(versions: dict[str, Version], each: Requirement) -> bool:
    version = versions.get(canonicalize_name(each.name))
    return version is None or not each.specifier.contains(version, prereleases=True)


@pytest.fixture(scope="module")
def versions() -> dict[str, Version]:
    return pinned((ROOT / "requirements/lock.txt").read_text(encoding="utf-8"))


def test_the_lock_holds_every_direct_dependency_within_its_bounds(versions: dict[str, Version]) -> None:
    assert len(asked()) > 25
    assert [str(each) for each in asked() if lacks(versions, each)] == []


def test_the_lock_holds_what_those_need_in_turn(versions: dict[str, Version]) -> None:
    missing = []
    for name, version in versions.items():
        try:
            here = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if Version(here.version) == version:  # otherwise it may need other things than the one that is locked
            needs = [Requirement(line) for line in here.requires or []]
            wanted = [each for each in needs if each.marker is None or each.marker.evaluate(LOCKED_ON)]
            missing += [f"{name} needs {each}" for each in wanted if lacks(versions, each)]
    assert missing == []
