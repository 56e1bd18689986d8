"""The committed fixtures are exactly what the script cuts from the golden files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from make_fixtures import CUTS, DATA, cut, pack, unpack
from safetensors.torch import load_file


@pytest.mark.parametrize("name", CUTS)
def test_fixture_is_what_the_script_cuts(golden_dir: Path | None, name: str) -> None:
    if golden_dir is None:
        pytest.skip("no shared/golden here")
    fresh, committed = cut(name, golden_dir), load_file(DATA / f"{name}.safetensors")
    assert fresh.keys() == committed.keys()
    for key, value in fresh.items():
        assert value.dtype == committed[key].dtype, key
        assert torch.equal(value, committed[key]), key


def test_meta_is_that_of_the_golden_files(golden_dir: Path | None) -> None:
    if golden_dir is None:
        pytest.skip("no shared/golden here")
    meta = json.loads((golden_dir / "meta.json").read_text(encoding="utf-8"))
    assert json.loads((DATA / "meta.json").read_text(encoding="utf-8")) == {k: meta[k] for k in ("tasks", "genotype")}


def test_fixtures_stay_small() -> None:
    sizes = [(DATA / f"{name}.safetensors").stat().st_size for name in CUTS]
    assert max(sizes) < 400_000
    assert sum(sizes) < 1_000_000


@pytest.mark.parametrize("affine", [True, False])
def test_packing_loses_nothing(affine: bool) -> None:
    names = ["conv.weight", "bn.running_mean", "bn.running_var", *(["bn.weight", "bn.bias"] if affine else [])]
    state = {f"p.{name}": torch.rand(6, 12, 1, 1) if name == "conv.weight" else torch.rand(6) for name in names}
    back = unpack(pack(state, "p."))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], value) for key, value in state.items())
