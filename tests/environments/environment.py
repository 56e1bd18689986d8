"""One virtual environment: a Python with the oldest or the newest versions that the bounds of setup.cfg allow."""

from __future__ import annotations

import configparser
import hashlib
import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESOLUTIONS = {"newest": "highest", "oldest": "lowest-direct"}


class CannotMakeError(Exception):
    """No such Python here, or its versions do not install."""


@dataclass(frozen=True)
class Environment:
    """A Python and a choice of versions.

    Attributes:
        interpreter: path of the Python; empty if it is only reported.
        version: of it, such as "3.13".
        resolution: "newest", or "oldest": of what setup.cfg names itself; what those need in turn is the newest they
            allow.
        folder: of its files: the pinned versions, the environment, the results.
    """

    interpreter: str
    version: str
    resolution: str
    folder: Path

    @property
    def python(self) -> Path:
        """The environment's own interpreter."""
        return self.folder / "venv/bin/python"

    @property
    def pins(self) -> Path:
        """The versions, as a requirements file."""
        return self.folder / "requirements.txt"

    @cached_property
    def digest(self) -> str:
        """Of the versions; results with others are not this environment's."""
        return hashlib.sha256(self.pins.read_bytes()).hexdigest()[:16]

    def versions(self) -> dict[str, str]:
        """Package -> version."""
        return dict(re.findall(r"^([\w.-]+)==(\S+)", self.pins.read_text(), re.MULTILINE))

    def make(self) -> None:
        """Resolve, unless that was done for the same bounds, and install; versions without a wheel do not count.

        Raises:
            CannotMakeError: there is no set of versions, or it does not install.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        asked, wanted = self.folder / "requirements.in", "\n".join(bounds())
        if not self.pins.is_file() or asked.read_text() != wanted:
            asked.write_text(wanted)
            self.pins.unlink(missing_ok=True)  # uv would prefer the versions in it
            how = ("--resolution", RESOLUTIONS[self.resolution], "--python", self.interpreter)
            uv("pip", "compile", "--quiet", "--no-build", "--no-header", "--no-annotate", *how, asked, "-o", self.pins)
        if not self.python.is_file():
            uv("venv", "--quiet", "--python", self.interpreter, self.folder / "venv")
        uv("pip", "sync", "--quiet", "--no-build", "--python", self.python, self.pins)
        uv("pip", "install", "--quiet", "--no-deps", "--python", self.python, "--editable", ".")


def find(word: str, resolution: str, folder: Path) -> Environment:
    """The environment of a Python that is named by its version, its command or its path.

    Raises:
        CannotMakeError: it is not on this machine; none is downloaded.
    """
    interpreter = uv("python", "find", "--no-project", "--no-python-downloads", word)
    asks = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = subprocess.run([interpreter, "-c", asks], capture_output=True, text=True, check=True).stdout.strip()
    return Environment(interpreter, version, resolution, folder / f"{version}-{resolution}")


def made(folder: Path) -> list[Environment]:
    """Every environment of earlier runs, by Python and versions."""
    names = sorted(pins.parent.name for pins in folder.glob("*-*/requirements.txt"))
    return [Environment("", *name.rsplit("-", 1), folder / name) for name in names]


def bounds() -> list[str]:
    """What setup.cfg asks for, tests included."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    both = (setup["options"]["install_requires"], setup["options.extras_require"]["test"])
    return [line for lines in both for line in lines.splitlines() if line]


def uv(*words: str | Path) -> str:
    """Call the program uv from the repository's root; gives what it prints."""
    from uv import find_uv_bin  # which nothing else here needs

    done = subprocess.run([find_uv_bin(), *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotMakeError(done.stderr.strip())
    return done.stdout.strip()
