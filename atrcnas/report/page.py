"""The page: templates filled with the parts of each run. Whatever comes from a run is escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from atrcnas._version import __version__
from atrcnas.report import charts
from atrcnas.report.comparing import Compared
from atrcnas.report.reading import RunView
from atrcnas.report.sections import section

_LOADER = PackageLoader("atrcnas.report")
_TEMPLATES = Environment(
    loader=_LOADER,
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(views: Sequence[RunView], comparison: Compared | None, stamp: str = "") -> str:
    """Fill the page.

    Args:
        views: the runs.
        comparison: of several runs; None for one.
        stamp: of the files; with one, the page asks the server that it came from whether it is still theirs.
    """
    script = _source("report.js") + (_source("watch.js") if stamp else "")
    return _TEMPLATES.get_template("report.html").render(
        sections=[section(view, number) for number, view in enumerate(views)],
        comparison=comparison,
        charts=charts,
        version=__version__,
        style=_source("report.css"),
        script=script,
        policy=_policy(script, bool(stamp)),
        stamp=stamp,
    )


def render_problem(message: str, stamp: str) -> str:
    """The page of runs that cannot be shown, such as one that has not begun."""
    script = _source("watch.js")
    return _TEMPLATES.get_template("problem.html").render(
        message=message, stamp=stamp, style=_source("report.css"), script=script, policy=_policy(script, watching=True)
    )


def _policy(script: str, watching: bool) -> str:
    """What the browser may do: nothing from elsewhere, and no script but ours."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    rules = ["default-src 'none'", "img-src data:", "style-src 'unsafe-inline'", f"script-src 'sha256-{digest}'"]
    return "; ".join([*rules, *(["connect-src 'self'"] if watching else [])])


def _source(name: str) -> str:
    return _LOADER.get_source(_TEMPLATES, name)[0].replace("\r\n", "\n")
