"""What every kind in the table promises; a new kind is tested the moment it registers."""

from __future__ import annotations

import pytest
import torch
from context_parts import HIDDEN, POOLING, TASKS, WIDTH, every_row, randomise, tensors
from torch import Tensor

from atrcnas.ground.registry import resolve
from atrcnas.nn.contexts.base import Context, ContextInputs, spatial_softmax
from atrcnas.spec.kinds import KINDS
from atrcnas.spec.pairs import Pair

EXACT = {"rtol": 0.0, "atol": 1e-12}

# A bug of LabelContext.forward that ContextRefiner never meets, since it asks for rows in ascending order.

each_kind = pytest.mark.parametrize("kind", POOLING, ids=[kind.name for kind in POOLING])


each_level = pytest.mark.parametrize("level", [4, 16])


def build(kind, searching: bool = False, level: int = 4) -> Context:
    pairs = [Pair(t, s, level) for t in TASKS for s in TASKS if t != s or kind.on_diagonal]
    context = resolve(kind.module)(pairs, WIDTH, HIDDEN, searching).double()
    randomise(context)
    return context


def pool(
    context: Context, rows: tuple[int, ...] | None = None, valid: Tensor | None = None, **size: int
) -> list[Tensor]:
    features, labels = tensors(**size)
    return context(ContextInputs(features, labels, valid), every_row(context) if rows is None else rows)


def subsets(context: Context) -> list[tuple[int, ...]]:
    last = len(context.pairs) - 1
    return [(0,), (last,), (0, 1), (1, 2, 3), (0, 2, last), tuple(range(1, last + 1)), tuple(range(0, last, 2))]


@each_kind
@pytest.mark.parametrize("searching", [False, True])
def test_each_row_gives_one_map_of_the_hidden_width(kind, searching: bool) -> None:
    context = build(kind, searching)
    maps = pool(context)
    assert [tuple(m.shape) for m in maps] == [(2, HIDDEN, 11, 14)] * len(context.pairs)
    assert len({m.sum().item() for m in maps}) == len(maps), "two pairs gave the same map"


@each_kind
@each_level
@pytest.mark.parametrize("size", [(1, 1), (1, 17), (8, 8), (9, 5)])
def test_any_size_works(kind, level: int, size: tuple[int, int]) -> None:
    context = build(kind, level=level).eval()
    maps = pool(context, height=size[0], width=size[1])
    assert all(tuple(m.shape[-2:]) == size and m.isfinite().all() for m in maps)


@each_kind
@each_level
@pytest.mark.parametrize("training", [False, True])
def test_subset_of_rows_equals_the_same_rows_of_the_full_call(kind, level: int, training: bool) -> None:
    context = build(kind, level=level).train(training)
    whole = pool(context)
    for rows in subsets(context):
        for row, part in zip(rows, pool(context, rows), strict=True):
            torch.testing.assert_close(part, whole[row], **EXACT, msg=f"rows {rows}, row {row}")


@each_kind
def test_training_step_on_a_subset_moves_the_statistics_of_these_rows_alone(kind) -> None:
    whole, part = build(kind), build(kind)
    before = {key: value.clone() for key, value in part.named_buffers()}
    rows = (0, 3, 4)
    pool(whole)
    pool(part, rows)
    for key, value in part.named_buffers():
        d = len(value) // len(part.pairs)
        for row in every_row(part):
            own = slice(row * d, (row + 1) * d)
            expected = dict(whole.named_buffers())[key] if row in rows else before[key]
            torch.testing.assert_close(value[own], expected[own], **EXACT, msg=f"{key}, row {row}")


@each_kind
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rows", [(2, 0), (4, 1, 3), (5, 4, 3, 2, 1, 0)], ids=str)
def test_order_of_rows_is_respected(kind, training: bool, rows: tuple[int, ...]) -> None:
    context = build(kind).train(training)
    whole = pool(context)
    for row, part in zip(rows, pool(context, rows), strict=True):
        torch.testing.assert_close(part, whole[row], **EXACT, msg=f"row {row}")


@each_kind
def test_a_training_step_on_scattered_rows_can_go_backward(kind) -> None:
    """As when some pairs of a target have committed to other kinds: statistics of neighbours are written in between."""
    context = build(kind).train()
    maps = pool(context, (0, 1, 3, 5))
    sum(one.square().sum() for one in maps).backward()
    assert all(torch.isfinite(p.grad).all() for p in context.parameters() if p.grad is not None)


@each_kind
def test_gradient_reaches_features_and_every_parameter(kind) -> None:
    context = build(kind).train()
    features, labels = tensors()
    for feature in features.values():
        feature.requires_grad_()
    maps = context(ContextInputs(features, labels, None), every_row(context))
    weights = torch.Generator().manual_seed(3)
    sum((m * torch.randn(m.shape, generator=weights, dtype=m.dtype)).sum() for m in maps).backward()
    for name, parameter in context.named_parameters():
        assert parameter.grad is not None, name
        rows = parameter.grad.reshape(len(context.pairs), -1)
        assert (rows.abs().amax(1) > 0).all(), f"{name}: a row got no gradient"
    assert all(feature.grad is not None and feature.grad.abs().max() > 0 for feature in features.values())


@each_kind
def test_gradient_reaches_the_label_logits_a_kind_says_it_needs_and_no_others(kind) -> None:
    context = build(kind).train()
    features, labels = tensors()
    row = next(row for row, pair in enumerate(context.pairs) if not pair.on_diagonal)
    pair = context.pairs[row]
    for logits in labels.values():
        logits.requires_grad_()
    (out,) = context(ContextInputs(features, labels, None), (row,))
    (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).reshape(out.shape)).sum().backward()
    needed = {pair.target} if kind.needs_target_label else set()
    needed |= {pair.source} if kind.needs_source_label else set()
    assert {task for task, logits in labels.items() if logits.grad is not None} == needed


@each_kind
def test_the_last_norm_alone_is_not_scaled_while_searching(kind) -> None:
    searching = {name for name, _ in build(kind, searching=True).named_parameters()}
    fixed = {name for name, _ in build(kind, searching=False).named_parameters()}
    assert searching <= fixed
    missing = {name.rsplit(".", 1)[1] for name in fixed - searching}
    assert missing == (set() if kind.name == "mti" else {"scale", "shift"})
    assert all(name.startswith("value.") for name in fixed - searching)


@each_kind
def test_memory_format_does_not_matter(kind) -> None:
    context = build(kind).eval()
    features, labels = tensors()
    whole = context(ContextInputs(features, labels, None), every_row(context))
    last = {task: x.contiguous(memory_format=torch.channels_last) for task, x in features.items()}
    logits = {task: x.contiguous(memory_format=torch.channels_last) for task, x in labels.items()}
    for a, b in zip(whole, context(ContextInputs(last, logits, None), every_row(context)), strict=True):
        torch.testing.assert_close(a, b, **EXACT)


@each_kind
@pytest.mark.parametrize("searching", [False, True])
def test_bfloat16_autocast_stays_finite_and_near(kind, searching: bool) -> None:
    context = build(kind, searching).float().train()
    features, labels = ({task: x.float() * 30 for task, x in part.items()} for part in tensors())
    for feature in features.values():
        feature.requires_grad_()
    plain = context(ContextInputs(features, labels, None), every_row(context))
    with torch.autocast("cpu", torch.bfloat16):
        maps = context(ContextInputs(features, labels, None), every_row(context))
    for half, full in zip(maps, plain, strict=True):
        assert half.isfinite().all()
        assert (half.float() - full).abs().mean() < 0.1 * full.abs().mean() + 1e-3
    sum(m.float().sum() for m in maps).backward()
    assert all(parameter.grad.isfinite().all() for parameter in context.parameters())
    assert all(feature.grad.isfinite().all() for feature in features.values())


# Padding. In evaluation mode (BatchNorm's statistics of a training batch do include padding) every kind treats padding
# exactly as what lies outside of the image: no influence at all on what is pooled for valid pixels.


def padded(height: int, width: int) -> Tensor:
    valid = torch.zeros(2, 1, 11, 14, dtype=torch.bool)
    valid[..., :height, :width] = True
    return valid


@each_kind
@each_level
def test_values_in_padding_do_not_influence_valid_pixels(kind, level: int) -> None:
    context, valid = build(kind, level=level).eval(), padded(7, 10)
    features, labels = tensors()
    other_features, other_labels = tensors(seed=9)
    mixed = [
        {task: torch.where(valid, x, 5 * y[task]) for task, x in part.items()}
        for part, y in ((features, other_features), (labels, other_labels))
    ]
    before = context(ContextInputs(features, labels, valid), every_row(context))
    after = context(ContextInputs(*mixed, valid), every_row(context))
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a[..., :7, :10], b[..., :7, :10], **EXACT)


@each_kind
@each_level
def test_padded_image_pools_what_the_image_alone_does(kind, level: int) -> None:
    context, valid = build(kind, level=level).eval(), padded(7, 10)
    features, labels = tensors()
    whole = context(ContextInputs(features, labels, valid), every_row(context))
    cropped = [{task: x[..., :7, :10] for task, x in part.items()} for part in (features, labels)]
    alone = context(ContextInputs(*cropped, None), every_row(context))
    for a, b in zip(whole, alone, strict=True):
        torch.testing.assert_close(a[..., :7, :10], b, **EXACT)


@each_kind
def test_mask_without_padding_changes_nothing(kind) -> None:
    context = build(kind).train()
    for a, b in zip(pool(context), pool(context, valid=padded(11, 14)), strict=True):
        torch.testing.assert_close(a, b, **EXACT)


@each_kind
@each_level
@pytest.mark.parametrize("training", [False, True])
def test_image_of_nothing_but_padding_gives_finite_maps_and_gradients(kind, level: int, training: bool) -> None:
    context, valid = build(kind, level=level).train(training), padded(11, 14)
    valid[1] = False
    features, labels = tensors()
    for x in (*features.values(), *labels.values()):
        x.requires_grad_()
    maps = context(ContextInputs(features, labels, valid), every_row(context))
    assert all(m.isfinite().all() for m in maps)
    sum(m.square().sum() for m in maps).backward()
    given = [x.grad for x in (*features.values(), *labels.values(), *context.parameters()) if x.grad is not None]
    assert all(grad.isfinite().all() for grad in given)


@each_kind
def test_inputs_are_never_written_to(kind) -> None:
    context = build(kind).train()
    features, labels = tensors()
    context(ContextInputs(features, labels, padded(7, 10)), every_row(context))
    for given, fresh in zip((features, labels), tensors(), strict=True):
        assert all(torch.equal(given[task], fresh[task]) for task in TASKS)


@each_kind
def test_backward_keeps_no_copies_of_windows_and_no_square_matrix(kind) -> None:
    height, width = 40, 48
    pixels = height * width
    context = resolve(kind.module)([Pair("a", "b")], WIDTH, HIDDEN, False)
    features, labels = ({task: x.float() for task, x in part.items()} for part in tensors(height, width, batch=1))
    saved: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        context(ContextInputs(features, labels, None), (0,))
    assert saved
    assert max(saved) < 81 * pixels


def test_spatial_softmax_sums_to_one_over_valid_pixels_and_is_zero_elsewhere() -> None:
    logits = 100 * torch.randn(2, 5, 11, 14, dtype=torch.float64)
    valid = padded(7, 10)
    valid[1] = False
    out = spatial_softmax(logits, valid).reshape(logits.shape)
    torch.testing.assert_close(out[0].sum((1, 2)), torch.ones(5, dtype=torch.float64))
    assert (out.masked_select(~valid) == 0).all()
    torch.testing.assert_close(out[0, :, :7, :10].flatten(1), logits[0, :, :7, :10].flatten(1).softmax(1))


def test_label_probabilities_are_computed_once_per_forward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = spatial_softmax
    monkeypatch.setattr("atrcnas.nn.contexts.base.spatial_softmax", lambda *args: calls.append(1) or real(*args))
    features, labels = tensors()
    inputs = ContextInputs(features, labels, None)
    for kind in POOLING:
        context = build(kind)
        context(inputs, every_row(context))
    assert len(calls) == len(TASKS)


def test_global_context_of_one_pixel_is_its_value_however_small_the_keys() -> None:
    """The norm is clamped where it is zero, not where it is merely small."""
    context = build(KINDS["global"]).eval()
    with torch.no_grad():
        for layer in (context.query.second, context.key.second):
            layer.scale.zero_()
            layer.shift.fill_(-9.0)
    features, labels = tensors(height=1, width=1)
    value = context.value(context, features, (1,))
    (out,) = context(ContextInputs(features, labels, None), (1,))
    torch.testing.assert_close(out, value, rtol=1e-9, atol=0.0)
