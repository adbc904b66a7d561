"""Shapes of all nodes of a NIR graph, followed from its input and its neurons; what the file says of them is not needed."""

from __future__ import annotations

from graphlib import TopologicalSorter
from math import prod
from typing import Any

import numpy as np

from ..errors import ExportError
from ..linear import Shape
from .neurons import NEURONS
from .raw import PASSAGE, RawGraph, RawNode

#: Values of a node: more than any system of chips takes mean a damaged file.
MAX_SIZE = 1 << 24
#: Largest side of a kernel, stride, dilation or padding.
MAX_SIDE = 1 << 12


def output_shapes(graph: RawGraph, sources: dict[str, list[str]]) -> dict[str, Shape]:
    """Shape of what leaves each node.

    Parameters
    ----------
    sources : dict of str to list of str
        What feeds each node, without the edges that close a loop.

    Raises
    ------
    ExportError
        A node whose inputs do not fit.
    """
    shapes: dict[str, Shape] = {}
    for name in TopologicalSorter(sources).static_order():
        shape = _shape(name, graph.nodes[name], [shapes[s] for s in sources[name]])
        if min(shape, default=1) < 1 or prod(shape) > MAX_SIZE:
            raise ExportError(f"{name}: gives shape {shape}; check its sides")
        shapes[name] = shape
    return shapes


def _shape(name: str, node: RawNode, given: list[Shape]) -> Shape:
    fields = node.fields
    if node.kind == "Input":
        return _whole(name, fields["shape"])
    source = max(given, key=len)  # what is flat goes with the axes of the others
    if node.kind in ("Output", PASSAGE):
        stated = _whole(name, fields["shape"])
        if not alike(stated, source):
            raise ExportError(f"{name}: field 'shape' is {stated}, what feeds it gives {source}")
        return stated if len(stated) > len(source) else source
    if node.kind in NEURONS:
        return _population(name, fields, source)
    if node.kind in ("Affine", "Linear"):
        if fields["weight"].ndim != 2:
            raise ExportError(
                f"{name}: field 'weight' has shape {fields['weight'].shape}, wanted (outputs, inputs)"
            )
        outputs, inputs = fields["weight"].shape
        if source and source[-1] == inputs:  # the last axis, as torch does; axes of one before it stay
            return (*source[:-1], int(outputs))
        if prod(source) == inputs:
            return (int(outputs),)
        raise ExportError(f"{name}: takes {inputs} values, what feeds it gives {source}")
    if node.kind == "Flatten":
        return _flattened(name, node, source)
    if node.kind in ("Scale", "Delay"):
        return source
    return spatial(name, node, source)


def _population(name: str, fields: dict[str, Any], source: Shape) -> Shape:
    """Neurons have the shape of what feeds them; parameters may have more axes than a flat source."""
    for field, value in fields.items():
        own = tuple(int(n) for n in np.shape(value))
        if prod(own) == prod(source) and not alike(own, source):
            raise ExportError(f"{name}: field {field!r} has shape {own}, what feeds it gives {source}")
        if prod(own) == prod(source) and len(own) > len(source):
            return own
    return source


def alike(a: Shape, b: Shape) -> bool:
    """Whether two shapes name the same values in the same order: equal but for axes of one, or one of them flat."""
    left, right = (tuple(n for n in shape if n != 1) for shape in (a, b))
    return prod(a) == prod(b) and (left == right or len(left) <= 1 or len(right) <= 1)


def _flattened(name: str, node: RawNode, source: Shape) -> Shape:
    """The axes from ``start_dim`` to ``end_dim`` as one."""
    axes = len(source)
    ends = []
    for field in ("start_dim", "end_dim"):
        array = np.asarray(node.fields[field]).reshape(-1)
        value = int(array[0])
        if array.size != 1 or value != array[0] or not -axes - 1 <= value <= axes:
            raise ExportError(f"{name}: field {field!r} is {array.tolist()[:4]} for values of shape {source}")
        ends.append(value + axes if value < 0 else value)
    # Tools that count a batch axis state one more than there are, and mean all of them.
    first, last = min(max(ends[0], 0), axes - 1), min(max(ends[1], 0), axes - 1)
    if last < first:
        raise ExportError(f"{name}: flattens axes {first} to {last} of {source}; state them in order")
    return (*source[:first], prod(source[first : last + 1]), *source[last + 1 :])


def spatial(name: str, node: RawNode, source: Shape) -> Shape:
    """Output of a convolution or pool over (channels, *sides)."""
    axes = 1 if node.kind == "Conv1d" else 2
    channels, *sides = picture(name, source, axes)
    fields = node.fields
    if node.kind.startswith("Conv"):
        weight = fields["weight"]
        if weight.ndim != axes + 2:
            raise ExportError(f"{name}: field 'weight' has shape {weight.shape}, wanted {axes + 2} axes")
        channels, kernel = int(weight.shape[0]), weight.shape[2:]
        dilation = numbers(name, "dilation", fields["dilation"], axes)
    else:
        kernel, dilation = numbers(name, "kernel_size", fields["kernel_size"], axes), (1,) * axes
        if channels * prod(kernel) > MAX_SIZE:
            raise ExportError(
                f"{name}: field 'kernel_size' is {kernel} for {channels} channels; make it smaller"
            )
    stride = numbers(name, "stride", fields["stride"], axes)
    pads = padding(name, node, axes)
    return (
        channels,
        *(
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(sides, pads, dilation, kernel, stride, strict=True)
        ),
    )


def padding(name: str, node: RawNode, axes: int) -> tuple[int, ...]:
    """Padding as numbers; ``same`` is worked out where it is symmetric."""
    value = node.fields["padding"]
    if not isinstance(value, str):
        return numbers(name, "padding", value, axes, lowest=0)
    if value == "valid":
        return (0,) * axes
    kernel, dilation = (
        node.fields["weight"].shape[2:],
        numbers(name, "dilation", node.fields["dilation"], axes),
    )
    if any(s != 1 for s in numbers(name, "stride", node.fields["stride"], axes)):
        raise ExportError(f"{name}: field 'padding' is 'same' with a stride; write the numbers out")
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if any(r % 2 for r in reach):
        raise ExportError(
            f"{name}: field 'padding' is 'same' with an even kernel, which pads one side more; write it out"
        )
    return tuple(r // 2 for r in reach)


def picture(name: str, source: Shape, axes: int) -> Shape:
    """The shape as (channels, *sides), without leading axes of one."""
    while len(source) > axes + 1 and source[0] == 1:
        source = source[1:]
    if len(source) != axes + 1:
        raise ExportError(f"{name}: takes {axes + 1} axes (channels, sides), what feeds it gives {source}")
    return source


def numbers(name: str, field: str, value: object, axes: int, lowest: int = 1) -> tuple[int, ...]:
    """A setting as one whole number an axis.

    Raises
    ------
    ExportError
        It is none, or out of range.
    """
    array = np.asarray(value).reshape(-1)
    if (
        array.size not in (1, axes)
        or (array != np.floor(array)).any()
        or (array < lowest).any()
        or (array > MAX_SIDE).any()
    ):
        raise ExportError(
            f"{name}: field {field!r} is {array.tolist()[:4]}, wanted {axes} whole numbers "
            f"{lowest}..{MAX_SIDE}"
        )
    return tuple(int(n) for n in np.broadcast_to(array, (axes,)))


def _whole(name: str, value: object) -> Shape:
    array = np.asarray(value).reshape(-1)
    if not array.size or (array < 1).any() or (array > MAX_SIZE).any() or (array != np.floor(array)).any():
        raise ExportError(f"{name}: field 'shape' is {array.tolist()[:6]}; state whole sides")
    return tuple(int(n) for n in array)
