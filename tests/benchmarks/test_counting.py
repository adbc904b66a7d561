"""Counts against a walk over every spike and every explicit synapse."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from spikewright.benchmarks.counting import LayerCount, count, totals
from spikewright.export.linear import Conv2d, ConvTranspose2d, Dense, LinearMap
from spikewright.hardware import reference
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.program import Inputs, Population, Program, SpikeSource, SynapseGroup
from spikewright.hardware.recording import Recording
from tests.programs import programs

Triple = tuple[int, int, int]


def triples(map_: LinearMap) -> list[Triple]:
    """Every synapse as (input, output, weight), by plain loops from the definition of each map."""
    if isinstance(map_, Dense):
        return [
            (j, i, int(map_.weight[i, j]))
            for i in range(prod(map_.output_shape))
            for j in range(prod(map_.input_shape))
        ]
    found = []
    (_, h_in, w_in), (_, h_out, w_out) = map_.input_shape, map_.output_shape
    (sy, sx), (py, px), (dy, dx) = map_.stride, map_.padding, map_.dilation
    first, second, kh, kw = map_.weight.shape
    if isinstance(map_, Conv2d):
        out_per_group = first // map_.groups
        for co in range(first):
            for c in range(second):
                ci = (co // out_per_group) * second + c
                for y in range(h_out):
                    for x in range(w_out):
                        for ky in range(kh):
                            for kx in range(kw):
                                yi, xi = y * sy - py + ky * dy, x * sx - px + kx * dx
                                if 0 <= yi < h_in and 0 <= xi < w_in:
                                    source, target = (
                                        (ci * h_in + yi) * w_in + xi,
                                        (co * h_out + y) * w_out + x,
                                    )
                                    found.append((source, target, int(map_.weight[co, c, ky, kx])))
        return found
    for ci in range(first):
        for co in range(second):
            for y in range(h_in):
                for x in range(w_in):
                    for ky in range(kh):
                        for kx in range(kw):
                            yo, xo = y * sy - py + ky * dy, x * sx - px + kx * dx
                            if 0 <= yo < h_out and 0 <= xo < w_out:
                                source, target = (ci * h_in + y) * w_in + x, (co * h_out + yo) * w_out + xo
                                found.append((source, target, int(map_.weight[ci, co, ky, kx])))
    return found


def walked(program: Program, recording: Recording, name: str) -> tuple[int, int, int, int]:
    """Synapses, operations and messages into a population, and its spikes, spike by spike."""
    synapses = operations = messages = 0
    for group in program.inputs_of(name):
        targets: dict[int, list[int]] = {}
        for source, target, weight in triples(group.map):
            if weight:
                targets.setdefault(source, []).append(target)
                synapses += 1
        for _, _, neuron in np.argwhere(recording.spikes[group.source]):
            operations += len(targets.get(int(neuron), []))
            messages += int(neuron) in targets
    return synapses, operations, messages, len(np.argwhere(recording.spikes[name]))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(max_populations=3))
def test_counts_equal_a_walk_over_every_spike(case: tuple[Program, Inputs]) -> None:
    program, inputs = case
    samples = inputs.samples
    recording = Emulator(program).run(inputs, detail="states")
    layers = count(program, recording, samples)
    assert [layer.name for layer in layers] == [p.name for p in program.populations]
    for layer, p in zip(layers, program.populations, strict=True):
        synapses, operations, messages, spikes = walked(program, recording, p.name)
        assert layer.synapses == synapses
        assert layer.sops == operations / samples
        assert layer.messages == messages / samples
        assert layer.spikes == spikes / samples
        assert layer.rate == pytest.approx(spikes / (samples * program.timesteps * p.size))
        assert (layer.neurons, layer.shape, layer.start) == (prod(p.shape), p.shape, p.start)
        assert layer.neuron_updates == prod(p.shape) * program.timesteps
        assert layer.stored_weights == sum(g.map.weight.size for g in program.inputs_of(p.name))
        assert layer.active_updates == busy(recording, p.name) / samples


def busy(recording: Recording, name: str) -> int:
    """Updates that leave something behind or fire, one by one."""
    found = 0
    shape = recording.spikes[name].shape
    for at in np.ndindex(shape):
        u, v = recording.currents[name][at], recording.membranes[name][at]
        found += bool(u or v or recording.spikes[name][at])
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(max_populations=3))
def test_every_backend_gives_the_same_counts_but_for_overhead(case: tuple[Program, Inputs]) -> None:
    program, inputs = case
    slow = count(program, reference.run(program, inputs), inputs.samples)
    fast = count(program, Emulator(program).run(inputs), inputs.samples)
    assert all(layer.overhead_spikes is not None for layer in slow)
    assert all(layer.overhead_spikes is None and layer.active_updates is None for layer in fast)
    bare = [replace(layer, overhead_spikes=None, active_updates=None) for layer in slow]
    assert bare == fast
    assert totals(slow).active_updates == sum(layer.active_updates or 0 for layer in slow)
    assert totals(slow).overhead_spikes == sum(layer.overhead_spikes or 0 for layer in slow)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(max_populations=3))
def test_totals_are_sums(case: tuple[Program, Inputs]) -> None:
    program, inputs = case
    layers = count(program, Emulator(program).run(inputs), inputs.samples)
    sums = totals(layers)
    for name in ("neurons", "synapses", "stored_weights", "spikes", "sops", "neuron_updates", "messages"):
        assert getattr(sums, name) == pytest.approx(sum(getattr(layer, name) for layer in layers))
    assert sums.rate == pytest.approx(
        sum(x.rate * x.neurons for x in layers) / sum(x.neurons for x in layers)
    )
    assert sums.active_updates is None
    assert sums.overhead_spikes is None


# Small cases worked out by hand


def one_group(map_: LinearMap, spikes: np.ndarray) -> LayerCount:
    """Count a single group behind a source; spikes (samples, steps, lines)."""
    size = prod(map_.output_shape)
    zeros = np.zeros(size, np.int64)
    p = Population("p", map_.output_shape, 4095, 0, zeros + 131071, zeros, zeros, np.ones(size), 1)
    group = SynapseGroup("in-p", "in", "p", map_, 0)
    steps = spikes.shape[1]
    program = Program("one", steps, steps, (SpikeSource("in", map_.input_shape),), (p,), (group,))
    recording = Emulator(program).run(Inputs({"in": spikes.astype(np.uint8)}))
    return count(program, recording, len(spikes))[0]


def test_borders_and_zero_weights_are_no_operations() -> None:
    """A 3x3 kernel without its centre over a 3x3 map, padded: corners reach 3, edges 5, the centre 8 neurons."""
    kernel = np.ones((1, 1, 3, 3), np.int8)
    kernel[0, 0, 1, 1] = 0
    map_ = Conv2d(kernel, (1, 3, 3), (1, 1), (1, 1))
    for neuron, reach in enumerate((3, 5, 3, 5, 8, 5, 3, 5, 3)):
        spikes = np.zeros((1, 2, 9))
        spikes[0, 1, neuron] = 1
        layer = one_group(map_, spikes)
        assert (layer.sops, layer.messages, layer.synapses, layer.stored_weights) == (reach, 1, 40, 9)


def test_means_are_per_sample() -> None:
    spikes = np.zeros((4, 3, 2))
    spikes[0] = 1  # six spikes in one sample of four
    layer = one_group(Dense(np.ones((5, 2), np.int8), (2,), (5,)), spikes)
    assert (layer.sops, layer.messages) == (6 * 5 / 4, 6 / 4)
    assert layer.neuron_updates == 15


def test_a_spike_without_synapses_is_no_message() -> None:
    weight = np.array([[0, 1]], np.int8)
    layer = one_group(Dense(weight, (2,), (1,)), np.ones((1, 1, 2)))
    assert (layer.sops, layer.messages, layer.synapses) == (1, 1, 1)


# Refusals


def tiny() -> tuple[Program, Inputs]:
    zeros = np.zeros(1, np.int64)
    p = Population("p", (1,), 4095, 0, zeros, zeros, zeros, np.ones(1), 1)
    group = SynapseGroup("in-p", "in", "p", Dense(np.ones((1, 1), np.int8), (1,), (1,)), 0)
    program = Program("tiny", 2, 2, (SpikeSource("in", (1,)),), (p,), (group,))
    return program, Inputs({"in": np.ones((3, 2, 1), np.uint8)})


def test_another_number_of_samples_is_refused() -> None:
    program, inputs = tiny()
    recording = Emulator(program).run(inputs)
    with pytest.raises(
        ValueError, match=r"in: spike counts of shape \(3, 1\), program and samples ask for \(4, 1\)"
    ):
        count(program, recording, 4)
    with pytest.raises(ValueError, match="no samples"):
        count(program, recording, 0)


def test_a_recording_without_a_population_is_refused() -> None:
    program, inputs = tiny()
    recording = Emulator(program).run(inputs)
    del recording.counts["p"]
    with pytest.raises(ValueError, match="p: the recording has no spike counts of it"):
        count(program, recording, 3)


def test_no_layers_sum_to_nothing() -> None:
    sums = totals([])
    assert (sums.neurons, sums.sops, sums.rate) == (0, 0, 0)


def test_transposed_convolution_of_a_corner() -> None:
    """A corner of a 2x2 map, kernel 3, stride 2, padding 1: the tap row and column outside are no synapses."""
    map_ = ConvTranspose2d(np.ones((1, 1, 3, 3), np.int8), (1, 2, 2), (2, 2), (1, 1), (1, 1))
    spikes = np.zeros((1, 1, 4))
    spikes[0, 0, 0] = 1
    assert one_group(map_, spikes).sops == 4
