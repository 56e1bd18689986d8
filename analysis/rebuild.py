"""Rebuild the tables and figures of every page from stored rows: `make report`, or `python -m analysis.rebuild`."""

from __future__ import annotations

from analysis import branch_summary, report
from analysis.planted import page as planted
from analysis.search_quality import report as search_quality


def main() -> None:
    for page in (report, search_quality, planted, branch_summary):
        page.main()


if __name__ == "__main__":
    main()
