"""The relation module against the reference's numbers: fixed network, supernet under a mixture, entropy term."""

from __future__ import annotations

import json

import pytest
import torch
from make_fixtures import DATA, SEARCH_TARGETS, below, unpack
from safetensors.torch import load_file
from torch import Tensor

from atrcnas.nn.atrc_weights import load_refiner
from atrcnas.nn.mixture import Mixture
from atrcnas.nn.relations import ContextRefiner
from atrcnas.sampling.sampler import Sampler
from atrcnas.spec.context_config import ContextConfig
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.pairs import Pair, all_pairs
from atrcnas.spec.space import SearchSpace

EXACT = {"rtol": 0.0, "atol": 1e-9}
META = json.loads((DATA / "meta.json").read_text(encoding="utf-8"))
TASKS: list[str] = META["tasks"]
WIDTH = 12


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(DATA / "relations.safetensors")


def supernet(targets: tuple[str, ...], golden: dict[str, Tensor]) -> ContextRefiner:
    pools = SearchSpace.load("atrc").pools(targets, TASKS)
    refiner = ContextRefiner(pools, WIDTH).double()
    load_refiner(refiner, unpack(golden), "search.state.")
    return refiner.eval()


def arch(golden: dict[str, Tensor]) -> dict[Pair, Tensor]:
    return {pair: golden[f"search.arch.{pair.target}.{pair.source}"] for pair in all_pairs(TASKS, (4,))}


def test_fixed_module_with_mixed_kinds_and_a_target_without_sources(golden: dict[str, Tensor]) -> None:
    by_code = {kind.reference_code: kind.name for kind in KINDS if kind.reference_code is not None}
    kinds = {Pair(t, s): (by_code[code],) for t, row in META["genotype"].items() for s, code in row.items()}
    assert {"none", "global", "local", "tlabel", "slabel"} == {kind for (kind,) in kinds.values()}
    assert any(all(kinds[Pair(t, s)] == ("none",) for s in TASKS) for t in TASKS)
    refiner = ContextRefiner(kinds, WIDTH).double().eval()
    load_refiner(refiner, unpack(golden), "fixed.state.")
    out = refiner(below(golden, "feats."), below(golden, "aux."))
    for task in TASKS:
        torch.testing.assert_close(out[task], golden[f"fixed.out.{task}"], **EXACT)


def test_fixed_module_read_from_a_reference_json(golden: dict[str, Tensor], tmp_path) -> None:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps({"data": META["genotype"], "step": 40000}))
    kinds = ContextConfig.load(path).kinds(TASKS)
    refiner = ContextRefiner({pair: (kind,) for pair, kind in kinds.items()}, WIDTH).double().eval()
    load_refiner(refiner, unpack(golden), "fixed.state.")
    out = refiner(below(golden, "feats."), below(golden, "aux."))
    torch.testing.assert_close(out["normals"], golden["fixed.out.normals"], **EXACT)


def test_supernet_under_a_given_mixture(golden: dict[str, Tensor]) -> None:
    refiner = supernet(SEARCH_TARGETS, golden)
    weights = {
        pair: dict(zip(pool, (arch(golden)[pair] / 0.7).softmax(0).tolist(), strict=True))
        for pair, pool in refiner.candidates.items()
    }
    mixture = Mixture.from_weights(weights, dtype=torch.float64)
    out = refiner(below(golden, "feats."), below(golden, "aux."), mixture=mixture)
    for task in SEARCH_TARGETS:
        torch.testing.assert_close(out[task], golden[f"search.out_soft_temp0.7.{task}"], **EXACT)


def test_supernet_under_the_sampler_without_noise_is_the_same_mixture(golden: dict[str, Tensor]) -> None:
    refiner = supernet(SEARCH_TARGETS, golden)
    sampler = load_sampler(golden, noise=False)
    out = refiner(below(golden, "feats."), below(golden, "aux."), mixture=sampler.draw(step=3, tau=0.7))
    for task in SEARCH_TARGETS:
        torch.testing.assert_close(out[task], golden[f"search.out_soft_temp0.7.{task}"], **EXACT)


def test_supernet_under_argmax(golden: dict[str, Tensor]) -> None:
    refiner = supernet(SEARCH_TARGETS, golden)
    chosen = {pair: pool[int(arch(golden)[pair].argmax())] for pair, pool in refiner.candidates.items()}
    assert {pair: kind for pair, kind in load_sampler(golden).chosen().items() if pair in chosen} == chosen
    out = refiner(below(golden, "feats."), below(golden, "aux."), mixture=Mixture.one_hot(chosen))
    for task in SEARCH_TARGETS:
        torch.testing.assert_close(out[task], golden[f"search.out_argmax.{task}"], **EXACT)


def load_sampler(golden: dict[str, Tensor], **options: bool) -> Sampler:
    sampler = Sampler(SearchSpace.load("atrc").pools(TASKS), **options).double()
    with torch.no_grad():
        for row, pair in enumerate(sampler.pairs):
            for kind, value in zip(sampler.pools[pair], arch(golden)[pair], strict=True):
                sampler.logits[row, sampler.kinds.index(kind)] = value
    return sampler


def test_entropy_term(golden: dict[str, Tensor]) -> None:
    torch.testing.assert_close(load_sampler(golden).entropy(), golden["search.entropy_mean"], **EXACT)
