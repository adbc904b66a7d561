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

from . import nir_extension
from .errors import ExportError
from .formats import ALIGNMENT_SHIFT, DECAY_ONE, bias_value, weight_unit
from .graph import LI, LIF, FloatArray, Graph, Input, IntegerNeuron, Node, Output, Synapses, size
from .linear import Conv2d, Dense, LinearMap, Shape, expand_channels
from .nir_maps import dense_matrix, entries, structure

METADATA = "spikewright"
VERSION = 1
#: Cells up to which a convolution that NIR cannot express is written as a plain matrix.
DENSE_LIMIT = 1 << 26


def build(
    graph: Graph, dense_limit: int = DENSE_LIMIT, extended: Collection[str] | None = None
) -> nir.NIRGraph:
    """NIR nodes of a graph; a Flatten where a feature map meets a vector.

    Parameters
    ----------
    dense_limit : int
        Cells up to which a convolution that NIR cannot express becomes a matrix.
    extended : collection of str, optional
        Names of the synapses that become extension nodes, whatever the limit: as a file has them.
    """
    nodes: dict[str, nir.NIRNode] = {}
    written: dict[str, Shape] = {}  # the shape a node has in the file: (channels, height, width), or flat
    edges: list[tuple[str, str]] = []
    for name in graph.order():
        node, sources = graph.nodes[name], graph.sources(name)
        given = {written[s] for s in sources}
        if isinstance(node, Input):
            takes = written[name] = node.shape
            nodes[name] = nir.Input(
                np.array(node.shape), metadata=_meta(shape=node.shape, coding=node.coding)
            )
        elif isinstance(node, Synapses):
            spatial = _is_nir_convolution(node.map) and given == {node.map.input_shape}
            takes = node.map.input_shape if spatial else (prod(node.map.input_shape),)
            written[name] = node.shape if spatial else (size(node),)
            extension = name in extended if extended is not None else entries(node.map) > dense_limit
            nodes[name] = _synapses(node, _bias(graph, name, node), spatial, extension)
        else:
            takes = written[name] = node.shape if given == {node.shape} else (size(node),)
            nodes[name] = _neuron(graph, name, node, takes)
        for source in sources:
            if written[source] != takes:
                flat = f"{source}_flatten"
                if flat not in nodes:
                    shape = np.array(written[source])
                    nodes[flat] = nir.Flatten({"input": shape}, 0, -1, metadata=_meta(inserted=True))
                    edges.append((source, flat))
                edges.append((flat, name))
            else:
                edges.append((source, name))
    settings = graph.settings
    metadata: dict[str, Any] = {
        METADATA: json.dumps(
            {
                "version": VERSION,
                "name": graph.name,
                "timesteps": settings.timesteps,
                "dt": settings.dt,
                "reset": settings.reset,
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
    if not target.bias_mantissa.any():
        return None
    assert node.exponent is not None
    by_channel = bias_value(target.bias_mantissa, target.bias_exponent).reshape(node.map.channels, -1)
    if (by_channel != by_channel[:, :1]).any():
        raise ExportError(
            f"{population}: its bias differs within the channels of {name}; NIR has one a channel"
        )
    return np.asarray(by_channel[:, 0] / weight_unit(node.exponent), np.float32)


def _carrier(graph: Graph, population: str) -> str:
    """The synapses that carry a population's bias in NIR: those with the finest channels."""

    def channels(name: str) -> int:
        node = graph.nodes[name]
        return node.map.channels if isinstance(node, Synapses) else 0

    return max(graph.sources(population), key=channels)


def _synapses(node: Synapses, bias: FloatArray | None, spatial: bool, extension: bool) -> nir.NIRNode:
    map_ = node.map
    channel_bias = np.zeros(map_.channels, np.float32) if bias is None else bias
    values: dict[str, Any] = {
        "input_shape": map_.input_shape,
        "output_shape": map_.output_shape,
        "exponent": node.exponent,
        "own_bias": node.bias is not None,
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
            map_.weight, channel_bias, structure(map_), metadata=_meta(**values)
        )
    else:
        metadata = _meta({"kernel": map_.weight, "structure": structure(map_)}, **values)
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
        keep, resistance = 1 - node.beta, 1.0 if isinstance(node, LIF) else 1 / (1 - node.beta or 1)
        if isinstance(node, LI):
            return _primitive(full, dt, keep, resistance, None, _meta(shape=node.shape, beta=node.beta))
        metadata = _meta({"threshold": node.threshold}, shape=node.shape, beta=node.beta, static=node.static)
        threshold = node.threshold.astype(np.float64) * (keep or 1)
        return _primitive(full, dt, keep, resistance, threshold, metadata)
    assert isinstance(node, IntegerNeuron)
    keep = node.membrane_decay / DECAY_ONE
    unit = node.scale if node.static else weight_unit(_exponent(graph, name))
    arrays: dict[str, Any] = {
        "threshold_mantissa": node.threshold,
        "bias_mantissa": node.bias_mantissa,
        "bias_exponent": node.bias_exponent,
        "scale": node.scale,
    }
    if isinstance(node.origin, LIF):
        arrays["origin_threshold"] = node.origin.threshold
    metadata = _meta(
        arrays,
        shape=node.shape,
        current_decay=node.current_decay,
        membrane_decay=node.membrane_decay,
        static=node.static,
        readout=node.readout,
        beta=node.origin.beta,
    )
    aligned = None if node.readout else node.threshold << ALIGNMENT_SHIFT
    return _primitive(full, dt, keep, unit / (keep or 1), aligned, metadata)


def _primitive(
    full: Callable[[Any], Any],
    dt: float,
    keep: float,
    resistance: Any,
    threshold: Any,
    metadata: dict[str, Any],
) -> nir.NIRNode:
    """The neuron primitive for a leak of ``keep`` a step: without leak NIR integrates ``R I dt``."""
    if keep == 0:
        integrated = full(resistance / dt)
        if threshold is None:
            return nir.I(integrated, metadata=metadata)
        return nir.IF(integrated, full(threshold), full(0), metadata=metadata)
    tau = full(dt / keep)
    if threshold is None:
        return nir.LI(tau, full(resistance), full(0), metadata=metadata)
    return nir.LIF(tau, full(resistance), full(0), full(threshold), full(0), metadata=metadata)


def _exponent(graph: Graph, name: str) -> int:
    exponents = {n.exponent for s in graph.sources(name) if isinstance(n := graph.nodes[s], Synapses)}
    if len(exponents) != 1 or None in exponents:
        raise ExportError(
            f"{name}: its synapse groups have weight exponents {exponents}; one is needed for a NIR file"
        )
    return int(exponents.pop())  # type: ignore[arg-type]
