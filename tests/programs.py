"""Hypothesis strategies for small random programs: branches, delays, odd shapes, every kind of map and parameter."""

from __future__ import annotations

from math import prod

import numpy as np
from hypothesis import strategies as st

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
    draw: st.DrawFn, rng: np.random.Generator, name: str, shape: tuple[int, ...], start: int
) -> Population:
    size = prod(shape)
    extreme = draw(st.booleans())
    top = 131071 if extreme else draw(st.sampled_from([3, 60, 2000]))
    return Population(
        name=name,
        shape=shape,
        current_decay=draw(st.sampled_from([4095, 4095, 0, 1, 700, 4094])),
        membrane_decay=draw(st.sampled_from([3072, 0, 1, 819, 4095, 4096])),
        threshold=rng.integers(0, top + 1, size),
        bias_mantissa=rng.integers(-4095, 4096, size) if draw(st.booleans()) else np.zeros(size, np.int64),
        bias_exponent=rng.integers(0, 8 if extreme else 3, size),
        scale=np.ones(size),
        start=start,
        readout=draw(st.booleans()),
    )


@st.composite
def programs(draw: st.DrawFn, max_populations: int = 4) -> tuple[Program, Inputs]:
    """A valid feed-forward program and inputs for one to three samples."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    timesteps = draw(st.integers(1, 6))
    period = timesteps + draw(st.sampled_from([0, 0, 1, 3]))
    samples = draw(st.integers(1, 3))
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4)))
    biases = {}
    if draw(st.booleans()):
        sources = (SpikeSource("in", shape),)
        spikes = {
            "in": (
                rng.random((samples, timesteps, prod(shape))) < draw(st.sampled_from([0.1, 0.5, 1]))
            ).astype(np.uint8)
        }
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
        populations.append(_population(draw, rng, name, map_.output_shape, start))
        nodes[name] = (map_.output_shape, start)
    program = Program("random", timesteps, period, sources, tuple(populations), tuple(synapses))
    return program, Inputs(spikes, biases)
