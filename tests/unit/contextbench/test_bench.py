"""Tables of numbers known by construction, asked for what they hold."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from atrcnas.cli import app
from atrcnas.contextbench import Bench, load, table_path
from atrcnas.contextbench.report import draw, lines
from atrcnas.contextbench.table import BASELINE, Pools, all_configs, columns, factored, parse, read, spell
from atrcnas.contextbench.variance import interaction, marginals, shares
from atrcnas.ground.errors import AtrcnasError, ConfigError, RunError
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.experiment import Experiment

EXPERIMENT = Experiment.load("rooms-small")
POOLS = EXPERIMENT.search_space().pools(EXPERIMENT.tasks)
TASKS = EXPERIMENT.predicted_tasks()
TABLES = [path for path in table_path("x").parent.glob("*.csv") if not path.stem.endswith("-latency")]
OWN = {"none": 0.0, "global": 1.0, "local": 4.0, "tlabel": 3.0}
CROSS = {"none": 0.0, "global": 2.0, "local": 1.0, "slabel": 1.0}
Figures = Callable[[str, int], dict[str, float]]


def write(path: Path, configs: list[str], seeds: list[int], figures: Figures) -> Path:
    """A table in which each figure is 1 unless ``figures(config, seed)`` says otherwise."""
    names = list(columns(TASKS))
    rows = [",".join(names)]
    for config, seed in itertools.product(configs, seeds):
        values = {**dict.fromkeys(names[2:], 1), **figures(config, seed)}
        rows.append(",".join(map(str, [config, seed, *(values[name] for name in names[2:])])))
    path.write_text("\n".join(rows) + "\n")
    return path


def worth(config: str) -> tuple[float, float]:
    """Known by construction: a target gains what its own kind and the other task's kind are worth, percent."""
    (a, b), (c, d) = (row.split(".") for row in config.split("/"))
    return OWN[a] + CROSS[b], OWN[d] + CROSS[c]


def additive(config: str, seed: int) -> dict[str, float]:
    """The baseline of a seed has 0.2 + seed / 100 and 1 + seed / 10; seed 0 gains half a percent less, seed 1 more."""
    first, second = (0.0, 0.0) if config == BASELINE else worth(config)
    luck = 0.0 if config == BASELINE else seed - 0.5
    miou = (0.2 + seed / 100) * (1 + (first + luck) / 100)
    rmse = (1 + seed / 10) * (1 - (second + luck) / 100)
    return {"semseg.miou.full": miou, "depth.rmse.full": rmse, "semseg.loss.full": first, "depth.loss.full": second}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return load("rooms-small", write(tmp_path / "t.csv", [BASELINE, *factored(POOLS)], [0, 1], additive))


def competing(config: str, seed: int) -> dict[str, float]:
    """The same, but segmentation gains 4 percent more where depth has no contexts; noise of 0.4 percent."""
    figures = additive(config, seed)
    if config != BASELINE:
        more = 4.0 * config.endswith("/none.none") + np.random.default_rng([seed, *config.encode()]).normal(scale=0.4)
        figures["semseg.miou.full"] += (0.2 + seed / 100) * more / 100
    return figures


def test_what_a_targets_row_adds_to_another_target_is_found_and_counted(tmp_path: Path) -> None:
    bench = load("rooms-small", write(tmp_path / "t.csv", [BASELINE, *all_configs(POOLS)], [0, 1], competing))
    found = bench.spillover("semseg")
    assert found.ratio > 10 and found.freedom == 15
    assert found.effect == pytest.approx(4 * (1 / 16 * 15 / 16) ** 0.5, abs=0.2)
    adds = found.by_row["depth"]
    assert adds["none.none"] - adds.drop("none.none").mean() == pytest.approx(4, abs=0.5)
    assert bench.spillover("depth").effect < 0.05
    ranking = bench.ranking()
    expected = {name: sum(worth(name)) / 2 + 2 * name.endswith("/none.none") for name in ranking.index}
    assert (ranking["delta_m"] - pd.Series(expected)).abs().max() < 0.7
    assert (ranking["delta_m"] - pd.Series(expected)).std() < 0.25


def test_a_factored_design_cannot_tell_what_other_targets_add(bench: Bench) -> None:
    found = bench.spillover("semseg")
    assert found.freedom == 0 and not found.by_row and np.isnan(found.effect)


@pytest.mark.parametrize("pools", [POOLS, dict(sorted(POOLS.items(), key=lambda item: item[0].source))])
def test_a_name_gives_its_kinds_back(pools: Pools) -> None:
    names = all_configs(pools)
    assert len(set(names)) == 4**4
    assert [spell(parse(name, pools), pools) for name in names] == names


def test_a_name_has_a_row_per_target() -> None:
    kinds = {str(pair): kind for pair, kind in parse("local.none/slabel.tlabel", POOLS).items()}
    assert kinds == {
        "semseg<-semseg": "local",
        "semseg<-depth": "none",
        "depth<-semseg": "slabel",
        "depth<-depth": "tlabel",
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("local/none", "expected a kind for each of semseg<-semseg, .* like 'none.none/none.none', got 'local/none'"),
        ("local.none/none.slabel", "'depth<-depth': expected one of none, global, local, tlabel, got 'slabel'"),
    ],
)
def test_a_name_that_is_not_of_the_space_is_refused(name: str, message: str, bench: Bench) -> None:
    with pytest.raises(ConfigError, match=message):
        bench.query(name)


def test_sixteen_configs_hold_every_row_of_every_target_and_all_uniform_ones() -> None:
    design = factored(POOLS)
    rows = [[config.split("/")[target] for config in design] for target in (0, 1)]
    assert [len(set(row)) for row in rows] == [16, 16]
    assert {"local.local/local.local", "tlabel.slabel/slabel.tlabel"} <= set(design)


def test_gains_are_against_the_baseline_of_the_same_seed(bench: Bench) -> None:
    found = bench.query("local.none/none.local", seed=1)
    assert found["semseg.miou.full"] == pytest.approx(0.21 * 1.045)
    assert found[["semseg.gain.full", "depth.gain.full", "delta_m.full"]].tolist() == pytest.approx([4.5, 4.5, 4.5])
    mean = bench.query("local.none/none.local")
    assert mean["semseg.miou.full"] == pytest.approx((0.2 * 1.035 + 0.21 * 1.045) / 2)
    assert mean["delta_m.full"] == pytest.approx(4.0)


def test_without_a_baseline_of_that_seed_there_is_no_gain(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", ["none.none/none.none"], [0], additive)
    assert np.isnan(load("rooms-small", table).query("none.none/none.none")["delta_m.full"])


def test_few_configs_rank_all_when_targets_separate(bench: Bench) -> None:
    """Every one of 256, of which 16 were trained, has the Delta_m it was constructed with."""
    ranking = bench.ranking()
    expected = {config: sum(worth(config)) / 2 for config in all_configs(POOLS)}
    assert len(ranking) == 256
    assert ranking["delta_m"].to_dict() == pytest.approx(expected, abs=1e-3)
    best, worst = bench.standing("local.global/global.local"), bench.standing("none.none/none.none")
    assert (best.rank, best.percentile, best.delta_m) == (1, 100.0, pytest.approx(6.0, abs=1e-3))
    assert (worst.rank, worst.percentile) == (256, 0.0)
    better = sum(value > 4.0 + 1e-6 for value in expected.values())
    middle = bench.standing("local.none/none.local")
    assert (middle.rank, middle.percentile) == (better + 1, pytest.approx(100 * (255 - better) / 255))


@pytest.mark.parametrize("own", [0.0, 2.0])
def test_what_the_rows_of_targets_do_not_add_up_to_is_told_from_noise(tmp_path: Path, own: float) -> None:
    """Semseg gains what its row is worth, something of the whole config's own, and noise of one percent."""
    random = np.random.default_rng(0)
    of_config = {config: own * random.normal() for config in all_configs(POOLS)}

    def figures(config: str, seed: int) -> dict[str, float]:
        if config == BASELINE:
            return {"semseg.miou.full": 0.2}
        gain = sum(worth(config)) + seed + of_config[config] + random.normal()
        return {"semseg.miou.full": 0.2 * (1 + gain / 100)}

    found = interaction(
        load("rooms-small", write(tmp_path / "t.csv", [BASELINE, *of_config], [0, 1], figures)), "semseg.gain.full"
    )
    assert found["noise"] == pytest.approx(1, rel=0.1)
    assert found["interaction"] == pytest.approx(own, rel=0.12, abs=0.25)
    assert (found["ratio"] > 2) == (own > 0) and found["freedom"] == 15 * 15


def test_without_a_second_seed_noise_is_not_told_from_what_rows_do_not_add_up_to(tmp_path: Path) -> None:
    found = interaction(load("rooms-small", write(tmp_path / "t.csv", [BASELINE, *all_configs(POOLS)], [0], additive)))
    assert found[["noise", "interaction", "ratio"]].isna().all()


def test_a_config_whose_rows_were_not_trained_has_no_standing(tmp_path: Path) -> None:
    bench = load("rooms-small", write(tmp_path / "t.csv", [BASELINE, "none.none/none.none"], [0], additive))
    with pytest.raises(ConfigError, match="not in the ranking of 1 configs"):
        bench.standing("local.none/none.local")
    with pytest.raises(ConfigError, match=r"'local.none/none.local': not in the table \(its seeds: none\)"):
        bench.query("local.none/none.local")


def test_the_noise_floor_is_the_spread_over_seeds_pooled_over_configs(tmp_path: Path) -> None:
    spread = {"none.none/none.none": 1.0, "local.none/none.local": 3.0}

    def figures(config: str, seed: int) -> dict[str, float]:
        return {"depth.loss.full": 10 * spread[config] + seed * spread[config]}

    bench = load("rooms-small", write(tmp_path / "t.csv", list(spread), [0, 2], figures))
    # Two configs of two seeds: deviations of 1 and 3 on both sides, two degrees of freedom.
    assert bench.noise()["depth.loss.full"] == pytest.approx(((2 * 1 + 2 * 9) / 2) ** 0.5)


def test_variance_is_shared_out_as_it_was_put_in(bench: Bench) -> None:
    found = shares(bench, "depth", "depth.loss.full")
    own, cross = np.var(list(OWN.values())), np.var(list(CROSS.values()))
    assert found.loc["depth<-depth", "share"] == pytest.approx(own / (own + cross))
    assert found.loc["depth<-semseg", "share"] == pytest.approx(cross / (own + cross))
    assert found.loc[["seed", "rest", "depth<-semseg x depth<-depth"], "share"].tolist() == pytest.approx([0, 0, 0])
    assert found["freedom"].to_dict() == {
        "depth<-semseg": 3,
        "depth<-depth": 3,
        "seed": 1,
        "depth<-semseg x depth<-depth": 9,
        "rest": 15,
    }


def test_an_interaction_and_a_seed_are_found_as_such(tmp_path: Path) -> None:
    def figures(config: str, seed: int) -> dict[str, float]:
        own, cross = config.split("/")[0].split(".") if config != BASELINE else ("", "")
        return {"semseg.loss.full": (own == cross) * 8.0 + seed * 3.0}

    found = shares(
        load("rooms-small", write(tmp_path / "t.csv", factored(POOLS), [0, 2], figures)), "semseg", "semseg.loss.full"
    )
    together, seed = found.loc["semseg<-semseg x semseg<-depth", "share"], found.loc["seed", "share"]
    # Three of 16 cells hold 8, in three of four rows and columns: of that the cell means beyond rows and columns.
    cells = np.diag([8.0, 8.0, 8.0, 0.0])
    beyond = cells - cells.mean(0) - cells.mean(1)[:, None] + cells.mean()
    assert together / seed == pytest.approx((beyond**2).mean() / 9.0)
    assert found.loc["rest", "share"] == pytest.approx(0)


def test_marginal_values_are_means_over_the_other_pair(bench: Bench) -> None:
    found = marginals(bench, "semseg")
    assert list(found.columns) == ["none", "global", "local", "tlabel", "slabel"]
    means = np.mean(list(CROSS.values())) + np.array([OWN[kind] for kind in ("none", "global", "local", "tlabel")])
    assert found.loc["semseg<-semseg"].tolist()[:4] == pytest.approx(means.tolist(), abs=1e-3)
    assert np.isnan(found.loc["semseg<-semseg", "slabel"])


def test_a_context_config_is_asked_for_as_a_search_writes_it(bench: Bench) -> None:
    kinds = parse("local.none/none.local", POOLS)
    assert bench.name(ContextConfig.from_kinds(kinds, {"width": 24})) == "local.none/none.local"
    assert bench.name(ContextConfig.load("baseline")) == BASELINE
    with pytest.raises(ConfigError, match=r"model\.width: 48: the networks of 'rooms-small' differ"):
        bench.name(ContextConfig.from_kinds(kinds, {"width": 48}))


def test_a_row_that_is_being_written_is_left_out_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [BASELINE], [0, 1], additive)
    whole = path.read_text()
    path.write_text(whole + "local.no")
    assert len(load("rooms-small", path).rows) == 2
    path.write_text(whole + "local.no\n")
    with pytest.raises(RunError, match="line 4: expected 16 fields, got 1"):
        load("rooms-small", path)


def test_a_table_is_asked_without_torch(bench: Bench, tmp_path: Path) -> None:
    code = (
        f"import sys; from pathlib import Path; from atrcnas.contextbench import load; from atrcnas.contextbench import report\n"
        f"bench = load('rooms-small', Path({str(tmp_path / 't.csv')!r})); print(bench.standing('none.none/none.none').rank)\n"
        "list(report.lines(bench)); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("256\n", "")


def test_the_command_line_says_figures_standing_and_report(bench: Bench, tmp_path: Path) -> None:
    table = ["--table", str(tmp_path / "t.csv")]
    asked = CliRunner().invoke(app, ["bench", "query", "local.global/global.local", *table])
    assert "delta_m.full: 6" in asked.output and "rank 1 of 256, percentile 100" in asked.output
    never_trained = CliRunner().invoke(app, ["bench", "query", "local.global/none.local", *table])
    assert never_trained.output.startswith("Delta_m by the rows of each target: +5.00 %, rank ")
    of_a_seed = CliRunner().invoke(app, ["bench", "query", "local.global/none.local", "--seed", "9", *table])
    assert "seed 9 of 'local.global/none.local': not in the table" in str(of_a_seed.exception)
    no_file = CliRunner().invoke(app, ["bench", "query", str(tmp_path / "contexts.yaml"), *table])
    assert "contexts.yaml: no such file" in str(no_file.exception)
    figure = tmp_path / "report.png"
    told = CliRunner().invoke(app, ["bench", "report", *table, "--out", str(figure)])
    assert told.output.startswith("rooms-small: 34 rows, 17 of 257 configs; seeds (rows): 0 (17), 1 (17)\n")
    assert "| local.global/global.local | 6 | 6 | 6 | 6 | " in told.output
    assert figure.stat().st_size > 10_000
    foreign = CliRunner().invoke(app, ["bench", "query", "nothing", *table])
    assert isinstance(foreign.exception, AtrcnasError)


def test_tables_are_named_where_there_is_none_of_that_name_and_in_the_help() -> None:
    tables = {path.stem for path in TABLES}
    with pytest.raises(ConfigError, match="got 'nope'") as refused:
        load("nope")
    shown = CliRunner().invoke(app, ["bench", "query", "--help"], terminal_width=400).output
    assert all(name in str(refused.value) and name in shown for name in tables)


def test_a_report_with_a_figure_of_no_known_form_says_so_before_anything_else(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [BASELINE, *factored(POOLS)], [0, 1], additive)
    asked = CliRunner().invoke(app, ["bench", "report", "--table", str(path), "--out", str(tmp_path / "figure.bmp")])
    assert isinstance(asked.exception, RunError) and not asked.output


@pytest.mark.parametrize(("seeds", "more", "labels"), [([0], [], 3), ([0, 1], ["none.none/none.local"], 4)])
def test_a_figure_claims_no_error_and_no_whole_configs_where_there_are_none(
    seeds: list[int], more: list[str], labels: int, tmp_path: Path
) -> None:
    configs = [BASELINE, *factored(POOLS), *more]
    figure = draw(load("rooms-small", write(tmp_path / "t.csv", configs, seeds, additive)))
    named = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert len(named) == labels
    assert any("standard error" in name for name in named) == (len(seeds) > 1)
    assert ("trained as a whole" in named) == bool(more)


def test_a_table_that_has_only_begun_is_reported_and_not_drawn(tmp_path: Path) -> None:
    bench = load("rooms-small", write(tmp_path / "t.csv", [BASELINE], [0], additive))
    assert list(lines(bench)) == ["rooms-small: 1 rows, 1 of 257 configs; seeds (rows): 0 (1)"]
    with pytest.raises(RunError, match="nothing to draw yet"):
        draw(bench)


@pytest.mark.parametrize("name", [path.stem for path in TABLES])
def test_a_table_of_the_package_is_whole(name: str) -> None:
    bench = load(name)
    assert not bench.rows[list(columns(bench.tasks))[2:]].isna().any().any()
    assert {config for config, _ in bench.rows.index} <= {BASELINE, *all_configs(bench.pools)}


def test_latencies_of_configs_that_were_timed_stand_beside_the_rows(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", [BASELINE, *factored(POOLS)], [0, 1], additive)
    timed = tmp_path / "latency.csv"
    timed.write_text("config,latency_ms,latency_ratio\nlocal.global/global.local,2.5,1.25\n")
    bench = Bench(read(table, TASKS, timed), EXPERIMENT)
    assert bench.query("local.global/global.local")["latency_ms"] == 2.5
    assert bench.ranking()["latency_ratio"].dropna().to_dict() == {"local.global/global.local": 1.25}
    assert read(table, TASKS)["latency_ms"].isna().all()
