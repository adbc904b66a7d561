"""Programs and made-up chips for placement: chains, loops, and limits so small that everything must be cut."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

from spikewright.export.linear import Conv2d, ConvTranspose2d, Dense, LinearMap
from spikewright.hardware.chip import Chip, load_chip
from spikewright.hardware.figures import Figure
from spikewright.hardware.program import Population, Program, SpikeSource, SynapseGroup


def population(name: str, shape: tuple[int, ...], start: int = 1, **fields: Any) -> Population:
    size = prod(shape)
    zeros = np.zeros(size, np.int64)
    settings: dict[str, Any] = {
        "threshold": np.full(size, 100),
        "current_decay": 4095,
        "membrane_decay": 3072,
    }
    return Population(
        name=name, shape=shape, bias_mantissa=zeros, bias_exponent=zeros, scale=np.ones(size), start=start,
        **(settings | fields),
    )  # fmt: skip


def chain(*maps: LinearMap) -> Program:
    """A source and one population a map."""
    names = ["in", *(f"p{i}" for i in range(len(maps)))]
    return Program(
        "chain",
        4,
        4,
        (SpikeSource("in", maps[0].input_shape),),
        tuple(population(names[i + 1], m.output_shape, i + 1) for i, m in enumerate(maps)),
        tuple(
            SynapseGroup(f"{names[i]}-{names[i + 1]}", names[i], names[i + 1], m, 0)
            for i, m in enumerate(maps)
        ),
    )


def dense(outputs: int, inputs: int, weight: int = 100) -> Dense:
    return Dense(np.full((outputs, inputs), weight, np.int8), (inputs,), (outputs,))


def chip_with(name: str = "loihi1", **values: Any) -> Chip:
    """A shipped chip with other figures; None takes an optional limit away."""
    figures = {
        key: None if value is None else Figure(value=value, unit="test", source="made up", checked=False)
        for key, value in values.items()
    }
    return load_chip(name).model_copy(update=figures)


@st.composite
def tiny_chips(draw: st.DrawFn) -> Chip:
    """A chip whose limits are some neurons and axons."""
    maybe = draw(st.booleans())
    return chip_with(
        cores=draw(st.integers(1, 12)),
        neurons_per_core=draw(st.integers(1, 30)),
        synapse_words_per_core=draw(st.sampled_from([20, 60, 400, 100_000])),
        synapse_word_bits=draw(st.sampled_from([8, 32, 64])),
        weight_bits=draw(st.sampled_from([(8,), (1, 2, 3, 4, 5, 6, 8), (2, 3)])),
        input_axons_per_core=draw(st.sampled_from([8, 20, 60, 1000])),
        output_axons_per_core=draw(st.sampled_from([4, 20, 60, 1000])),
        per_neuron_threshold=draw(st.booleans()),
        threshold_configurations=draw(st.integers(1, 6)),
        compartment_configurations=draw(st.sampled_from([None, 1, 2])),
        neuron_groups_per_core=draw(st.sampled_from([None, 1, 3])),
        synapse_formats=draw(st.sampled_from([None, 2, 4])),
        synapse_block_size=draw(st.sampled_from([None, 1, 3, 64])),
        synapse_block_bits=draw(st.sampled_from([0, 10])),
        synapse_index_bits=draw(st.sampled_from([(1, 2, 3, 6), (6, 7, 8, 9, 10, 11, 12), (2,)])),
        shared_kernels=maybe,
        shared_kernel_indices=draw(st.booleans()),
        delay_slots_per_core=draw(st.sampled_from([10, 40, 1000])),
        cores_per_tile=draw(st.integers(1, 4)),
        mesh_rows=draw(st.integers(1, 3)),
    )


def _weight(draw: st.DrawFn, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    zeros = rng.random(shape) < draw(st.sampled_from([0.0, 0.3, 0.9, 1.0]))
    span = draw(st.sampled_from([1, 7, 127]))
    return np.where(zeros, 0, rng.integers(-span, span + 1, shape)).astype(np.int8)


@st.composite
def spatial_maps(draw: st.DrawFn, channels: int | None = None) -> Conv2d | ConvTranspose2d:
    """A convolution of any stride, padding, dilation and groups over an image that need not be square."""
    side = st.tuples(st.integers(1, 9), st.integers(1, 7))
    pair = st.tuples(st.integers(1, 4), st.integers(1, 3))
    height, width = draw(side)
    kernel, stride, dilation = draw(pair), draw(pair), draw(st.tuples(st.integers(1, 3), st.integers(1, 2)))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 2)))
    inputs, outputs = channels or draw(st.integers(1, 4)), draw(st.integers(1, 5))
    if draw(st.booleans()):
        padding_out = (draw(st.integers(0, stride[0] + 1)), draw(st.integers(0, stride[1] + 1)))
        weight = _weight(draw, (inputs, outputs, *kernel))
        try:
            return ConvTranspose2d(weight, (inputs, height, width), stride, padding, padding_out, dilation)
        except ValueError:
            return ConvTranspose2d(weight, (inputs, height, width), stride)
    groups = draw(st.sampled_from([g for g in range(1, inputs + 1) if inputs % g == 0]))
    weight = _weight(draw, (outputs * groups, inputs // groups, *kernel))
    try:
        return Conv2d(weight, (inputs, height, width), stride, padding, dilation, groups)
    except ValueError:
        return Conv2d(weight, (inputs, height, width), stride, kernel, (1, 1), groups)


@st.composite
def spatial_programs(draw: st.DrawFn) -> Program:
    """Convolutions in a row, a second branch into one of them, a dense end that may feed itself."""
    first = draw(spatial_maps())
    maps: list[LinearMap] = [first]
    if draw(st.booleans()):
        channels = first.output_shape[0]
        kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        weight = _weight(draw, (draw(st.integers(1, 3)), channels, *kernel))
        maps.append(Conv2d(weight, first.output_shape, (2, 1), kernel))
    flat = prod(maps[-1].output_shape)
    outputs = draw(st.integers(1, 9))
    maps.append(Dense(_weight(draw, (outputs, flat)), maps[-1].output_shape, (outputs,)))
    program = chain(*maps)
    extra = []
    if draw(st.booleans()):  # a second group of weights beside the first, as for more bits than a weight has
        extra.append(
            SynapseGroup("low", "in", "p0", type(first)(**{**vars(first), "weight": _like(draw, first)}), 1)
        )
    last = len(maps) - 1
    if draw(st.booleans()):
        size = prod(maps[-1].output_shape)
        loop = Dense(_weight(draw, (size, size)), (size,), (size,))
        extra.append(SynapseGroup("loop", f"p{last}", f"p{last}", loop, 0))
    if draw(st.booleans()):  # a line that is always on, and a delayed branch past the rest
        size = prod(maps[0].output_shape)
        extra.append(
            SynapseGroup("bias", "on", "p0", Dense(_weight(draw, (size, 1)), (1,), maps[0].output_shape), 0)
        )
        past = Dense(
            _weight(draw, (prod(maps[-1].output_shape), prod(maps[0].input_shape))),
            maps[0].input_shape,
            maps[-1].output_shape,
        )
        extra.append(SynapseGroup("past", "in", f"p{last}", past, 2, draw(st.integers(1, 5))))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    populations = tuple(
        population(
            p.name, p.shape, p.start,
            threshold=rng.integers(1, 4, p.size), current_decay=rng.integers(0, 2, p.size) if rng.random() < 0.5 else 7,
        )
        for p in program.populations
    )  # fmt: skip
    return Program(
        "spatial", 4, 4, (*program.sources, SpikeSource("on", (1,))), populations, (*program.synapses, *extra)
    )


def _like(draw: st.DrawFn, map_: LinearMap) -> np.ndarray:
    return _weight(draw, map_.weight.shape)
