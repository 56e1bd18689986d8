"""The names of the public API, reached in any order."""

from __future__ import annotations

import subprocess
import sys

import pytest

import atrcnas


def run(code: str) -> str:
    """The error output of a fresh interpreter, empty if all went well."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def test_every_public_name_is_reached() -> None:
    assert run("import atrcnas\nfor name in atrcnas.__all__: assert getattr(atrcnas, name) is not None, name") == ""


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = atrcnas.no_such_name


@pytest.mark.xfail(
    strict=True, reason="__init__.py: once the sub-package atrcnas.search is imported, that module hides the function"
)
def test_function_is_reached_after_the_package_of_its_name_was_imported() -> None:
    """As any use of Sampler, MultiTaskNet's search or `retrain` does."""
    assert run("import atrcnas, atrcnas.search\nassert callable(atrcnas.search), atrcnas.search") == ""
