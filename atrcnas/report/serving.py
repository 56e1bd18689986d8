"""The page while a search runs: served to this machine alone, and made again when a file of the runs changes."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from atrcnas.ground.errors import AtrcnasError, RunError
from atrcnas.ground.files import write_text
from atrcnas.report import make_page
from atrcnas.report.page import render_problem
from atrcnas.runs.folder import RunFolder

HOST = "127.0.0.1"


class ReportServer(ThreadingHTTPServer):
    """Serves the page on the loopback interface.

    Args:
        runs: run folders; they may be empty yet.
        baselines: run folders that Delta_m compares with.
        port: 0 for any that is free.
        out: file that is kept current too.

    Raises:
        RunError: the port cannot be had.
    """

    daemon_threads = True

    def __init__(
        self, runs: Sequence[Path], baselines: Sequence[Path] = (), port: int = 0, out: Path | None = None
    ) -> None:
        self.runs, self.baselines, self.out = runs, baselines, out
        self._made = ("", "")
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise RunError(f"--port: {port}: cannot listen there ({error}). Choose another, or 0 for any.") from error

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/"

    def page(self) -> str:
        """The page as of now; the same text as before if nothing has changed."""
        stamp = self.stamp()
        if self._made[0] != stamp:
            self._made = (stamp, self._make(stamp))
        return self._made[1]

    def _make(self, stamp: str) -> str:
        try:
            page = make_page(self.runs, self.baselines, stamp)
            if self.out is not None:
                write_text(self.out, make_page(self.runs, self.baselines))
            return page
        except AtrcnasError as error:
            return render_problem(str(error), stamp)

    def stamp(self) -> str:
        """Another text after any file that the page shows has changed."""
        states = [_state(path) for run in (*self.runs, *self.baselines) for path in _shown(RunFolder(run))]
        return hashlib.sha256(";".join(states).encode()).hexdigest()[:16]


def serve(server: ReportServer, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C."""
    say(f"watching on {server.url} (this machine only); Ctrl-C ends it")
    server.page()
    with server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


def _shown(folder: RunFolder) -> list[Path]:
    tables = [folder.metrics("search"), folder.metrics("retrain"), folder.logits, folder.budget]
    return [folder.experiment, folder.contexts, folder.results, folder.samples, folder.environment, *tables]


def _state(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_mtime_ns}.{found.st_size}"


class _Handler(BaseHTTPRequestHandler):
    server: ReportServer
    server_version = "atrcnas"

    def do_GET(self) -> None:
        """The page, or its stamp; nothing else is there, and no file is read by its name."""
        # A page elsewhere may have its own name resolve to this machine; the browser still says whom it asked.
        if self.headers.get("Host") not in [f"{name}:{self.server.server_port}" for name in (HOST, "localhost")]:
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path == "/":
            self._send(self.server.page(), "text/html")
        elif self.path == "/stamp":
            self._send(self.server.stamp(), "text/plain")
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _send(self, text: str, form: str) -> None:
        content = text.encode()
        self.send_response(HTTPStatus.OK)
        for name, value in (
            ("Content-Type", f"{form}; charset=utf-8"),
            ("Content-Length", str(len(content))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ):
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing about each request."""
