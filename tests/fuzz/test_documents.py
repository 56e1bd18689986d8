"""Experiments, search spaces and context configs that nobody meant: read, or refused in words, and never executed."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from atrcnas.ground.errors import ConfigError
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment
from atrcnas.spec.space import SearchSpace
from tests.fuzz.cases import accepted, fuzz
from tests.fuzz.documents import KEYS, ODD_TEXT, WORDS, bundled, invented, mutated, payloads, text_of, values

HOME = Path(tempfile.mkdtemp(prefix="atrcnas-fuzz-"))
# Part of what is generated: with a name of its own in each session, each would try other inputs.
EXECUTED = Path(tempfile.gettempdir()) / "atrcnas-fuzz-executed"
EXECUTED.unlink(missing_ok=True)
TASKS = ("semseg", "depth", "edge")
EXPERIMENTS, SPACES, PRESETS = bundled("experiments"), bundled("search_spaces"), bundled("search_spaces/presets")
# Read once here, so that the first import of a data set does not count as the time of one input.
for _name in ("quickstart", "camvid"):
    Experiment.load(_name)


@pytest.fixture(autouse=True)
def nothing_is_executed() -> Any:
    yield
    assert not EXECUTED.exists()


def written(name: str, content: bytes) -> Path:
    path = HOME / name
    path.write_bytes(content)
    return path


def documents(shelf: list[Any], known: list[str]) -> st.SearchStrategy[bytes]:
    return text_of(st.one_of(mutated(shelf), mutated(shelf), invented(known)), payloads(EXECUTED))


@fuzz(1000)
@example(content=b"tasks: !!python/object/apply:os.getcwd []\n")
@example(content=b"tasks: [semseg]\nseed: [[[[[[")
@example(content=b"\xff\xfe")
@example(content=b"tasks: [sal]\ndata: {name: folder, options: {root: x, classes: {none: 11}}}\n")
@example(content=b"tasks: [sal]\ndata: {name: folder, options: {root: x, classes: {sal: 11}}}\n")
@example(content=b"tasks: [sal]\ndata: {name: folder, options: {root: x, class_names: {depth: [a, b]}}}\n")
@example(content=b"tasks: [sal, edge]\nmodel: {branches: {stage3: [[sal], [edge, sal]]}}\n")
@example(content=b"tasks: [sal, edge]\nmodel: {branches: {stage3: [[sal], [edge]], stage4: [[sal, edge]]}}\n")
@example(content=b"tasks: [sal]\nmodel: {branches: {stage%s: [[sal]]}}\n" % (b"9" * 5000))
@example(content=b"tasks: [sal]\nsearch: {branches: {contexts: together, points: {a: b}, tau: [0, nan]}, seeds: 3}\n")
@example(content=b"tasks: [sal]\nmodel: {branches: {1: [[sal]], stem: [[]], null: sal}}\n")
@given(content=documents(EXPERIMENTS, [field.alias or name for name, field in Experiment.model_fields.items()]))
def test_an_experiment_is_read_or_refused_by_name(content: bytes) -> None:
    path = written("experiment.yaml", content)
    experiment = accepted(lambda: Experiment.load(path), path, "plugins: ", error=ConfigError)
    if experiment is not None:
        assert Experiment.load(experiment.dump()).dump() == experiment.dump()


@fuzz(300)
@example(content=b"pairs: {default: [none, global], diagonal: {1: 2}}\n")
@example(content=b"pairs: {default: !!python/name:os.system }\n")
@given(content=documents(SPACES, list(SearchSpace.model_fields)))
def test_a_search_space_is_read_or_refused_by_name(content: bytes) -> None:
    path = written("space.yaml", content)
    space = accepted(lambda: SearchSpace.load(path), path, error=ConfigError)
    if space is not None:
        accepted(lambda: space.pools(TASKS), "pairs", error=ConfigError)
        space.save(HOME / "space-again.yaml")
        assert SearchSpace.load(HOME / "space-again.yaml") == space


def read_and_come_back(path: Path) -> None:
    """A context config, in either form, is refused by name or saved and read as it was."""
    contexts = accepted(lambda: ContextConfig.load(path), path, error=ConfigError)
    if contexts is not None:
        accepted(lambda: contexts.kinds(TASKS), path, error=ConfigError)
        contexts.save(HOME / "contexts-again.yaml")
        assert ContextConfig.load(HOME / "contexts-again.yaml") == contexts


@fuzz(500)
@example(
    content=b"pairs: {default: mti, diagonal: none}\nmodel: {refine: {3.4e+16: 1794, null: '0x1f', 21: search, false: 4}}\n"
)
@example(content=b"pairs: {default: mti, diagonal: none}\nmodel: {1: 2}\n")
@example(content=b"pairs: {1: 2}\n")
@given(content=documents(PRESETS, list(ContextConfig.model_fields)))
def test_a_context_config_is_read_or_refused_by_name(content: bytes) -> None:
    read_and_come_back(written("contexts.yaml", content))


parts = st.one_of(st.sampled_from(KEYS), st.sampled_from(WORDS), ODD_TEXT)
overrides = st.lists(
    st.one_of(
        st.tuples(st.lists(parts, min_size=1, max_size=4).map(".".join), st.one_of(values.map(repr), parts)).map(
            "=".join
        ),
        st.sampled_from([f"plugins=[{payload}]" for payload in payloads(EXECUTED)]),
        st.sampled_from(
            [f"seed{'.x' * 20_000}=1", "seed=" + "[" * 5000, "=1", "seed", "a" * 100_000, "seed=0x" + "f" * 9000]
        ),
        parts,
    ),
    min_size=1,
    max_size=3,
)


@fuzz(400)
@example(given_overrides=["plugins=[!!python/name:os.mkdir]", "=1", "seed"])
@example(given_overrides=["seed=" + "[" * 5000])
@given(given_overrides=overrides)
def test_overrides_are_taken_or_refused_by_key(given_overrides: list[str]) -> None:
    names = [text.partition("=")[0][:40] for text in given_overrides]
    accepted(lambda: Experiment.load("quickstart", given_overrides), "quickstart.yaml", *names, error=ConfigError)


REFERENCE = [{"data": {t: {s: code for s in TASKS} for t in TASKS}, "step": 10 * code} for code in range(3)]
_JSON_PIECES = [
    "NaN",
    "Infinity",
    "1e999",
    "-",
    "9" * 5000,
    '"\\ud800"',
    "\0",
    "[" * 5000,
    '"data": {}, ',
    "\ufeff",
    "/**/",
]


@st.composite
def reference_files(draw: st.DrawFn) -> bytes:
    value = draw(st.one_of(mutated(REFERENCE), mutated(REFERENCE), invented(["data", "step"])))
    content = json.dumps(value, default=str)
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        at = draw(st.integers(0, len(content)))
        content = content[:at] + draw(st.sampled_from(_JSON_PIECES)) + content[at + draw(st.integers(0, 3)) :]
    return content.encode("utf-8", "surrogatepass")


@fuzz(300)
@example(content=b'{"data": {}, "data": {"a": {"a": 9}}}')
@example(content=b"[" * 5000)
@given(content=reference_files())
def test_the_references_json_is_read_or_refused_by_name(content: bytes) -> None:
    read_and_come_back(written("reference.json", content))


@pytest.mark.parametrize("name", ["{0}", "./evil", "evil; import os", "..evil", "file:{0}.py"])
def test_a_plugin_is_a_module_that_is_importable_already_or_a_file_by_its_name(tmp_path: Path, name: str) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    path = tmp_path / "x.yaml"
    path.write_text(json.dumps({"tasks": ["semseg"], "plugins": [name.format(tmp_path / "evil")]}))
    with pytest.raises(ConfigError, match="plugins: cannot import"):
        Experiment.load(path)
    assert not ran.exists()
