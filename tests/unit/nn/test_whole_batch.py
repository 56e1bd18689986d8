"""What several processes draw for their images is what one process draws for all of them."""

from __future__ import annotations

import pytest
import torch
from timm.layers import DropPath
from torch import Tensor, nn

from atrcnas.nn.shared_draws import Share
from atrcnas.nn.whole_batch import WholeBatch

IMAGES = 4


class Tokens(nn.Module):
    """Dropout of what attention over windows has: [images * windows, C]."""

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2).flatten(0, 1)
        return nn.functional.dropout(tokens, 0.5).unflatten(0, (len(x), -1))


class OnceForAll(nn.Module):
    """A draw that is no image's own."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.new_empty(7).bernoulli_(0.5).sum()


DRAWING = [
    nn.Dropout(0.5),
    nn.Dropout(0.3, inplace=True),
    nn.Dropout2d(0.5),
    nn.Sequential(nn.Flatten(2), nn.Dropout1d(0.5)),
    nn.Sequential(nn.Unflatten(1, (3, 2)), nn.Dropout3d(0.5)),
    DropPath(0.5),
    Tokens(),
    OnceForAll(),
    nn.Sequential(nn.Dropout(0.2), nn.Dropout2d(0.5), DropPath(0.3), nn.Dropout(0.2)),
    nn.Sequential(nn.Dropout2d(0.9), nn.Dropout(0.9)).eval(),
]


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("module", DRAWING, ids=lambda module: type(module).__name__)
def test_each_process_has_its_images_part_of_one_draw(
    module: nn.Module, layout: torch.memory_format, world: int
) -> None:
    images = (torch.rand(IMAGES, 6, 5, 3) + 1).contiguous(memory_format=layout)
    torch.manual_seed(1)
    whole, after = module(images.clone()), torch.rand(1)
    for rank in range(world):
        own = images[rank::world].contiguous(memory_format=layout)
        torch.manual_seed(1)
        with WholeBatch(Share(len(own), rank, world), norms=False):
            found = module(own)
        assert torch.equal(found, whole[rank::world])
        assert torch.equal(torch.rand(1), after), "later draws are alike too"


def test_what_is_computed_again_later_draws_in_the_same_context() -> None:
    x = torch.ones(1, 100)
    with WholeBatch(Share(1, 1, 2), norms=False):
        again = WholeBatch.again()
        torch.manual_seed(1)
        drawn = nn.functional.dropout(x, 0.5)
    torch.manual_seed(1)
    with again:
        assert torch.equal(nn.functional.dropout(x, 0.5), drawn)
    torch.manual_seed(1)
    with WholeBatch.again():
        assert not torch.equal(nn.functional.dropout(x, 0.5), drawn), "none outside"
