"""Convolutions of an ONNX graph in the shapes that ONNX Runtime has fast kernels for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# On x86 its blocked kernels take inputs of a multiple of 4 channels, and compute outputs in blocks of up to 16.
MULTIPLE, BLOCK = 4, 16
# They do about twice the multiply-adds in a second. To pad an input, and to bring it to blocks and back, costs as much
# as this number of outputs of a 1x1 convolution.
OVERHEAD = 100
# Joined, several widths fill blocks better; to split the result again is not worth less than this.
LEAST_GAIN = 1.1
LARGEST_WEIGHT = 2**24  # elements


def arrange(model: Any) -> None:
    """Join convolutions that read the same map, and fill up channels with zeros, where this is faster.

    Other widths are unfolded, once for each convolution, which took half of the time of a network with task features
    67 wide. The outputs stay the same up to rounding.

    Args:
        model: an ``onnx_ir.Model``, changed.
    """
    from onnx_ir.passes.common import IdentityEliminationPass, RemoveUnusedNodesPass
    from onnxscript.optimizer import fold_constants

    # Which weights are constant, and which convolutions read the same, has to be seen.
    fold_constants(model, input_size_limit=LARGEST_WEIGHT)
    IdentityEliminationPass()(model)
    for group in _siblings(model.graph):
        widths = [node.inputs[1].shape[0] for node in group]
        if sum(map(_blocks, widths)) > LEAST_GAIN * _blocks(sum(widths)) and _pays(group[0], sum(widths), OVERHEAD):
            group = [_join(model.graph, group)]
        for node in group:
            _fill(model.graph, node)
    for node in [node for node in model.graph if _is_depthwise(node)]:
        _fill_depthwise(model.graph, node)
    RemoveUnusedNodesPass()(model)


def _blocks(outputs: int) -> int:
    """Outputs that are computed for so many."""
    return -(-outputs // BLOCK) * BLOCK


def _pays(conv: Any, outputs: int, overhead: int) -> bool:
    _, inputs, *kernel = conv.inputs[1].shape.numpy()
    fitting = inputs % MULTIPLE == 0 or inputs <= BLOCK
    return not fitting and int(np.prod(kernel)) * (2 * outputs - _blocks(outputs)) > overhead


def _siblings(graph: Any) -> list[list[Any]]:
    """Dense convolutions with constant weights, those together that differ in their weights alone."""
    groups: defaultdict[Any, list[Any]] = defaultdict(list)
    for node in graph:
        if _is_dense(node):
            settings = frozenset((name, str(one.value)) for name, one in node.attributes.items())
            kernel = tuple(node.inputs[1].shape[1:])
            groups[node.inputs[0], kernel, len(node.inputs), _relu(node) is None, settings].append(node)
    return list(groups.values())


def _is_constant(node: Any) -> bool:
    return node.op_type == "Conv" and all(value.const_value is not None for value in node.inputs[1:])


def _is_dense(node: Any) -> bool:
    return _is_constant(node) and node.attributes.get_int("group", 1) == 1


def _is_depthwise(node: Any) -> bool:
    """Whether each output channel reads one input channel, its own."""
    own = _is_constant(node) and node.inputs[1].shape[1] == 1
    return own and node.attributes.get_int("group", 1) == node.inputs[1].shape[0] > 1


def _relu(node: Any) -> Any:
    """The ReLU that alone reads a convolution, which the runtime computes along with it; None if there is none."""
    readers = node.outputs[0].consumers()
    return readers[0] if _read_once(node.outputs[0]) and readers[0].op_type == "Relu" else None


def _join(graph: Any, group: Sequence[Any]) -> Any:
    """Put one convolution (and ReLU), split behind it, in place of ``group``."""
    import onnx_ir as ir

    stem = f"{group[0].outputs[0].name}_joined"
    parts = [[value.const_value.numpy() for value in node.inputs[1:]] for node in group]
    joined = [
        _constant(graph, f"{stem}_{place}", np.concatenate(arrays))
        for place, arrays in enumerate(zip(*parts, strict=True))
    ]
    conv = ir.node("Conv", [group[0].inputs[0], *joined], dict(group[0].attributes), name=f"{stem}_conv")
    ends = [_relu(node) or node for node in group]
    relu = [] if ends[0] is group[0] else [ir.node("Relu", conv.outputs, name=f"{stem}_relu")]
    sizes = _constant(graph, f"{stem}_sizes", np.array([len(arrays[0]) for arrays in parts]))
    last = (relu or [conv])[0]
    split = ir.node("Split", [last.outputs[0], sizes], {"axis": 1}, num_outputs=len(group), name=f"{stem}_split")
    new = [conv, *relu, split]
    for number, value in enumerate(value for node in new for value in node.outputs):
        value.name = f"{stem}_value_{number}"
    graph.insert_before(group[0], new)
    for end, value in zip(ends, split.outputs, strict=True):
        value.name = f"{end.outputs[0].name}_part"
        ir.convenience.replace_all_uses_with(end.outputs, [value], replace_graph_outputs=True)
    graph.remove({*group, *ends}, safe=True)
    return conv


def _fill(graph: Any, conv: Any) -> None:
    """Give a convolution so many more input channels, of zeros, that the blocked kernels take it, if this is faster."""
    weight = conv.inputs[1]
    outputs, inputs = weight.shape[:2]
    missing, before = -inputs % MULTIPLE, _alone_before(conv)
    if conv.inputs[0].is_graph_input() or not _pays(conv, outputs, OVERHEAD if before is None else 0):
        return
    _widen_input(graph, conv, before, missing)
    _pad_constant(graph, conv, 1, axis=1, missing=missing)


def _fill_depthwise(graph: Any, conv: Any) -> None:
    """Give a depthwise convolution channels of zeros to the next multiple, and cut them off behind it."""
    import onnx_ir as ir

    channels = conv.inputs[1].shape[0]
    missing, end = -channels % MULTIPLE, _relu(conv) or conv
    if not missing or conv.inputs[0].is_graph_input() or end.outputs[0].is_graph_output():
        return
    _widen_input(graph, conv, _alone_before(conv), missing)
    for place in range(1, len(conv.inputs)):
        _pad_constant(graph, conv, place, axis=0, missing=missing)
    conv.attributes["group"] = ir.AttrInt64("group", channels + missing)
    _cut(graph, conv, end, channels)


def _widen_input(graph: Any, conv: Any, before: Any, missing: int) -> None:
    """Let the map that ``conv`` reads have more channels, of zeros: from the convolution before it, or by a node."""
    if before is None:
        conv.replace_input_with(0, _padded(graph, conv.inputs[0], missing))
    else:
        for place in range(1, len(before.inputs)):
            _pad_constant(graph, before, place, axis=0, missing=missing)
        for value in {before.outputs[0], conv.inputs[0]}:  # the same, or a ReLU between them
            value.shape[1] += missing


def _alone_before(conv: Any) -> Any:
    """The convolution (and ReLU) whose result only ``conv`` reads, and whose weights can give it more channels; or None."""
    source = conv.inputs[0]
    before = source.producer()
    if before is not None and before.op_type == "Relu" and _read_once(source):
        source = before.inputs[0]
        before = source.producer()
    return before if before is not None and _read_once(source) and _is_dense(before) else None


def _read_once(value: Any) -> bool:
    return len(value.uses()) == 1 and not value.is_graph_output()


def _padded(graph: Any, source: Any, missing: int) -> Any:
    """``source`` with more channels, once for all who want it."""
    import onnx_ir as ir

    name = f"{source.name}_padded"
    for reader in source.consumers():
        if reader.name == name:
            return reader.outputs[0]
    margins = _constant(graph, f"{name}_margins", np.array([0, 0, 0, 0, 0, missing, 0, 0]))
    node = ir.node("Pad", [source, margins], name=name)
    node.outputs[0].name = name
    graph.insert_after(source.producer(), node)
    return node.outputs[0]


def _cut(graph: Any, conv: Any, end: Any, channels: int) -> None:
    """Let all who read a convolution, or the ReLU behind it, see its first ``channels`` alone."""
    import onnx_ir as ir

    whole = end.outputs[0]
    bounds = [
        _constant(graph, f"{whole.name}_cut_{name}", np.array([at]))
        for name, at in (("from", 0), ("to", channels), ("axis", 1))
    ]
    node = ir.node("Slice", [whole, *bounds], name=f"{whole.name}_cut")
    cut = node.outputs[0]
    cut.name, cut.dtype, cut.shape = f"{whole.name}_cut", whole.dtype, whole.shape
    ir.convenience.replace_all_uses_with([whole], [cut])
    node.replace_input_with(0, whole)
    for value in {conv.outputs[0], whole}:
        value.shape = ir.Shape([*value.shape[:1], *conv.inputs[1].shape[:1], *value.shape[2:]])
    graph.insert_after(end, node)


def _pad_constant(graph: Any, node: Any, place: int, axis: int, missing: int) -> None:
    value = node.inputs[place]
    array = value.const_value.numpy()
    margins = [(0, missing if at == axis else 0) for at in range(array.ndim)]
    node.replace_input_with(place, _constant(graph, f"{value.name}_{node.name}_{axis}", np.pad(array, margins)))


def _constant(graph: Any, name: str, array: NDArray[Any]) -> Any:
    import onnx_ir as ir

    value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
    value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
    graph.register_initializer(value)
    return value
