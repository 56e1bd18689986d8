"""The pages as a whole: links, length, figures that come from stored measurements."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd

from analysis import branch_choices, branch_summary, branch_table
from analysis.bench.table import markdown
from analysis.keys_page import markdown as keys_markdown
from analysis.pages import KEYS, SPEED, TREES, made
from tests.docs.pages import README, ROOT, each_page


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link, _, anchor in re.findall(r"\]\(([^)#\s]*)(#([\w-]*))?\)", prose):
        if link.startswith("http"):
            continue
        target = page.parent / link if link else page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, f"{link}#{anchor}"


def test_every_page_is_in_the_index_and_in_the_readme_s_reach() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name
    assert "](docs/README.md)" in README.read_text(encoding="utf-8")


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= 1300


@each_page
def test_nothing_is_left_to_fill_in(page: Path) -> None:
    found = re.findall(r"@@|\?\?\?|\b(?:TODO|TBD|FIXME|XXX)\b", page.read_text(encoding="utf-8"))
    assert not found


def test_the_table_of_speed_is_that_of_the_stored_measurement() -> None:
    stored = ROOT / "analysis/bench/results/cpu-2-cores.json"
    assert made(SPEED, "bench") == markdown([json.loads(stored.read_text(encoding="utf-8"))])


def test_the_page_of_keys_is_what_the_models_say() -> None:
    assert made(KEYS, "keys") == keys_markdown(), "run python -m analysis.keys_page"


def test_the_tables_of_trees_are_those_of_the_stored_rows() -> None:
    rows, choices = branch_table.read(branch_table.OUT), pd.read_csv(branch_choices.OUT)
    assert made(TREES, "trees") == branch_summary.markdown(rows, choices), (
        "run python -m analysis.branch_summary --page"
    )


def test_the_table_of_the_quickstart_is_that_of_the_stored_measurement() -> None:
    page = (ROOT / "docs/search.md").read_text(encoding="utf-8")
    stored = json.loads((ROOT / "analysis/results/quickstart_vs_baseline.json").read_text(encoding="utf-8"))
    for seed in stored["seeds"]:
        for name in ("baseline", "searched"):
            score, cost = seed["scores"][name], seed["costs"][name]
            figures = f"{score['semseg']:.3f} | {score['depth']:.3f} | {score['normals']:.1f} | {score['edge']:.3f}"
            gain = f"{seed['delta_m_percent'][name]:+.1f} % " if name == "searched" else ""
            costs = f"{cost['parameters'] / 1e6:.2f} M | {cost['multiply_adds'] / 1e9:.2f} G"
            assert f"| seed {seed['seed']}: {name} | {figures} | {gain}| {costs} |" in page
