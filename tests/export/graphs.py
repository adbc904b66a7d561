"""Hypothesis strategies for float graphs: branches, reshapes, every kind of map and threshold."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikewright.export.calibration import Calibration
from spikewright.export.float_run import run_float
from spikewright.export.graph import LI, LIF, Graph, HostStep, Input, Node, Output, Settings, Synapses
from spikewright.export.linear import Conv2d, ConvTranspose2d, Dense, LinearMap, Shape
from spikewright.export.passes.mark_static_inputs import mark_static_inputs

BETAS = (0.0, 0.25, 0.5, 0.9, 0.97, 1.0)


def dense(rng: np.random.Generator, source: Shape, target: Shape, gain: float = 1.0) -> Synapses:
    """A layer with weights that make about half of its inputs matter."""
    inputs, outputs = prod(source), prod(target)
    weight = (rng.normal(size=(outputs, inputs)) * gain / np.sqrt(inputs)).astype(np.float32)
    return Synapses(Dense(weight, source, target), (rng.normal(size=outputs) * 0.1).astype(np.float32))


def chain(
    rng: np.random.Generator,
    widths: list[int],
    *,
    beta: float = 0.5,
    timesteps: int = 8,
    readout: bool = False,
    gain: float = 2.0,
) -> Graph:
    """A fully connected network of spikes."""
    nodes: dict[str, Node] = {"input": Input((widths[0],), "spikes")}
    edges, last = [], "input"
    for index, (before, after) in enumerate(pairwise(widths)):
        nodes[f"fc{index}"] = dense(rng, (before,), (after,), gain)
        final = readout and index == len(widths) - 2
        nodes[f"n{index}"] = LI((after,), beta) if final else LIF((after,), beta, np.array([0.5], np.float32))
        edges += [(last, f"fc{index}"), (f"fc{index}", f"n{index}")]
        last = f"n{index}"
    nodes["output"] = Output((widths[-1],))
    return Graph("chain", nodes, (*edges, (last, "output")), Settings(timesteps))


@st.composite
def _maps(draw: st.DrawFn, shape: Shape, rng: np.random.Generator) -> LinearMap:
    channels = shape[0]
    kind = draw(st.sampled_from(["dense", "conv", "conv", "transposed"]))

    def weight(*sides: int, fan_in: int) -> NDArray[np.float32]:
        return (rng.normal(size=sides) * 2 / np.sqrt(fan_in)).astype(np.float32)

    if kind == "dense":
        out = draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2)))
        return Dense(weight(prod(out), prod(shape), fan_in=prod(shape)), shape, out)
    kernel = draw(st.sampled_from([(1, 1), (2, 2), (3, 2), (1, 3), (3, 3)]))
    stride = draw(st.sampled_from([(1, 1), (2, 1), (1, 2)]))
    out_channels, area = draw(st.integers(1, 3)), kernel[0] * kernel[1]
    if kind == "transposed":
        spare = (draw(st.integers(0, stride[0] - 1)), draw(st.integers(0, stride[1] - 1)))
        return ConvTranspose2d(
            weight(channels, out_channels, *kernel, fan_in=channels * area), shape, stride, (0, 0), spare
        )
    groups = channels if channels > 1 and draw(st.booleans()) else 1
    padding = (kernel[0] - 1, kernel[1] - 1)
    inner = channels // groups
    return Conv2d(
        weight(out_channels * groups, inner, *kernel, fan_in=inner * area),
        shape,
        stride,
        padding,
        (1, 1),
        groups,
    )


@st.composite
def float_graphs(
    draw: st.DrawFn, max_layers: int = 3, mixed: bool = False
) -> tuple[Graph, NDArray[np.float32]]:
    """A legal float graph and samples for it; ``mixed``: a direct input that feeds later populations as well."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    coding = "direct" if mixed else draw(st.sampled_from(["direct", "spikes"]))
    shape: Shape = draw(st.tuples(st.integers(1, 3), st.integers(2, 5), st.integers(1, 4)))
    timesteps = draw(st.integers(1, 6))
    nodes: dict[str, Node] = {"input": Input(shape, coding)}  # type: ignore[arg-type]
    edges: list[tuple[str, str]] = []
    last, layers = "input", draw(st.integers(1 + mixed, max_layers))
    for index in range(layers):
        map_ = draw(_maps(shape, rng))
        bias = (rng.normal(size=map_.channels) * 0.2).astype(np.float32) if draw(st.booleans()) else None
        nodes[f"w{index}"] = Synapses(map_, bias)
        edges += [(last, f"w{index}"), (f"w{index}", f"n{index}")]
        if last != "input" and draw(st.booleans()):  # a second branch into the same population
            extra = (rng.normal(size=(prod(map_.output_shape), prod(shape))) / np.sqrt(prod(shape))).astype(
                np.float32
            )
            nodes[f"skip{index}"] = Synapses(Dense(extra, shape, map_.output_shape))
            edges += [(last, f"skip{index}"), (f"skip{index}", f"n{index}")]
        if mixed and last != "input":
            inputs = prod(nodes["input"].shape)
            for copy in range(draw(st.integers(1, 2))):
                into = rng.normal(size=(prod(map_.output_shape), inputs)) / np.sqrt(inputs)
                offset = rng.normal(size=prod(map_.output_shape)) * 0.2 if draw(st.booleans()) else None
                nodes[f"host{index}{copy}"] = Synapses(
                    Dense(into.astype(np.float32), nodes["input"].shape, map_.output_shape),
                    None if offset is None else offset.astype(np.float32),
                )
                edges += [("input", f"host{index}{copy}"), (f"host{index}{copy}", f"n{index}")]
        shape = map_.output_shape
        read = not mixed and index == layers - 1 and last != "input" and draw(st.booleans())
        beta = draw(st.sampled_from(BETAS))
        own = isinstance(map_, Dense) and draw(st.booleans())  # a threshold for each neuron
        theta = rng.uniform(0.2, 1.0, prod(shape) if own else 1).astype(np.float32)
        if own and f"skip{index}" not in nodes and draw(st.booleans()):
            shape = (prod(shape), 1, 1)  # another view of the same neurons
        nodes[f"n{index}"] = LI(shape, beta) if read else LIF(shape, beta, theta)
        last = f"n{index}"
    nodes["output"] = Output(shape)
    steps = (HostStep("tanh", last),) if isinstance(nodes[last], LI) else ()
    if draw(st.booleans()):
        arrays: dict[str, Any] = {"weight": rng.normal(size=(3, 3)).astype(np.float32), "bias": np.arange(3)}
        steps = (*steps, HostStep("rate_prior", last, arrays))
    graph = Graph(
        draw(st.sampled_from(["net", "a/b net"])),
        nodes,
        (*edges, (last, "output")),
        Settings(timesteps),
        steps,
    )
    graph = mark_static_inputs(
        replace(graph, settings=Settings(timesteps, draw(st.sampled_from([1e-4, 1e-3]))))
    )
    return graph, _samples(rng, graph)


def _samples(rng: np.random.Generator, graph: Graph) -> NDArray[np.float32]:
    node = graph.nodes["input"]
    assert isinstance(node, Input)
    if node.coding == "direct":
        return rng.normal(size=(4, *node.shape)).astype(np.float32)
    return (rng.random((4, graph.settings.timesteps, *node.shape)) < 0.5).astype(np.float32)


def calibrated(graph: Graph, samples: NDArray[np.float32]) -> Calibration:
    """What the samples say about the graph."""
    return Calibration.of(run_float(graph, samples))
