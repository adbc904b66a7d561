"""Integer graphs as the layers that netx can hold, or the list of nodes that are in the way and why."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TypeAlias

import numpy as np

from .errors import ExportError
from .formats import CURRENT_DECAY_OFFSET, DECAY_ONE, DELAY_MAX, WEIGHT_EXPONENT_MIN, Ints, bias_value
from .graph import Graph, Input, IntegerNeuron, Synapses, size
from .linear import Conv2d, Dense, LinearMap, Shape, Sparse, with_weight
from .net_file import MOST_VALUES
from .net_layers import NEVER, UNIT, NetInput, NetLayer, NetNetwork, NetNeurons
from .net_weights import HIGHEST, LOWEST, effective_dense
from .unroll import unroll

#: The chip's bias mantissa at netx's fixed exponent.
LOWEST_BIAS, HIGHEST_BIAS = -4096, 4095
Obstacles: TypeAlias = dict[str, list[str]]


def to_layers(graph: Graph) -> NetNetwork:
    """Layers of an integer graph.

    Raises
    ------
    ExportError
        Lists every node that netx cannot hold, each with the reason.
    """
    obstacles: Obstacles = {name: [] for name in graph.nodes}
    for step in graph.host_steps:
        obstacles[step.node].append(f"the host computes {step.kind} there")
    for name, node in graph.nodes.items():
        obstacles[name] += _own(node)
    layers = []
    before = graph.select(Input)[0]
    lags = any(isinstance(node, Synapses) and node.lag for node in graph.nodes.values())
    shape: Shape | None = None  # what the layer before gives in netx, where it is already clear
    for name in graph.select(IntegerNeuron):
        layer = _layer(graph, name, before, shape, lags, obstacles)
        layers += [] if layer is None else [layer]
        shape = None if layer is None else layer.neurons.shape
        before = name
    found = [f"{name} ({'; '.join(reasons)})" for name, reasons in obstacles.items() if reasons]
    if found:
        raise ExportError(
            f"{graph.name}: a .net file cannot hold {len(found)} of its nodes: {', '.join(found)}; use the NIR file, or "
            "change these layers"
        )
    return NetNetwork(graph.name, NetInput(layers[0].map.input_shape), tuple(layers))


def _own(node: object) -> list[str]:
    """Reasons against a node that need no look at its neighbours."""
    reasons = []
    if isinstance(node, Input) and node.coding == "direct":
        reasons.append("real values enter, netx takes spikes")
    if isinstance(node, IntegerNeuron) and node.static:
        reasons.append("the host drives it by a bias")
    if isinstance(node, IntegerNeuron) and node.reset != "zero":
        reasons.append("resets by subtraction")
    if isinstance(node, Synapses) and not isinstance(node.map, Conv2d | Dense | Sparse):
        reasons.append(f"netx has no {type(node.map).__name__}")
    if isinstance(node, Synapses) and not isinstance(node.map, Conv2d) and _cells(node.map) > MOST_VALUES:
        reasons.append(f"as a matrix it has {_cells(node.map)} cells")
    return reasons


def _cells(map_: LinearMap) -> int:
    return prod(map_.input_shape) * prod(map_.output_shape)


def _layer(
    graph: Graph, name: str, before: str, shape: Shape | None, lags: bool, obstacles: Obstacles
) -> NetLayer | None:
    """The layer of a population; None, with reasons added, where there is none."""
    node = graph.nodes[name]
    assert isinstance(node, IntegerNeuron)
    forward: dict[str, Synapses] = {}
    back: dict[str, Synapses] = {}
    for s in graph.sources(name):
        synapses, source = graph.nodes[s], graph.sources(s)[0]
        assert isinstance(synapses, Synapses)
        if source in (before, name):
            (forward if source == before else back)[s] = synapses
        else:
            obstacles[s].append(f"joins {source} to {name}, and netx is strictly sequential")
    if not forward and not any(obstacles[s] for s in graph.sources(name)):
        obstacles[name].append(f"is not fed by {before}, and netx is strictly sequential")
    bias = _bias(node, lags, obstacles[name])
    if not forward or any(obstacles[s] for s in (*forward, *back)) or obstacles[name]:
        return None
    maps = [s.map for s in forward.values()]
    label = next(iter(forward))
    if all(isinstance(m, Conv2d) for m in maps):
        reason = _against_convolution([*forward.values()], bool(back), shape, graph.nodes[before])
    else:
        reason = "" if not any(isinstance(m, Conv2d) for m in maps) else "adds convolutions to other maps"
    if reason:
        obstacles[label].append(reason)
        return None
    threshold = np.full(size(node), NEVER) if node.readout else node.threshold
    registers = (node.current_decay + CURRENT_DECAY_OFFSET, node.membrane_decay, threshold, bias)
    first = maps[0]
    if isinstance(first, Conv2d):
        summed = with_weight(first, _sum([*forward.values()]))
        assert isinstance(summed, Conv2d)
        _check_range(summed.weight, [*forward], obstacles)
        return NetLayer(label, summed, NetNeurons(first.output_shape, *registers))
    return _dense_layer(label, forward, back, NetNeurons((size(node),), *registers), obstacles)


def _bias(node: IntegerNeuron, lags: bool, reasons: list[str]) -> Ints:
    """Bias in netx's unit."""
    value = bias_value(node.bias_mantissa, node.bias_exponent)
    if (value % UNIT).any():
        reasons.append(f"a bias of {int(value[value % UNIT != 0][0])} is no multiple of {UNIT}")
    bias = value // UNIT
    if node.line.size:
        if (node.current_decay[node.line != 0] != DECAY_ONE - CURRENT_DECAY_OFFSET).any():
            reasons.append("its bias enters a current that decays, netx has biases of membranes only")
        bias = bias + node.line
    if bias.min() < LOWEST_BIAS or bias.max() > HIGHEST_BIAS:
        worst = int(bias[np.abs(bias).argmax()])
        reasons.append(f"a bias of {worst} * {UNIT} is outside {LOWEST_BIAS}..{HIGHEST_BIAS} * {UNIT}")
    if lags and bias.any():
        reasons.append(
            "it has a bias, which in netx acts ahead of a sample and reaches into it where spikes lag"
        )
    return bias


def _against_convolution(groups: Sequence[Synapses], back: bool, shape: Shape | None, source: object) -> str:
    """Why convolutions between two populations are no layer of netx, or nothing."""
    first = groups[0].map
    assert isinstance(first, Conv2d)
    for group in groups:
        other = group.map
        assert isinstance(other, Conv2d)
        if group.lag:
            return f"lags by {group.lag}, and netx drops the delays of convolutions"
        settings = [
            (m.input_shape, m.weight.shape, m.stride, m.padding, m.dilation, m.groups) for m in (first, other)
        ]
        if settings[0] != settings[1]:
            return "adds convolutions of different geometry"
    if back:
        return "meets recurrent weights, which netx has for dense layers only"
    if shape is not None and shape != first.input_shape and not isinstance(source, Input):
        return f"takes an image {first.input_shape}, and a dense layer of netx gives a vector"
    return ""


def _dense_layer(
    label: str,
    forward: dict[str, Synapses],
    back: dict[str, Synapses],
    neurons: NetNeurons,
    obstacles: Obstacles,
) -> NetLayer | None:
    weight, delay = _overlaid(forward, 0, obstacles)
    recurrent, again = _overlaid(back, 1, obstacles) if back else (np.zeros((0, 0), np.int64),) * 2
    if back and (delay.any() or again.any()):
        obstacles[next(iter(back))].append("meets delays, and netx loses the exponent of such weights")
    if any(obstacles[s] for s in (*forward, *back)):
        return None
    matrices = [weight, recurrent] if back else [weight]
    for matrix, groups in zip(matrices, (forward, back), strict=False):
        _check_range(matrix, [*groups], obstacles)
    if any(obstacles[s] for s in (*forward, *back)):
        return None
    try:
        effective = effective_dense(matrices)
    except ExportError as error:
        obstacles[label].append(str(error).partition(";")[0])
        return None
    wrong = [
        (int(a[a != b][0]), int(b[a != b][0]))
        for a, b in zip(matrices, effective, strict=True)
        if (a != b).any()
    ]
    if wrong:
        obstacles[label].append(
            "netx, which has fewer bits for weights of one sign, turns {} into {}".format(*wrong[0])
        )
        return None
    shape = next(iter(forward.values())).map.input_shape
    dense = Dense(weight, shape, neurons.shape)
    return NetLayer(label, dense, neurons, delay if delay.any() else np.zeros((0, 0), np.int64), recurrent)


def _overlaid(groups: dict[str, Synapses], own: int, obstacles: Obstacles) -> tuple[Ints, Ints]:
    """Weights and delays of groups that netx must hold as one matrix each; ``own`` steps of lag are no delay."""
    total, delay = (np.zeros(1, np.int64),) * 2
    taken = np.zeros(1, bool)
    for name, group in groups.items():
        weight = _sum([group])
        used, late = weight != 0, group.lag - own
        if late > DELAY_MAX:
            obstacles[name].append(f"is {late} steps late, netx has up to {DELAY_MAX}")
        if (used & taken & (delay != late)).any():
            obstacles[name].append("shares synapses with another group that is not as late")
        total, delay = total + weight, np.where(used, late, delay)
        taken = taken | used
    late_values = np.unique(delay[taken]) if taken.any() else np.zeros(1, np.int64)
    if len(late_values) == 1:  # one number for all
        delay = np.full_like(total, late_values[0])
    return total, delay


def _sum(groups: Sequence[Synapses]) -> Ints:
    """What a spike adds through groups of the same form; matrices for all that is no convolution."""
    total: Ints = np.zeros(1, np.int64)
    for group in groups:
        assert group.exponent is not None
        map_ = group.map
        weight = unroll(map_).toarray() if isinstance(map_, Sparse) else map_.weight
        total = total + (weight.astype(np.int64) << (group.exponent - WEIGHT_EXPONENT_MIN))
    return total


def _check_range(weight: Ints, names: Sequence[str], obstacles: Obstacles) -> None:
    if weight.min() < LOWEST or weight.max() > HIGHEST:
        worst = int(weight.flat[np.abs(weight).argmax()])
        together = f", together with {len(names) - 1} more" if len(names) > 1 else ""
        for name in names:
            obstacles[name].append(
                f"has a weight of {worst}, its exponent folded in{together}; a synapse holds {LOWEST}..{HIGHEST}"
            )
