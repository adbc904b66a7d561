"""Hypothesis strategies for small random programs: branches, loops, delays, odd shapes, every map and parameter."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

from spikewright.export.formats import RESETS
from spikewright.export.linear import Conv2d, ConvTranspose2d, Dense, LinearMap
from spikewright.hardware.program import Inputs, Population, Program, SpikeSource, SynapseGroup


def _weights(draw: st.DrawFn, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    span = draw(st.sampled_from([1, 3, 20, 127]))
    weight = rng.integers(-span, span + 1, shape)
    sparsity = draw(st.sampled_from([0.0, 0.5]))
    return np.where(rng.random(shape) < sparsity, 0, weight).astype(np.int8)


@st.composite
def linear_maps(draw: st.DrawFn, input_shape: tuple[int, int, int], rng: np.random.Generator) -> LinearMap:
    """A map from an input of (channels, height, width)."""
    channels, _height, _width = input_shape
    kind = draw(st.sampled_from(["dense", "conv", "transposed"]))
    if kind == "dense":
        out = draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)))
        return Dense(_weights(draw, rng, (prod(out), prod(input_shape))), input_shape, out)
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 2)))
    padding = (draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1)))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    out_channels = draw(st.integers(1, 3))
    if kind == "transposed":
        output_padding = (draw(st.integers(0, stride[0] - 1)), draw(st.integers(0, stride[1] - 1)))
        weight = _weights(draw, rng, (channels, out_channels, *kernel))
        try:
            return ConvTranspose2d(weight, input_shape, stride, padding, output_padding, dilation)
        except ValueError:
            return ConvTranspose2d(weight, input_shape)
    groups = channels if channels > 1 and draw(st.booleans()) else 1
    weight = _weights(draw, rng, (out_channels * groups, channels // groups, *kernel))
    try:
        return Conv2d(weight, input_shape, stride, padding, dilation, groups)
    except ValueError:  # the kernel does not fit: pad until it does
        return Conv2d(weight, input_shape, stride, kernel, (1, 1), groups)


def _population(
    draw: st.DrawFn,
    rng: np.random.Generator,
    name: str,
    shape: tuple[int, ...],
    start: int,
    subtract: bool = False,
) -> Population:
    size = prod(shape)
    extreme = draw(st.booleans())
    top = 131071 if extreme else draw(st.sampled_from([3, 60, 2000]))
    current: Any = draw(st.sampled_from([4095, 4095, 0, 1, 700, 4094, -1]))
    membrane: Any = draw(st.sampled_from([3072, 0, 1, 819, 4095, 4096]))
    if draw(st.booleans()):  # one register a neuron
        current = np.where(rng.random(size) < 0.5, current, rng.integers(-1, 4096, size))
        membrane = np.where(rng.random(size) < 0.5, membrane, rng.integers(0, 4097, size))
    return Population(
        name=name,
        shape=shape,
        current_decay=current,
        membrane_decay=membrane,
        threshold=rng.integers(0, top + 1, size),
        bias_mantissa=rng.integers(-4095, 4096, size) if draw(st.booleans()) else np.zeros(size, np.int64),
        bias_exponent=rng.integers(0, 8 if extreme else 3, size),
        scale=np.ones(size),
        start=start,
        readout=draw(st.booleans()),
        reset=draw(st.sampled_from(RESETS)) if subtract else "zero",
    )


def _loops(
    draw: st.DrawFn,
    rng: np.random.Generator,
    nodes: dict[str, tuple[tuple[int, ...], int]],
    populations: list[Population],
    synapses: list[SynapseGroup],
) -> list[Population]:
    """Add synapses that lag, back to earlier populations too; populations bring their biases over the always-on line."""
    for index in range(draw(st.integers(1, 3))):
        source, target = (draw(st.sampled_from(sorted(nodes))) for _ in range(2))
        lead = nodes[source][1] + 1 - nodes[target][1]
        delay = draw(st.sampled_from([0, 0, 1, 3])) + max(0, -lead)
        if target in ("in", "always-on"):
            continue
        (shape, _), (out, _) = nodes[source], nodes[target]
        dense = Dense(_weights(draw, rng, (prod(out), prod(shape))), shape, out)
        exponent, lag = draw(st.integers(-1, 7)), lead + delay
        synapses.append(SynapseGroup(f"late{index}", source, target, dense, exponent, delay, lag))
    if not any(group.lag for group in synapses):
        return populations
    zeros = {p.name: np.zeros(p.size, np.int64) for p in populations}
    return [
        replace(p, bias_mantissa=zeros[p.name], bias_exponent=zeros[p.name]) if p.start else p
        for p in populations
    ]


@st.composite
def programs(draw: st.DrawFn, max_populations: int = 4, subtract: bool = False) -> tuple[Program, Inputs]:
    """A valid program and inputs for one to three samples.

    With ``subtract`` some populations reset by subtraction, which Lava cannot.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    timesteps = draw(st.integers(1, 6))
    period = timesteps + draw(st.sampled_from([0, 0, 1, 3]))
    samples = draw(st.integers(1, 3))
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4)))
    biases = {}
    if draw(st.booleans()):
        peak = draw(st.sampled_from([1, 1, 2, 255]))
        sources: tuple[SpikeSource, ...] = (SpikeSource("in", shape, peak),)
        fired = rng.random((samples, timesteps, prod(shape))) < draw(st.sampled_from([0.1, 0.5, 1]))
        spikes = {"in": (fired * rng.integers(1, peak + 1, fired.shape)).astype(np.uint8)}
        populations: list[Population] = []
    else:
        sources, spikes = (), {}
        first = _population(draw, rng, "in", shape, 0)
        zeros = np.zeros(first.size, np.int64)
        fields = {**first.__dict__, "bias_mantissa": zeros, "bias_exponent": zeros, "host_bias": True}
        fields.pop("bias", None)
        populations = [Population(**fields)]
        biases["in"] = (
            rng.integers(-4095, 4096, (samples, first.size)),
            rng.integers(0, 6, (samples, first.size)),
        )
    nodes: dict[str, tuple[tuple[int, ...], int]] = {"in": (shape, 0)}
    synapses: list[SynapseGroup] = []
    for index in range(draw(st.integers(1, max_populations))):
        name = f"p{index}"
        origin = draw(st.sampled_from(sorted(nodes)))
        map_ = draw(linear_maps(nodes[origin][0], rng))  # type: ignore[arg-type]
        delay = draw(st.sampled_from([0, 0, 1, 4]))
        start = nodes[origin][1] + 1 + delay
        synapses.append(SynapseGroup(f"{origin}-{name}", origin, name, map_, draw(st.integers(-1, 7)), delay))
        # A second, longer or shorter branch into the same population, with the delay that lines it up.
        others = [n for n, (_, s) in nodes.items() if s < start and n != origin]
        if others and draw(st.booleans()):
            other = draw(st.sampled_from(sorted(others)))
            dense = Dense(
                _weights(draw, rng, (prod(map_.output_shape), prod(nodes[other][0]))),
                nodes[other][0],
                map_.output_shape,
            )
            gap = start - nodes[other][1] - 1
            synapses.append(
                SynapseGroup(f"{other}-{name}", other, name, dense, draw(st.integers(-1, 7)), gap)
            )
        populations.append(_population(draw, rng, name, map_.output_shape, start, subtract))
        nodes[name] = (map_.output_shape, start)
    if draw(st.booleans()):
        sources += (SpikeSource("always-on", (1,), constant=True),)
        nodes["always-on"] = ((1,), 0)
        populations = _loops(draw, rng, nodes, populations, synapses)
    program = Program("random", timesteps, period, sources, tuple(populations), tuple(synapses))
    return program, Inputs(spikes, biases)
