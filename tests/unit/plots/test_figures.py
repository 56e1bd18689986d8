"""Every figure from files: readable at every size, the same bytes each time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from legibility import faults, texts
from matplotlib.figure import Figure
from PIL import Image
from run_files import POOL, contexts, write_logits, write_metrics, write_rows, write_run, write_sample

from atrcnas import plots
from atrcnas.ground.errors import RunError
from atrcnas.ground.files import write_yaml
from atrcnas.ground.registry import Registry
from atrcnas.plots.canvas import save
from atrcnas.plots.contexts import Cell, draw_cells
from atrcnas.runs.tables import IMPORTANCE
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.pairs import Pair
from atrcnas.spec.tasks import TASKS, Task

SIZES = [(1, (4,)), (2, (4, 8, 16, 32)), (4, (4, 8)), (6, (4,)), (6, (4, 8, 16, 32))]
LONG = ("a_task_with_a_remarkably_long_name_for_a_plot", "panoptic_boundaries_of_things", TASKS.names[0])
LOGIT_COLUMNS = ("step", "level", "target", "source", "kind", "logit", "probability", "committed")
METRIC_COLUMNS = ("step", "stage", "task", "name", "value")


def heatmap(value: dict[str, Any]) -> Figure:
    """Of what a contexts.yaml holds."""
    return plots.draw_heatmap(ContextConfig.model_validate(value))


def cells(figure: Figure) -> dict[str, str]:
    """Letter by pair."""
    return {str(text.get_gid()): text.get_text() for text in texts(figure) if "<-" in str(text.get_gid())}


def in_key(kind: str) -> str:
    """The line that explains ``kind``."""
    return f"{KINDS[kind].letter}  {kind}: {KINDS[kind].description}"


@pytest.mark.parametrize(
    ("num_tasks", "levels", "preset"), [*((*size, False) for size in SIZES), (2, (4,), True), (4, (4, 8), True)]
)
def test_heatmap_is_readable_and_shows_the_letters_of_the_chosen_kinds(
    num_tasks: int, levels: tuple[int, ...], preset: bool
) -> None:
    tasks = TASKS.names[:num_tasks]
    value = contexts(tasks, levels, preset)
    figure = heatmap(value)
    chosen = ContextConfig.model_validate(value).kinds(tasks)
    assert faults(figure) == []
    assert cells(figure) == {str(pair): KINDS[kind].letter for pair, kind in chosen.items()}
    written = [text.get_text() for text in texts(figure)]
    assert {"target (predicts)", *(in_key(kind) for kind in chosen.values())} <= set(written)
    assert any("no probabilities" in text for text in written) == preset


def test_cells_take_two_kinds_a_mark_and_every_kind_in_the_key() -> None:
    first, second = Pair("depth", "edge"), Pair("depth", "depth")
    described = {first: Cell(("local", "global"), 0.5, "0.50", "?"), second: Cell(("aspp",), number="-1.25")}
    figure = draw_cells(described, "importance", note="a note", also=KINDS.names)
    assert faults(figure) == []
    written = [text.get_text() for text in texts(figure)]
    in_cells = [(text.get_gid(), text.get_text()) for text in texts(figure) if text.get_gid()]
    assert in_cells == [(str(first), "L"), (str(first), "G"), (str(second), "A")]
    assert {"?", "a note", "0.50", "-1.25", *map(in_key, KINDS.names)} <= set(written)


def test_heatmap_marks_the_pairs_that_the_search_left_undecided() -> None:
    value = contexts(TASKS.names[:2])
    assert not [text for text in texts(heatmap(value)) if "?" in text.get_text()]
    value["provenance"]["undecided"] = {str(Pair(TASKS.names[0], TASKS.names[1])): 0.07}
    figure = heatmap(value)
    marks = [text for text in texts(figure) if text.get_text() == "?"]
    assert faults(figure) == []
    assert [tuple(int(x) for x in mark.get_position()) for mark in marks] == [(1, 0)], "second column, first row"
    assert any("?  undecided: the search did not settle this pair" in text.get_text() for text in texts(figure))


def test_importance_is_what_delta_m_loses_for_each_pair(tmp_path: Path) -> None:
    first, second = TASKS.names[:2]
    losses = {(first, first): ("local", 3.0, 0.0), (first, second): ("none", 0.0, 0.0), (second, first): ("mti", 0, -1)}
    rows = [
        (4, *pair, kind, task, drop, "train")
        for pair, (kind, *drops) in losses.items()
        for task, drop in zip((first, second), drops, strict=True)
    ]
    rows.append((4, second, second, "global+local", first, "nan", "train"))
    write_rows(tmp_path / "importance.csv", tuple(IMPORTANCE), rows)
    figure = plots.draw_importance(tmp_path / "importance.csv", "an experiment")
    written = [text.get_text() for text in texts(figure)]
    assert faults(figure) == []
    assert [text for text in written if text[:1] in "+-" and text[1:2].isdigit()] == ["+1.5", "+0.0", "-0.5"]
    assert "unknown" in written, "a score of 0 has no share to lose"
    assert any("on the selection part" in text for text in written)


def test_heatmap_survives_long_names_and_long_titles() -> None:
    value = contexts(LONG, (4, 8))
    value["provenance"]["experiment"] = "an experiment whose name goes on " * 6
    assert faults(heatmap(value)) == []


def test_heatmap_takes_missing_pairs_for_none() -> None:
    target, source = TASKS.names[:2]
    value = {"schema": 1, "tasks": [target, source], "pairs": {target: {source: "global"}, source: {}}}
    letters = cells(heatmap(value))
    assert letters.pop(f"{target}<-{source}") == KINDS["global"].letter
    assert set(letters.values()) == {KINDS["none"].letter}
    assert len(letters) == 3


def test_heatmap_shows_both_letters_of_two_kinds_and_their_probability() -> None:
    target, source = TASKS.names[:2]
    chances = {
        f"{t}<-{s}": {"local": 0.5, "global": 0.25, "none": 0.25} for t in (target, source) for s in (target, source)
    }
    table = {target: {target: "local", source: "local+global"}, source: {target: "local", source: "local"}}
    value = {"schema": 1, "tasks": [target, source], "pairs": table, "provenance": {"probabilities": chances}}
    figure = heatmap(value)
    assert faults(figure) == []
    letters = [text.get_text() for text in texts(figure) if text.get_gid() == f"{target}<-{source}"]
    assert letters == [KINDS["local"].letter, KINDS["global"].letter]
    assert {"0.75", in_key("local"), in_key("global")} <= {text.get_text() for text in texts(figure)}


@pytest.mark.parametrize(("num_tasks", "levels"), [(1, (4,)), (2, (4,)), (6, (4, 16))])
def test_probabilities_are_readable_and_one_figure_a_level(
    tmp_path: Path, num_tasks: int, levels: tuple[int, ...]
) -> None:
    write_logits(tmp_path / "logits.csv", TASKS.names[:num_tasks], levels, num_logged=15)
    figures = plots.draw_probabilities(tmp_path / "logits.csv")
    assert tuple(figures) == levels
    pool = POOL if num_tasks > 1 else [kind for kind in POOL if KINDS[kind].on_diagonal]
    for figure in figures.values():
        assert faults(figure) == []
        named = {text.get_text() for text in texts(figure)}
        assert {
            "mean entropy, 1 = undecided",
            "share of committed pairs",
            *(f"{KINDS[k].letter}  {k}" for k in pool),
        } <= named


def test_probabilities_survive_long_names_and_a_single_step(tmp_path: Path) -> None:
    write_logits(tmp_path / "logits.csv", LONG, num_logged=1)
    (figure,) = plots.draw_probabilities(tmp_path / "logits.csv").values()
    assert faults(figure) == []


def test_probabilities_mark_where_a_pair_commits_and_what_is_not_searched(tmp_path: Path) -> None:
    one, two = TASKS.names[:2]
    rows = [
        (step, 4, one, source, kind, 0, chance if step else 0.5, int(step >= 20 and source == one))
        for step in (0, 10, 20, 30)
        for source in (one, two)
        for kind, chance in (("global", 0.9), ("local", 0.1))
    ]
    write_rows(tmp_path / "logits.csv", LOGIT_COLUMNS, [*rows, (0, 4, two, one, "local", 0, 1, 0)])
    (figure,) = plots.draw_probabilities(tmp_path / "logits.csv").values()
    badges = [text for text in texts(figure) if text.get_text() == KINDS["global"].letter]
    assert [badge.get_position()[0] for badge in badges] == [20]
    assert sum(text.get_text() == "not searched" for text in texts(figure)) == 1
    assert sum(text.get_text() == "pair commits" for text in texts(figure)) == 1
    entropy = figure.axes[-1].get_lines()[0].get_ydata()
    assert np.asarray(entropy)[0] == pytest.approx(2 / 3)  # two undecided pairs and one that has no choice


@pytest.mark.parametrize(
    ("num_tasks", "phases"),
    [(1, ("retrain",)), (2, ("search",)), (4, ("search", "retrain")), (6, ("search", "retrain"))],
)
def test_losses_and_scores_are_readable(tmp_path: Path, num_tasks: int, phases: tuple[str, ...]) -> None:
    metrics = {phase: tmp_path / f"{phase}.csv" for phase in phases}
    for phase, path in metrics.items():
        write_metrics(path, TASKS.names[:num_tasks], phase == "search", num_steps=10000)
    losses, scores = plots.draw_losses(metrics), plots.draw_scores(metrics)
    assert faults(losses) + faults(scores) == []
    assert len(scores.axes) == num_tasks
    for figure in (losses, scores):
        labels = {text.get_text() for text in figure.legends[0].get_texts()}
        assert set(phases) <= labels


def test_scores_say_name_unit_and_direction(tmp_path: Path) -> None:
    write_metrics(tmp_path / "metrics.csv", TASKS.names, True, num_steps=8000)
    written = [text.get_text() for text in texts(plots.draw_scores({"search": tmp_path / "metrics.csv"}))]
    for task in TASKS:
        unit = f" ({task.unit})" if task.unit else ""
        better = "↑ higher" if task.higher_is_better else "↓ lower"
        assert f"{task.name}\n{task.score}{unit}  {better} is better" in written


def test_losses_count_the_last_row_of_a_step_and_skip_a_line_being_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    write_rows(path, METRIC_COLUMNS, [(10, "train", "", "loss", 9), (0, "train", "", "loss", 3)])
    with path.open("a") as stream:
        stream.write("10,train,,loss,2\r\n20,train,,loss,0.")
    line = plots.draw_losses({"search": path}).axes[0].get_lines()[0]
    assert np.asarray(line.get_xdata()).tolist() == [0, 10]
    assert np.asarray(line.get_ydata()).tolist() == [3, 2]


@pytest.mark.parametrize("num_tasks", [1, 2, 6])
@pytest.mark.parametrize("size", [(60, 80), (90, 40)], ids=["wide", "tall"])
def test_gallery_is_readable(tmp_path: Path, num_tasks: int, size: tuple[int, int]) -> None:
    for index in range(3):
        write_sample(tmp_path / f"{index}.npz", TASKS.names[:num_tasks], size, index)
    figure = plots.draw_gallery(tmp_path, max_samples=2)
    assert faults(figure) == []
    headers = [text.get_text() for text in texts(figure) if text.get_gid() == "column"]
    assert headers == ["input", *TASKS.names[:num_tasks]]
    assert {"0", "1"} <= {text.get_text() for text in texts(figure)}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield write_run(tmp_path_factory.mktemp("run"), TASKS.names[:3], (4, 8), num_samples=1)


def test_plot_run_makes_every_figure_and_equal_inputs_give_equal_bytes(run_dir: Path, tmp_path: Path) -> None:
    made = plots.plot_run(run_dir)
    names = ["contexts", "probabilities", "probabilities_level8", "losses", "scores", "gallery"]
    assert made == [run_dir / f"plots/{name}.png" for name in names]
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        again = plots.plot_run(run_dir, tmp_path)
    assert [path.read_bytes() for path in made] == [path.read_bytes() for path in again]
    for path in made:
        picture = Image.open(path)
        assert picture.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        assert "Software" not in picture.info


def test_plot_run_makes_what_it_can(tmp_path: Path) -> None:
    write_yaml(tmp_path / "contexts.yaml", contexts(TASKS.names[:2]))
    assert plots.plot_run(tmp_path) == [tmp_path / "plots/contexts.png"]


@pytest.mark.parametrize("suffix", ["pdf", "svg"])
def test_contexts_can_be_drawn_for_print(tmp_path: Path, suffix: str) -> None:
    write_yaml(tmp_path / "contexts.yaml", contexts(TASKS.names[:2]))
    outs = [plots.plot_contexts(tmp_path / "contexts.yaml", tmp_path / f"{index}.{suffix}") for index in range(2)]
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_importing_plots_imports_no_torch_and_no_pyplot() -> None:
    code = "import sys, atrcnas.plots; sys.exit(bool({'torch', 'matplotlib.pyplot'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3]).returncode == 0


def test_figures_leave_the_settings_of_matplotlib_alone(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    save(heatmap(contexts(TASKS.names[:2])), tmp_path / "out.png")
    assert dict(matplotlib.rcParams) == before


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"out\.bmp: expected a \.png"):
        save(heatmap(contexts(TASKS.names[:2])), tmp_path / "out.bmp")


def test_diverged_losses_are_drawn_as_gaps(tmp_path: Path) -> None:
    values = ["nan" if step % 7 == 0 else "inf" if step % 11 == 0 else f"{1 / (step + 1)}" for step in range(60)]
    rows = [(step, "train", "", "loss", value) for step, value in enumerate(values)]
    write_rows(tmp_path / "metrics.csv", METRIC_COLUMNS, rows)
    figure = plots.draw_losses({"search": tmp_path / "metrics.csv"})
    assert faults(figure) == []
    assert np.isfinite(np.asarray(figure.axes[0].get_lines()[1].get_ydata())).all()


def test_the_check_of_legibility_sees_clipped_and_overlapping_text() -> None:
    figure = Figure()
    figure.text(0.5, 0.5, "one")
    figure.text(0.51, 0.5, "two")
    figure.text(0.99, 0.1, "three")
    assert faults(figure) == ["'three' is clipped", "'one' overlaps 'two'"]


def test_a_plot_draws_where_its_file_is_and_says_which_figure_failed(tmp_path: Path) -> None:
    def draw(run_dir: Path) -> dict[str, Figure]:
        text = (run_dir / "notes.txt").read_text()
        if not text:
            raise plots.NothingToDraw("no notes yet")
        return {ending: Figure((float(text), 1)) for ending in ("", "_again")}

    plot = plots.Plot("notes", draw, "notes.*")
    assert plot.write(tmp_path, tmp_path) == []
    (tmp_path / "notes.txt").write_text("")
    assert plot.write(tmp_path, tmp_path) == []
    (tmp_path / "notes.txt").write_text("2")
    assert plot.write(tmp_path, tmp_path) == [tmp_path / "notes.png", tmp_path / "notes_again.png"]
    (tmp_path / "notes.txt").write_text("two")
    with pytest.raises(RunError, match=r"plot 'notes' failed \(ValueError: could not convert"):
        plot.write(tmp_path, tmp_path)


CLASS_NAMES = ("sky", "building", "sign_symbol$x", "a class with a name that goes on and on", *"defghijklmno")


def with_classes(names: tuple[str, ...]) -> Registry[Task]:
    task = next(task for task in TASKS if task.display == "palette")
    return TASKS.with_records([replace(task, class_names=names, channels=len(names), label_channels=len(names))])


def test_the_gallery_names_the_classes_it_shows_in_their_colours(tmp_path: Path) -> None:
    table = with_classes(CLASS_NAMES)
    first = next(task for task in table if task.class_names)
    own = replace(first, class_colours=tuple((number, 0, 0) for number in range(len(CLASS_NAMES))))
    write_sample(tmp_path / "0.npz", TASKS.names[:3], (48, 64))
    for task in (first, own):
        figure = plots.draw_gallery(tmp_path, table=table.with_records([task]))
        assert faults(figure) == []
        (legend,) = figure.legends
        named = {
            text.get_text(): patch.get_facecolor()
            for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)
        }
        shown = set(np.unique(np.load(tmp_path / "0.npz")[f"prediction.{task.name}"]).tolist())
        assert len(named) == len(shown)
        assert f"{task.name}: sky" in named
    assert named[f"{own.name}: building"] == pytest.approx((1 / 255, 0, 0, 1))


@pytest.mark.parametrize("names", [(), CLASS_NAMES])
def test_the_confusion_matrix_is_readable_and_each_row_a_whole(tmp_path: Path, names: tuple[str, ...]) -> None:
    count, name = len(names) or 90, TASKS.names[0]
    pixels = np.random.default_rng(0).integers(0, 90, (count, count)) + 2000 * np.eye(count, dtype=int)
    pixels[1] = 0
    rows = [f"{name},{i},{j},{pixels[i, j]}" for i, j in np.argwhere(pixels)]
    path = tmp_path / "confusion.csv"
    path.write_text("\n".join(["task,truth,prediction,pixels", *rows, ""]))
    figures = plots.draw_confusion(path, with_classes(names) if names else TASKS)
    assert list(figures) == [f"_{name}"]
    assert faults(figures[f"_{name}"]) == []
    drawn = np.asarray(figures[f"_{name}"].axes[0].images[0].get_array())
    assert np.isnan(drawn[1]).all()
    assert np.allclose(np.delete(drawn, 1, 0).sum(axis=1), 1)
    assert drawn[0] == pytest.approx(pixels[0] / pixels[0].sum())


def test_a_confusion_table_that_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "confusion.csv"
    for row, message in (
        ("nosuch,0,0,1", "unknown task"),
        (f"{TASKS.names[0]},0,300,1", "expected classes from 0 to 255"),
    ):
        path.write_text(f"task,truth,prediction,pixels\n{row}\n")
        with pytest.raises(RunError, match=message):
            plots.draw_confusion(path)
