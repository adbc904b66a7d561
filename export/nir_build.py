"""Graphs as NIR nodes: which primitive carries what, float or integer.

With a resistance of one and the threshold scaled by ``1 - beta``, forward Euler at the stated ``dt`` gives the same
spikes from the unaltered weights: ``v' = (1 - beta) v``. Tools that ignore the resistance (norse) and tools that divide
the threshold by ``R dt / tau`` (snnTorch) then agree with the source. In an integer file the resistance is such that
the membrane is in the chip's units, so thresholds are integers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from math import prod
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from . import nir_extension
from .errors import ExportError
from .formats import ALIGNMENT_SHIFT, CURRENT_DECAY_OFFSET, DECAY_ONE, bias_value, weight_unit
from .graph import LI, LIF, FloatArray, Graph, Input, IntegerNeuron, Node, Output, Relay, Synapses, size
from .linear import Conv2d, Dense, LinearMap, Shape, expand_channels, with_weight
from .nir_maps import dense_matrix, entries, indices, structure

METADATA = "spikewright"
VERSION = 2
#: A leak that no float64 membrane can tell from none within any sample.
NO_LEAK = 2.0**-60
#: Cells that maps which NIR cannot express may fill as plain matrices, all those of a file together.
DENSE_LIMIT = 1 << 26


def build(
    graph: Graph, dense_limit: int = DENSE_LIMIT, extended: Collection[str] | None = None
) -> nir.NIRGraph:
    """NIR nodes of a graph; a Flatten where a feature map meets a vector, a Scale where floats meet integers.

    Parameters
    ----------
    dense_limit : int
        Cells that maps which NIR cannot express may fill as matrices, in order of the graph; one that has no room left
        becomes an extension node.
    extended : collection of str, optional
        Names of the synapses that become extension nodes, whatever the limit: as a file has them.
    """
    nodes: dict[str, nir.NIRNode] = {}
    room = dense_limit
    # The shapes a node takes and gives in the file: (channels, height, width), or flat.
    takes: dict[str, Shape] = {}
    written: dict[str, Shape] = {}
    edges: list[tuple[str, str]] = []
    in_loop = {name: len(group) > 1 for group in graph.loops() for name in group}
    for name in _sources_first(graph):
        node, sources = graph.nodes[name], graph.sources(name)
        given = {written[s] if s in written else _expected(graph, s) for s in sources}
        if isinstance(node, Input):
            takes[name] = written[name] = node.shape
            nodes[name] = nir.Input(
                np.array(node.shape), metadata=_meta(shape=node.shape, coding=node.coding, peak=node.peak)
            )
        elif isinstance(node, Synapses):
            bias = _bias(graph, name, node)
            by_channel = bias is None or len(bias) == node.map.channels
            spatial = _is_nir_convolution(node.map) and given == {node.map.input_shape} and by_channel
            takes[name] = node.map.input_shape if spatial else (prod(node.map.input_shape),)
            written[name] = node.shape if spatial else (size(node),)
            matrix = not spatial and not isinstance(node.map, Dense)
            extension = matrix and (entries(node.map) > room if extended is None else name in extended)
            room -= entries(node.map) if matrix and not extension else 0
            above = 0 if node.exponent is None else _exponent(graph, graph.targets(name)[0]) - node.exponent
            nodes[name] = _synapses(node, bias, spatial, extension, above, in_loop[name])
        else:
            takes[name] = written[name] = node.shape if given == {node.shape} else (size(node),)
            nodes[name] = _neuron(graph, name, node, written[name])
    for name, wanted in takes.items():
        behind = name
        late = _steps(graph.nodes[name], in_loop[name])
        if late:  # a loop takes a step by itself
            behind = delay_name(name)
            nodes[behind] = nir.Delay(np.full(wanted, late * graph.settings.dt))
            edges.append((behind, name))
        for source in graph.sources(name):
            given_by = source
            if written[source] != wanted:
                given_by = f"{source}_flatten"
                if given_by not in nodes:
                    shape = np.array(written[source])
                    nodes[given_by] = nir.Flatten({"input": shape}, 0, -1, metadata=_meta(inserted=True))
                    edges.append((source, given_by))
            factor = _host_units(graph, source, name)
            sent = _payload_units(graph, source)
            if sent is not None:  # once for all that reads it in this shape
                scale = f"{given_by}_payload"
                if scale not in nodes:
                    nodes[scale] = nir.Scale(sent.reshape(wanted), metadata=_meta(inserted=True))
                    edges.append((given_by, scale))
                given_by = scale
            if factor is not None:
                scale = f"{source}_scale"
                nodes[scale] = nir.Scale(factor.reshape(wanted), metadata=_meta(inserted=True))
                edges.append((given_by, scale))
                given_by = scale
            edges.append((given_by, behind))
    settings = graph.settings
    metadata: dict[str, Any] = {
        METADATA: json.dumps(
            {
                "version": VERSION,
                "name": graph.name,
                "timesteps": settings.timesteps,
                "dt": settings.dt,
                "weight_bits": settings.weight_bits,
                "host_steps": [
                    {"kind": s.kind, "node": s.node, "arrays": sorted(s.arrays)} for s in graph.host_steps
                ],
            }
        )
    }
    for index, step in enumerate(graph.host_steps):
        metadata |= {f"host_{index}_{key}": np.asarray(array) for key, array in step.arrays.items()}
    return nir.NIRGraph(nodes, edges, metadata)


def _all_static(graph: Graph, name: str) -> bool:
    """Whether a population's current is all the host's."""
    return bool(graph.direct(name)) and len(graph.direct(name)) == len(graph.sources(name))


def _host_units(graph: Graph, source: str, name: str) -> NDArray[np.float64] | None:
    """Factors that bring a current of the host, in float units, to those of the weights that share its population.

    None where there is nothing to bring together.
    """
    node = graph.nodes[name]
    if not isinstance(node, IntegerNeuron) or source not in graph.direct(name) or _all_static(graph, name):
        return None
    return np.asarray(node.scale / weight_unit(_exponent(graph, name)))


def _payload_units(graph: Graph, source: str) -> NDArray[np.float64] | None:
    """Factors from a relay's membrane to the value that it sends, rounding and saturation aside; None for others."""
    node = graph.nodes[source]
    if not isinstance(node, IntegerNeuron) or not node.payload_bits:
        return None
    return np.full(size(node), 2.0**-node.payload_shift)


def delay_name(name: str) -> str:
    """The node that holds back what synapses take."""
    return f"{name}_delay"


def _steps(node: Node, in_loop: bool) -> int:
    return max(0, node.lag - in_loop) if isinstance(node, Synapses) else 0


def _sources_first(graph: Graph) -> list[str]:
    """Neurons, whose written shapes feed others, ahead of the synapses that a loop feeds."""
    ordered: list[str] = []
    for group in graph.loops():
        lagging = [n for n in group if getattr(graph.nodes[n], "lag", 0) and len(group) > 1]
        ordered += [n for n in group if n not in lagging] + lagging
    return ordered


def _expected(graph: Graph, name: str) -> Shape:
    """The shape that synapses of a loop will have in the file, ahead of their own turn."""
    node = graph.nodes[name]
    assert isinstance(node, Synapses)
    bias = _bias(graph, name, node)
    by_channel = bias is None or len(bias) == node.map.channels
    fits = graph.nodes[graph.sources(name)[0]].shape == getattr(node.map, "input_shape", None)
    return node.shape if _is_nir_convolution(node.map) and by_channel and fits else (size(node),)


def _meta(arrays: Mapping[str, Any] | None = None, **values: Any) -> dict[str, Any]:
    return {METADATA: json.dumps(values), **(arrays or {})}


def _is_nir_convolution(map_: LinearMap) -> bool:
    """Whether NIR's Conv2d can carry a map: 1.0.8 infers wrong shapes for groups and kernels that are not square."""
    return isinstance(map_, Conv2d) and map_.groups == 1 and map_.weight.shape[2] == map_.weight.shape[3]


def _bias(graph: Graph, name: str, node: Synapses) -> FloatArray | None:
    """Bias that NIR sees: the map's own, or an integer neuron's in units of its input weights."""
    population = graph.targets(name)[0]
    target = graph.nodes[population]
    if not isinstance(target, IntegerNeuron) or target.static or name != _carrier(graph, population):
        return node.bias
    value = bias_value(target.bias_mantissa, target.bias_exponent)
    if target.line.size:
        value = value + (target.line << ALIGNMENT_SHIFT)
    if not value.any():
        return None
    by_channel = value.reshape(node.map.channels, -1)
    if (by_channel == by_channel[:, :1]).all():
        value = by_channel[:, 0]
    return np.asarray(value / weight_unit(_exponent(graph, population)), np.float32)


def _carrier(graph: Graph, population: str) -> str:
    """The synapses that carry a population's bias in NIR: those with the finest channels."""

    def channels(name: str) -> tuple[bool, int]:
        node = graph.nodes[name]
        assert isinstance(node, Synapses)
        return not node.refines, node.map.channels

    return max(graph.sources(population), key=channels)


def _synapses(
    node: Synapses, bias: FloatArray | None, spatial: bool, extension: bool, above: int, in_loop: bool
) -> nir.NIRNode:
    """The node of a map; its weights are in units of the population's highest exponent, ``above`` their own."""
    map_ = node.map
    if above:
        map_ = with_weight(map_, np.ldexp(map_.weight.astype(np.float32), -above))
    channel_bias = np.zeros(map_.channels, np.float32) if bias is None else bias
    values: dict[str, Any] = {
        "input_shape": map_.input_shape,
        "output_shape": map_.output_shape,
        "exponent": node.exponent,
        "own_bias": node.bias is not None,
        "lag": node.lag,
        "delayed": _steps(node, in_loop) > 0,
        "refines": node.refines,
        "above": above,
    }
    if spatial:
        assert isinstance(map_, Conv2d)
        return nir.Conv2d(
            input_shape=map_.input_shape[1:],
            weight=map_.weight,
            stride=map_.stride,
            padding=map_.padding,
            dilation=map_.dilation,
            groups=map_.groups,
            bias=channel_bias,
            metadata=_meta(**values),
        )
    if isinstance(map_, Dense):
        metadata = _meta(**values)
    elif extension:
        return nir_extension.ConvolutionMap(
            map_.weight, channel_bias, structure(map_), *indices(map_), metadata=_meta(**values)
        )
    else:
        columns, row_pointer = indices(map_)
        kernel = {
            "kernel": map_.weight,
            "structure": structure(map_),
            "columns": columns,
            "row_pointer": row_pointer,
        }
        metadata = _meta(kernel, **values)
    matrix = dense_matrix(map_)
    if bias is None:
        return nir.Linear(matrix, metadata=metadata)
    return nir.Affine(matrix, expand_channels(channel_bias, map_.output_shape), metadata=metadata)


def _neuron(graph: Graph, name: str, node: Node, written: Shape) -> nir.NIRNode:
    dt = graph.settings.dt

    def full(value: Any) -> np.ndarray[Any, Any]:
        return (
            np.broadcast_to(np.asarray(value, np.float64).reshape(-1), (size(node),)).reshape(written).copy()
        )

    if isinstance(node, Output):
        return nir.Output(np.array(written), metadata=_meta(shape=node.shape))
    if isinstance(node, LIF | LI):
        metadata = _meta(_origin(node), shape=node.shape, **_origin_settings(node))
        leak, leak_u = 1 - node.beta, 1 - node.alpha
        if isinstance(node, LI):
            return _primitive(full, dt, leak_u, leak, 1 / np.where(leak > 0, leak, 1), None, metadata)
        threshold = node.threshold.astype(np.float64) * np.where(leak > 0, leak, 1)
        return _primitive(full, dt, leak_u, leak, 1.0, threshold, metadata)
    assert isinstance(node, IntegerNeuron)
    leak = node.membrane_decay / DECAY_ONE
    leak_u = (node.current_decay + CURRENT_DECAY_OFFSET) / DECAY_ONE
    unit = node.scale if _all_static(graph, name) else weight_unit(_exponent(graph, name))
    arrays: dict[str, Any] = {
        "current_decay": node.current_decay,
        "membrane_decay": node.membrane_decay,
        "threshold_mantissa": node.threshold,
        "bias_mantissa": node.bias_mantissa,
        "bias_exponent": node.bias_exponent,
        "scale": node.scale,
        "line": node.line if node.line.size else np.zeros(1, np.int64),
        **_origin(node.origin),
    }
    settings: dict[str, Any] = {"static": node.static, "readout": node.readout, "lined": bool(node.line.size)}
    if node.payload_bits:
        settings |= {"payload_bits": node.payload_bits, "payload_shift": node.payload_shift}
    metadata = _meta(arrays, shape=node.shape, integer=True, **(_origin_settings(node.origin) | settings))
    aligned = None if node.readout or node.payload_bits else node.threshold << ALIGNMENT_SHIFT
    return _primitive(full, dt, leak_u, leak, unit / np.where(leak > 0, leak, 1), aligned, metadata)


def _origin(node: LIF | LI) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {"beta": node.beta, "alpha": node.alpha, "unit": node.unit}
    return {**arrays, "threshold": node.threshold} if isinstance(node, LIF) else arrays


def _origin_settings(node: LIF | LI) -> dict[str, Any]:
    if isinstance(node, Relay):
        return {"relay": True}
    return {"reset": node.reset, "static": node.static} if isinstance(node, LIF) else {}


def _primitive(
    full: Callable[[Any], Any],
    dt: float,
    leak_u: NDArray[np.float64],
    leak: NDArray[np.float64],
    resistance: Any,
    threshold: Any,
    metadata: dict[str, Any],
) -> nir.NIRNode:
    """The neuron primitive for what current and membrane lose in a step: without leak NIR integrates ``R I dt``.

    Where only some neurons leak, or a current has no integrator of its own in NIR, the others' leak is too small to count.
    """
    current = bool((leak_u < 1).any())
    if not leak.any() and not current:
        integrated = full(resistance / dt)
        if threshold is None:
            return nir.I(integrated, metadata=metadata)
        return nir.IF(integrated, full(threshold), full(0), metadata=metadata)
    resistance = resistance / np.where(leak > 0, 1, NO_LEAK)
    leak, leak_u = np.where(leak > 0, leak, NO_LEAK), np.where(leak_u > 0, leak_u, NO_LEAK)
    tau = full(dt / leak)
    if current:
        tau_syn, gain = full(dt / leak_u), full(1 / leak_u)
        if threshold is None:
            return nir.CubaLI(tau_syn, tau, full(resistance), full(0), w_in=gain, metadata=metadata)
        return nir.CubaLIF(
            tau_syn, tau, full(resistance), full(0), full(threshold), full(0), w_in=gain, metadata=metadata
        )
    if threshold is None:
        return nir.LI(tau, full(resistance), full(0), metadata=metadata)
    return nir.LIF(tau, full(resistance), full(0), full(threshold), full(0), metadata=metadata)


def _exponent(graph: Graph, name: str) -> int:
    """The highest weight exponent of a population's synapses, in whose units its inputs are written."""
    direct = graph.direct(name)
    exponents = [
        n.exponent
        for s in graph.sources(name)
        if isinstance(n := graph.nodes[s], Synapses) and s not in direct
    ]
    known = [e for e in exponents if e is not None]
    if not known or len(known) < len(exponents):
        raise ExportError(f"{name}: its synapse groups have weight exponents {exponents}; quantise them all")
    return max(known)
