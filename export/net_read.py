"""lava-dl ``.net`` files to integer graphs: networks that Intel's tools trained.

netx gives each layer a step of its own, as the chip does, and our graphs are in local time, in which that step does not
show. Delays do: a delay of d makes whatever the synapses carry d steps late (:attr:`Synapses.lag`), as the recurrent
weights of a layer are by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from . import formats
from .errors import ExportError
from .formats import Ints
from .graph import LI, LIF, Floats, Graph, Input, IntegerNeuron, Node, Output, Settings, Synapses
from .levels import require
from .linear import Conv2d, Dense, LinearMap, Shape, Sparse, channel_sum, with_weight
from .net_layers import NEVER, UNIT, NetInput, NetLayer, NetNetwork, NetNeurons
from .net_parse import Note, parse
from .net_weights import int8_parts
from .unroll import unroll

#: Share of synapses below which what is left of a matrix is kept as a sparse map.
SPARSE_SHARE = 0.25
#: Sums at which Lava's convolution wraps, and beyond which no current means anything.
LARGEST_SUM = formats.STATE_LIMIT


def _ignore(_: str) -> None:
    """No listener."""


def read_net(
    path: Path,
    *,
    timesteps: int,
    input_shape: Shape | None = None,
    peak: int = 1,
    note: Note = _ignore,
) -> Graph:
    """Read a ``.net`` file into a graph at the integer level.

    The file has integers only, so floats are told in its own unit: a scale of 64 membrane units, which is what a weight,
    a threshold mantissa or a bias of 1 stands for.

    Parameters
    ----------
    timesteps : int
        Steps of a sample, which the file does not state. netx itself never resets unless told to.
    input_shape : tuple of int, optional
        (channels, height, width), for a file without an input layer.
    peak : int
        Largest value of an input spike: 1, or up to 255 where netx is given ``input_message_bits``.
    note : callable
        Takes one sentence for each thing that netx ignores or changes, such as a clamped delay.

    Returns
    -------
    Graph
        For :func:`spikewright.hardware.compile.compile_program`. A last layer that never fires is a read-out. An input
        layer with neurons becomes a population that the host drives, with real values in.

    Raises
    ------
    ExportError
        The file cannot be read, or says something that is not supported; the message names file, layer and field.
    """
    network = parse(path, input_shape, note)
    try:
        graph = to_graph(network, timesteps, peak)
        require(graph, "integer")
    except ExportError as error:
        raise ExportError(f"{path}: {error}") from None
    return graph


def to_graph(network: NetNetwork, timesteps: int, peak: int) -> Graph:
    """Layers as a graph at the integer level.

    Raises
    ------
    ExportError
        A layer that no int8 groups can express.
    """
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    source = _enter(network.input, nodes, edges, peak)
    for layer in network.layers:
        name = f"neuron_{layer.label}"
        try:
            nodes[name] = _neurons(layer.neurons, layer is network.layers[-1])
            _check_sums(layer, peak if source == "input" else 1)
            groups = [*_groups(layer, source, name)]
        except ExportError as error:
            raise ExportError(f"{layer.label}: {error}") from None
        for label, feed, synapses in groups:
            nodes[label] = synapses
            edges += [(feed, label), (label, name)]
        if not any(feed == source for _, feed, _ in groups):
            raise ExportError(f"{layer.label}: weight is zero throughout; remove the layer or train it")
        source = name
    shape = network.layers[-1].neurons.shape
    nodes["output"] = Output(shape)
    edges.append((source, "output"))
    settings = Settings(timesteps, weight_bits=formats.WEIGHT_BITS)
    graph = Graph(network.name, nodes, tuple(edges), settings)
    if any(isinstance(node, Synapses) and node.lag for node in nodes.values()):
        graph = replace(graph, nodes={n: _bias_over_line(node) for n, node in nodes.items()})
    return graph


def _enter(given: NetInput, nodes: dict[str, Node], edges: list[tuple[str, str]], peak: int) -> str:
    """Input nodes; returns what feeds the first layer."""
    if given.neurons is None:
        nodes["input"] = Input(given.shape, "spikes", peak)
        return "input"
    nodes["input"] = Input(given.shape, "direct")
    lines = prod(given.shape)
    weight = np.full((1, 1, 1, 1), given.weight, np.float32)
    bias = np.full(1, given.bias, np.float32)
    nodes["transform"] = Synapses(Conv2d(weight, (1, 1, lines)), bias)
    neurons = _neurons(given.neurons, last=False)
    assert isinstance(neurons.origin, LIF)
    # Nothing but the bias reaches these neurons, so their current stays zero whatever its decay.
    origin = replace(neurons.origin, static=True, alpha=np.zeros(1))
    forget = np.full(lines, formats.DECAY_ONE - formats.CURRENT_DECAY_OFFSET)
    nodes["neuron_input"] = replace(neurons, static=True, origin=origin, current_decay=forget)
    edges += [("input", "transform"), ("transform", "neuron_input")]
    return "neuron_input"


def _groups(layer: NetLayer, source: str, name: str) -> Iterator[tuple[str, str, Synapses]]:
    """Name, source and synapses of each group that a layer takes."""
    yield from ((n, source, s) for n, s in _split(layer.label, layer.map, layer.delay, 0))
    if layer.recurrent.size and not layer.neurons.never_fires:
        map_ = Dense(layer.recurrent, layer.neurons.shape, layer.neurons.shape)
        back = _split(f"{layer.label}_back", map_, layer.recurrent_delay, 1)
        yield from ((n, name, s) for n, s in back)


def _split(label: str, map_: LinearMap, delay: Ints, lag: int) -> Iterator[tuple[str, Synapses]]:
    """Groups of one delay each, whose int8 weights add up to the map's."""
    weight = map_.weight
    for steps in np.unique(delay[weight != 0]).tolist() if delay.size else [0]:
        own = np.where(delay == steps, weight, 0) if delay.size else weight
        named = f"{label}_delay{steps}" if steps else label
        for index, (part, exponent) in enumerate(int8_parts(own)):
            kept = _compact(with_weight(map_, part))
            yield f"{named}_part{index}" if index else named, Synapses(kept, None, exponent, lag + steps)


def _compact(map_: LinearMap) -> LinearMap:
    """A matrix that is mostly zeros as a sparse map."""
    if isinstance(map_, Dense) and np.count_nonzero(map_.weight) < SPARSE_SHARE * map_.weight.size:
        return Sparse.of(unroll(map_), map_.input_shape, map_.output_shape)
    return map_


def _check_sums(layer: NetLayer, peak: int) -> None:
    worst = peak * int(channel_sum(layer.map, np.abs(layer.map.weight)).max())
    if layer.recurrent.size:
        worst += int(np.abs(layer.recurrent).sum(1).max())
    if worst >= LARGEST_SUM:
        raise ExportError(
            f"weight may add up to {worst} in one step, and sums beyond {LARGEST_SUM} wrap; scale the layer down"
        )


def _neurons(neurons: NetNeurons, last: bool) -> IntegerNeuron:
    silent = neurons.threshold >= NEVER
    if silent.any() and not (last and silent.all()):
        raise ExportError(
            f"vThMant is above {formats.THRESHOLD_MAX} for {int(silent.sum())} neurons, which then never fire; only all of "
            "the last layer may do that, as a read-out"
        )
    value = neurons.bias * UNIT
    try:
        mantissa, exponent = formats.split_bias(value)
    except OverflowError as error:
        raise ExportError(f"bias {int(np.abs(neurons.bias).max())} is too large: {error}") from None
    lost = formats.bias_value(mantissa, exponent) != value
    if lost.any():
        raise ExportError(f"bias {int(neurons.bias[lost][0])} has more bits than the chip's 12; make it even")
    beta = _one(1 - neurons.membrane_decay / formats.DECAY_ONE)
    alpha = _one(1 - neurons.current_decay / formats.DECAY_ONE)
    # A threshold mantissa of 0 is passed by one membrane unit, and so is half a unit.
    theta = _one(np.maximum(neurons.threshold, 0.5 / UNIT)).astype(np.float32)
    readout = bool(silent.all())
    return IntegerNeuron(
        shape=neurons.shape,
        current_decay=neurons.current_decay - formats.CURRENT_DECAY_OFFSET,
        membrane_decay=neurons.membrane_decay,
        threshold=np.minimum(neurons.threshold, formats.THRESHOLD_MAX),
        bias_mantissa=mantissa,
        bias_exponent=exponent,
        scale=np.full(len(neurons.bias), float(UNIT)),
        static=False,
        readout=readout,
        origin=LI(neurons.shape, beta, alpha) if readout else LIF(neurons.shape, beta, theta, alpha=alpha),
    )


def _one(values: Floats) -> Floats:
    """One number where all are the same."""
    return values[:1] if (values == values[0]).all() else values


def _bias_over_line(node: Node) -> Node:
    """Bring a bias over the always-on line, which begins with the sample, where that is the same.

    Neurons that fired ahead of their sample would reach into it through spikes that lag. Where a current is forgotten at
    once, it makes no difference whether the bias enters the current or the membrane.
    """
    if not isinstance(node, IntegerNeuron) or node.static or not node.bias_mantissa.any():
        return node
    value = formats.bias_value(node.bias_mantissa, node.bias_exponent)
    if (node.current_decay[value != 0] != formats.DECAY_ONE - formats.CURRENT_DECAY_OFFSET).any():
        return node
    zeros = np.zeros(len(value), np.int64)
    return replace(node, bias_mantissa=zeros, bias_exponent=zeros, line=value // UNIT)
