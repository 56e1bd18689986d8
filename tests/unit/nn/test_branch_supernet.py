"""The supernet of copies against the plain backbone and against sums written out."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from atrcnas.nn.backbone import Backbone
from atrcnas.nn.branch_supernet import BranchSupernet
from atrcnas.nn.encoder_parts import parts_of

TASKS = ("a", "b", "c")
SMALL = ("atrcnas_small", {"stages": 4}, ("stage1", "stage3"))


def plain_and_copies(name: str, options: dict[str, int], points: tuple[str, ...]) -> tuple[Backbone, BranchSupernet]:
    torch.manual_seed(0)
    plain = Backbone(name, options=options).double().eval()
    torch.manual_seed(0)
    whole = Backbone(name, options=options)
    return plain, BranchSupernet(whole, parts_of(whole.body, name), points, TASKS).double().eval()


def image_of(height: int, width: int) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def shake(module: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(
                0.3 * parameter.std() * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            )


def stacked(found: list[dict[int, Tensor]]) -> list[Tensor]:
    return [torch.cat([one.flatten() for one in maps.values()]) for maps in found]


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "options", "points"),
    [SMALL, ("hrnet_w18_small_v2", {}, ("stage2", "stage3")), ("mobilenetv3_small_050", {}, ("stem", "stage2.2"))],
)
def test_whichever_copy_is_taken_the_untrained_supernet_is_the_backbone(
    name: str, options: dict[str, int], points: tuple[str, ...]
) -> None:
    plain, supernet = plain_and_copies(name, options, points)
    image = image_of(65, 97)
    mixed = torch.rand(len(points), 3, 3, generator=torch.Generator().manual_seed(2)).double().softmax(-1)
    for weights in (torch.eye(3).expand(len(points), 3, 3), torch.eye(3)[[0, 0, 2]].expand(len(points), 3, 3), mixed):
        for found in supernet(image, weights):
            for level, expected in plain(image).items():
                torch.testing.assert_close(found[level], expected, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_a_task_goes_through_the_copies_it_takes_and_no_other() -> None:
    plain, supernet = plain_and_copies(*SMALL)
    image = image_of(33, 48)
    for index, copies in enumerate(supernet.copies):
        for number, one in enumerate(copies):
            shake(one, 10 * index + number)
    taken = torch.stack([torch.eye(3)[[0, 1, 1]], torch.eye(3)[[2, 2, 0]]])
    before = stacked(supernet(image, taken))
    shake(supernet.copies[0][2], 99)  # nobody takes it
    assert all(map(torch.equal, before, stacked(supernet(image, taken))))
    shake(supernet.copies[1][0], 98)  # the last task does
    changed = [not torch.equal(one, other) for one, other in zip(before, stacked(supernet(image, taken)), strict=True)]
    assert changed == [False, False, True]
    # By hand, for the second task: trunk, copy 1 of the first segment, copy 2 of the second.
    body = copy.deepcopy(plain.body)
    state, maps = supernet.trunk(image)
    for segment in (supernet.copies[0][1], supernet.copies[1][2]):
        state, more = segment(state)
        maps = [*maps, *more]
    assert len(maps) == len(body(image))
    for expected, found in zip(maps, supernet(image, taken)[1].values(), strict=True):
        assert torch.equal(expected, found)


@torch.no_grad()
def test_a_mixture_is_the_weighted_sum_of_what_the_copies_give() -> None:
    _, supernet = plain_and_copies("atrcnas_small", {"stages": 4}, ("stage3",))
    for number, one in enumerate(supernet.copies[0]):
        shake(one, number)
    image = image_of(32, 48)
    weights = torch.tensor([[[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]], dtype=torch.float64)
    state, _ = supernet.trunk(image)
    each = [one(state)[1][-1] for one in supernet.copies[0]]
    for row, found in zip(weights[0], supernet(image, weights), strict=True):
        expected = sum(float(share) * one for share, one in zip(row, each, strict=True))
        torch.testing.assert_close(found[16], expected)


def test_the_last_batch_norm_of_a_copy_has_no_scale_of_its_own_and_the_weights_get_a_gradient() -> None:
    _, supernet = plain_and_copies(*SMALL)
    frozen = [name for name, parameter in supernet.named_parameters() if not parameter.requires_grad]
    assert len(frozen) == 2 * 2 * 3  # scale and shift, of two segments, of three copies
    weights = torch.full((2, 3, 3), 1 / 3, dtype=torch.float64, requires_grad=True)
    supernet.train()
    sum(one.square().mean() for maps in supernet(image_of(64, 64), weights) for one in maps.values()).backward()
    assert weights.grad is not None and weights.grad.abs().sum() > 0
