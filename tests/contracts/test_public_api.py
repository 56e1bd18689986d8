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


def test_no_package_hides_a_function_of_its_name() -> None:
    """A sub-package, once imported, is an attribute of atrcnas."""
    assert (
        run("import atrcnas\natrcnas.Sampler, atrcnas.retrain\nassert callable(atrcnas.search), atrcnas.search") == ""
    )
