"""Integer graphs to lava-dl ``.net`` files, written whole or not at all and read back before the call returns."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .errors import ExportError
from .formats import Ints
from .graph import Graph, Input
from .levels import require
from .linear import Conv2d, Dense, Shape
from .net_layers import NetLayer, NetNetwork, channels_last
from .net_lower import to_layers
from .net_parse import parse
from .net_read import to_graph
from .whole_file import whole_file


def write_net(graph: Graph, path: Path) -> Graph:
    """Write an integer graph for lava-dl's netx and return what a reader gets back.

    netx starts all layers at once: give ``netx.hdf5.Network`` the sample's steps as ``reset_interval`` and
    ``reset_offset=1``, or biases act ahead of the first sample. Scales have no place in the file.

    Parameters
    ----------
    graph : Graph
        A chain of convolutions and dense layers at the integer level; recurrent weights within a layer and delays on
        dense layers are possible.
    path : Path
        Target; replaced only when the new file is complete and reads back equal.

    Raises
    ------
    ExportError
        Lists every node that the format cannot hold and why; or the file cannot be written.
    """
    require(graph, "integer")
    network = to_layers(graph)
    entrance = graph.nodes[graph.select(Input)[0]]
    assert isinstance(entrance, Input)
    try:
        with whole_file(path) as temporary:
            with h5py.File(temporary, "w") as file:
                _write(file, network)
            back = parse(temporary, None, lambda _: None)
            unequal = _differences(network, back)
            if unequal:
                raise ExportError(
                    f"{path}: does not read back equal at {', '.join(unequal)}; please report this"
                )
    except OSError as error:
        raise ExportError(
            f"{path}: cannot be written ({error}); check the folder and its free space"
        ) from error
    return to_graph(back, graph.settings.timesteps, entrance.peak)


def _write(file: Any, network: NetNetwork) -> None:
    entries: list[dict[str, Any]] = [{"type": b"input", "shape": network.input.shape}]
    shape = network.input.shape
    for layer in network.layers:
        if isinstance(layer.map, Dense) and len(shape) > 1:
            entries.append({"type": b"flatten", "shape": (prod(shape),)})
        entries.append(_entry(layer))
        shape = layer.neurons.shape
    for index, entry in enumerate(entries):
        for name, value in entry.items():
            path = f"layer/{index}/{name}"
            if isinstance(value, np.ndarray) and value.ndim > 1:
                file.create_dataset(path, data=value, compression="gzip", compression_opts=1)
            else:  # SLAYER writes the type of a layer as an array of one
                file[path] = np.array([value]) if name == "type" else value


def _entry(layer: NetLayer) -> dict[str, Any]:
    """Datasets of a layer, with those that SLAYER writes and netx does not read."""
    map_, neurons = layer.map, layer.neurons
    entry: dict[str, Any] = {"shape": neurons.shape, "weight": map_.weight.astype(np.int32)}
    if isinstance(map_, Conv2d):
        entry |= {
            "type": b"conv",
            "inChannels": map_.input_shape[0],
            "outChannels": map_.channels,
            "kernelSize": map_.weight.shape[2:],
            "stride": map_.stride,
            "padding": map_.padding,
            "dilation": map_.dilation,
            "groups": map_.groups,
        }
    else:
        entry |= {
            "type": b"dense_rec" if layer.recurrent.size else b"dense",
            "inFeatures": prod(map_.input_shape),
            "outFeatures": prod(map_.output_shape),
        }
    if layer.recurrent.size:
        entry["weight_rec"] = layer.recurrent.astype(np.int32)
    if layer.delay.size:
        delay = layer.delay
        entry["delay"] = delay.flat[0] if (delay == delay.flat[0]).all() else delay
    if neurons.bias.any():
        entry["bias"] = np.atleast_1d(_least(neurons.bias, neurons.shape, one=False))
    registers = {
        "iDecay": neurons.current_decay,
        "vDecay": neurons.membrane_decay,
        "vThMant": neurons.threshold,
    }
    entry |= {f"neuron/{key}": _least(values, neurons.shape) for key, values in registers.items()}
    return {**entry, "neuron/type": b"CUBA", "neuron/refDelay": 1, "neuron/gradedSpike": False}


def _least(values: Ints, shape: Shape, one: bool = True) -> NDArray[np.int64]:
    """One number where all are the same, one a channel, or all in netx's order."""
    if one and (values == values[0]).all():
        return values[0]
    by_channel = values.reshape(shape[0], -1)
    if (by_channel == by_channel[:, :1]).all():
        return by_channel[:, 0]
    return channels_last(values, shape)


def _differences(a: NetNetwork, b: NetNetwork) -> list[str]:
    """Layers in which two networks differ, labels aside."""
    unequal = [] if a.input.shape == b.input.shape and len(a.layers) == len(b.layers) else ["input"]
    for mine, theirs in zip(a.layers, b.layers, strict=False):
        if any(not np.array_equal(x, y) for x, y in zip(_values(mine), _values(theirs), strict=True)):
            unequal.append(mine.label)
    return unequal


def _values(layer: NetLayer) -> list[Any]:
    map_, neurons = layer.map, layer.neurons
    geometry: list[Any] = [map_.input_shape, map_.output_shape]
    if isinstance(map_, Conv2d):
        geometry += [map_.stride, map_.padding, map_.dilation, map_.groups]
    registers = [neurons.current_decay, neurons.membrane_decay, neurons.threshold, neurons.bias]
    return [
        type(map_).__name__,
        map_.weight,
        layer.delay,
        layer.recurrent,
        neurons.shape,
        *geometry,
        *registers,
    ]
