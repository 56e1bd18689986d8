"""The page shows what the run folder holds, whatever state that is in, and nothing in it can reach out or run."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from atrcnas.ground.errors import RunError
from atrcnas.ground.files import write_json, write_yaml
from atrcnas.report import make_page, write_report
from atrcnas.runs.folder import RunFolder
from atrcnas.spec.pairs import all_pairs
from tests.unit.plots.run_files import contexts, write_metrics, write_rows
from tests.unit.report.made_up import TASK_NAMES, make_run


class Parsed(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside != "style":
            self.text += data

    def __call__(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("made") / "a-run")


@pytest.fixture
def own(run: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(run, tmp_path / "own")


def said(page: str) -> str:
    return re.sub(r"\s+", " ", Parsed(page).text)


def test_the_page_says_what_was_found_and_what_it_costs(run: Path) -> None:
    page = make_page([run])
    text = said(page)
    assert "The search by gumbel, 40000 steps, gave" in text
    assert "2 are undecided" in text and "the best kind leads by 0.12" in text
    assert "semseg miou 0.430" in text and "depth rmse 0.430 m" in text
    for figure in ("0.574 M", "0.132 G at 64x96", "latency, onnxruntime", "3.2 ms", "61 s", "83 s", "x86_64"):
        assert figure in text, figure
    assert "atrcnas run experiment.yaml --run runs/tiny-again" in text
    assert "image_size: [64, 96]" in text, "the experiment stands on the page"


def test_each_pair_has_a_cell_with_its_facts_and_a_curve(run: Path) -> None:
    parsed = Parsed(page := make_page([run]))
    cells = [button["data-pair"] for button in parsed("button")]
    assert len(cells) == len(set(cells)) == len(all_pairs(TASK_NAMES, (4,)))
    blocks = re.findall(r'<div class="pair" id="([^"]+)" hidden>(.*?)</svg>', page, re.DOTALL)
    assert [key for key, _ in blocks] == cells
    for _, block in blocks:
        assert "4.56 M multiply-adds, 12.3 k parameters" in block
        assert re.search(r"<dt>probability</dt><dd>\w+ [01]\.\d\d", block)
        assert re.search(r"<dt>committed</dt><dd>(at step \d+|not yet)", block)
        assert block.count('<path class="line"') >= 4, "a curve per kind"


def test_a_committed_pair_says_when(run: Path) -> None:
    """The steps are read here from the file, without our reader."""
    first: dict[tuple[str, ...], str] = {}
    for line in (run / "search/logits.csv").read_text().splitlines()[1:]:
        step, _, target, source, *_, committed = line.split(",")
        if committed == "1":
            first.setdefault((target, source), f"at step {step}")
    shown = re.findall(r"<h3>(\w+)&lt;-(\w+)</h3>.*?<dt>committed</dt><dd>([^<]*)", make_page([run]), re.DOTALL)
    assert len(shown) == 16 and len(first) > 8
    settled = shown[2:]  # the first two are undecided by the context config
    assert [said for *_, said in settled] == [first.get(tuple(pair), "not yet") for *pair, _ in settled]
    assert all(said.startswith("not yet") for *_, said in shown[:2])


def test_nothing_comes_from_the_network_and_no_foreign_script_may_run(run: Path) -> None:
    parsed = Parsed(page := make_page([run]))
    links = [value for _, attributes in parsed.tags for name, value in attributes.items() if name in ("src", "href")]
    assert links and all(link and link.startswith(("data:image/", "#")) for link in links)
    assert "url(" not in page and "@import" not in page
    (script,) = parsed.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (meta["content"] for meta in parsed("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy and f"'sha256-{digest}'" in policy and "connect-src" not in policy


def test_names_from_a_strangers_run_are_escaped(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    folder = RunFolder(make_run(tmp_path / '"><img src=x onerror=alert(2)>'))
    value = contexts(("semseg", "depth"))
    value["provenance"] = {"experiment": name, "strategy": name, "source": name}
    value["tasks"] = [name, "depth"]
    value["pairs"] = {name: {name: "local", "depth": "none"}, "depth": {name: "global"}}
    write_yaml(folder.contexts, value)
    write_rows(
        folder.metrics("search"),
        ("step", "stage", "task", "name", "value"),
        [(1, "train", "", "loss", 1.0), (1, "train", name, "loss", 1.0), (2, "train", name, "loss", 2.0)],
    )
    write_json(folder.environment, {name: name})
    experiment = folder.experiment.read_text(encoding="utf-8")
    folder.experiment.write_text(experiment.replace("name: tiny", f"name: '{name}'"), encoding="utf-8")
    parsed = Parsed(page := make_page([folder.root]))
    assert len(parsed("script")) == 1 and len(parsed.scripts) == 1
    assert not any("onerror" in attributes for _, attributes in parsed.tags)
    assert parsed.text.count(name) >= 5, "shown as text"
    assert page.count("<script") == 1


def test_an_unfinished_run_is_shown_as_far_as_it_has_come(own: Path) -> None:
    folder = RunFolder(own)
    for gone in (folder.results, folder.metrics("retrain")):
        gone.unlink()
    shutil.rmtree(folder.samples)
    text = said(make_page([own]))
    assert "The network of this choice has not been retrained." in text and "known after retraining" in text
    folder.contexts.unlink()
    assert "Nothing has been chosen yet" in said(make_page([own]))
    for gone in (folder.logits, folder.metrics("search"), folder.environment):
        gone.unlink()
    assert "atrcnas run experiment.yaml" in said(make_page([own]))


def test_a_search_under_way_says_where_it_is(own: Path) -> None:
    folder = RunFolder(own)
    folder.results.unlink()
    value = contexts(TASK_NAMES)
    value["provenance"] |= {"strategy": "gumbel", "step": 16000}
    write_yaml(folder.contexts, value)
    assert "is under way, validated last at step 16000 of 40000; so far it gives" in said(make_page([own]))


def test_a_search_by_trials_shows_its_best_score_by_cost(own: Path) -> None:
    folder = RunFolder(own)
    shutil.rmtree(folder.stage("search"))
    folder.stage("search").mkdir()
    columns = ("strategy", "trial", "step", "seconds", "score", "best")
    rows = [("tpe", trial, 1000 * trial, 9.0 * trial, 0.1 * trial, 0.1 * trial) for trial in (1, 2, 3)]
    write_rows(folder.budget, columns, rows)
    text = said(make_page([own]))
    assert "Score of the configs" in text and "best so far" in text
    assert "No probabilities by step" in text


@pytest.mark.parametrize(
    "damaged",
    ["search/logits.csv", "search/metrics.csv", "results.json", "samples/0000.npz", "contexts.yaml", "experiment.yaml"],
)
def test_a_damaged_file_is_one_message_and_the_rest_is_shown(own: Path, damaged: str) -> None:
    (own / damaged).write_bytes(b"a,b\n1,2\n\xff")
    parsed = Parsed(make_page([own]))
    problems = [attributes for attributes in parsed("p") if attributes.get("class") == "problem"]
    assert len(problems) == 1 and parsed.text.count(damaged.rpartition("/")[2]) == 1
    assert len(parsed("figure")) > 4
    assert not damaged.endswith("metrics.csv") or "retrain" in parsed.text


def test_what_is_no_run_folder_and_another_suffix_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected a run folder"):
        make_page([tmp_path])
    with pytest.raises(RunError, match=r"expected an \.html file"):
        write_report([run], tmp_path / "report.pdf")


def test_several_runs_are_compared_against_a_baseline(run: Path, tmp_path: Path) -> None:
    first, second = make_run(tmp_path / "first", seed=3), make_run(tmp_path / "second", seed=4)
    text = said(make_page([run, second], [first]))
    assert "Delta_m (%)" in text and "2 runs" in text
    assert "Delta_m" not in said(make_page([first, second]))
    RunFolder(second).results.unlink()
    assert f"{second} has no results yet." in said(make_page([first, second]))


def test_a_page_of_a_usual_run_is_small(tmp_path: Path) -> None:
    """Five tasks, photographs of 480 x 640 pixels, and a thousand logged steps."""
    tasks = (*TASK_NAMES, "sal")
    made = make_run(tmp_path / "large", tasks, (480, 640))
    write_metrics(made / "search/metrics.csv", tasks, searching=True, num_steps=200_000)
    assert write_report([made], tmp_path / "report.html").stat().st_size < 1_500_000


def test_a_branched_encoder_is_drawn_with_every_task_and_said_in_words(own: Path) -> None:
    first, second, *rest = TASK_NAMES
    value = {**contexts(TASK_NAMES), "model": {"branches": {"stage2": [[first, second], rest]}}}
    assert "tree" not in {attributes.get("class") for attributes in Parsed(make_page([own]))("svg")}
    write_yaml(RunFolder(own).contexts, value)
    page = Parsed(make_page([own]))
    (drawing,) = (attributes for attributes in page("svg") if attributes.get("class") == "tree")
    assert drawing["aria-label"] == f"encoder: stage2:{first}+{second}|{'+'.join(rest)}"
    boxes = page("rect")
    assert len(boxes) == 3, "a trunk and two branches"
    assert all(0 <= float(box["x"] or 0) < float(drawing["width"] or 0) for box in boxes)
    leaves = [attributes for attributes in page("text") if attributes.get("class") == "leaf"]
    assert len(leaves) == len(TASK_NAMES)
    assert f"{first} + {second}" in page.text and "Where tasks part in the encoder" in page.text
