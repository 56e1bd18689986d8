"""Lets the tests here import the modules next to them, and exports each network once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tiny_networks import far_network, mixed_network, pyramid_network

from atrcnas.deploy.export import ExportReport, export
from atrcnas.nn.net import MultiTaskNet

# No stride divides these sizes, so that maps of several levels do not fit each other.
CASES = {"mixed": (mixed_network, (51, 70)), "pyramid": (pyramid_network, (61, 90)), "far": (far_network, (90, 150))}


@dataclass(frozen=True)
class Exported:
    """A network and its file."""

    net: MultiTaskNet
    size: tuple[int, int]
    report: ExportReport


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Exported]:
    """The file of a network, by its name and suffix."""
    folder = tmp_path_factory.mktemp("exported")

    @cache
    def make(name: str, suffix: str) -> Exported:
        build, size = CASES[name]
        net = build()
        return Exported(net, size, export(net, size, folder / f"{name}{suffix}"))

    return make
