"""The watched page: for this machine alone, current, and nothing but the page."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from atrcnas.ground.errors import RunError
from atrcnas.report.serving import ReportServer
from tests.unit.report.made_up import make_run


@contextmanager
def served(*runs: Path, out: Path | None = None) -> Iterator[ReportServer]:
    with ReportServer(runs, out=out) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def get(server: ReportServer, path: str, host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=20)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_page_follows_the_run(tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "report.html"
    with served(run, out=out) as server:
        assert server.server_address[0] == "127.0.0.1"
        status, page = get(server, "/")
        assert status == 200 and "expected a run folder, got none" in page
        make_run(run)
        (status, page), before = get(server, "/"), get(server, "/stamp")
        assert "The search by gumbel, 40000 steps" in page and "connect-src" in page
        assert "/stamp" in page and "/stamp" not in out.read_text(encoding="utf-8")
        assert get(server, "/stamp") == before
        with (run / "search/logits.csv").open("a") as stream:
            stream.write("40000,4,semseg,semseg,local,1,2,0\n")
        assert get(server, "/stamp") != before
        assert "expected 0 to 1, got 2" in get(server, "/")[1]


def test_it_answers_nothing_else_and_to_no_other_name(tmp_path: Path) -> None:
    with served(make_run(tmp_path / "run")) as server:
        for path in ("/experiment.yaml", "/../../etc/passwd", "//etc/passwd", "/?"):
            assert get(server, path)[0] == 404
        assert get(server, "/", host="evil.example")[0] == 403
        assert get(server, "/", host=f"localhost:{server.server_port}")[0] == 200
        with pytest.raises(RunError, match=r"--port: .* cannot listen"):
            ReportServer([tmp_path], port=server.server_port)
