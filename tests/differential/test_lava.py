"""Intel's Lava computes what the reference says, bit for bit and in global time."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from spikewright.export.formats import ALIGNMENT_SHIFT, STATE_LIMIT
from spikewright.export.linear import Conv2d, ConvTranspose2d, Dense, LinearMap, with_weight
from spikewright.export.unroll import unroll
from spikewright.hardware import lava, reference
from spikewright.hardware.arithmetic import synaptic_sum
from spikewright.hardware.emulation.feed import KERNELS
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.program import Inputs, Population, Program, SpikeSource, SynapseGroup
from spikewright.hardware.recording import Comparison, Recording, compare
from tests.programs import programs

available, reason = lava.available()
pytestmark = [pytest.mark.lava, pytest.mark.skipif(not available, reason=reason)]

# A failing example is not shrunk: every attempt costs a start of Lava.
EXAMPLES: dict[str, Any] = {
    "deadline": None,
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),
    "suppress_health_check": list(HealthCheck),
}


def difference(expected: Program, program: Program, inputs: Inputs) -> tuple[Comparison, Recording]:
    """Compare the reference's run of one program with Lava's of another; also the reference's recording."""
    wanted, given_ = reference.run(expected, inputs), lava.run(program, inputs, time_limit=120)
    result = compare(wanted, given_, [*wanted.spikes])
    assert given_.spikes.keys() == wanted.spikes.keys()
    assert given_.membranes.keys() == wanted.membranes.keys()
    assert result.neuron_steps > 0
    assert result.compared_states > 0
    if result.equal:
        assert given_.overhead_spikes == wanted.overhead_spikes
        assert all((count == given_.counts[name]).all() for name, count in wanted.counts.items())
    return result, wanted


def agree(program: Program, inputs: Inputs) -> Recording:
    """Lava, the reference and every kernel of the emulator agree; returns the reference's recording."""
    result, wanted = difference(program, program, inputs)
    assert result.equal, result.first
    for kernel, threads in product((None, *KERNELS), (1, 2)):
        fast = Emulator(program, kernel=kernel, threads=threads).run(inputs, "spikes")
        assert all((fast.spikes[name] == raster).all() for name, raster in wanted.spikes.items())
        assert all((fast.readouts[name] == last).all() for name, last in wanted.readouts.items())
    return wanted


def fits_lava(program: Program) -> bool:
    """Whether no current can leave the 32 bits that Lava computes in.

    The chip has 24, and a program is only legal within them. Up to 32 the reference follows Lava's odd
    wrapping; beyond, Lava overflows where the reference, in 64 bits, does not.
    """
    inputs = dict.fromkeys((p.name for p in program.populations), 0)
    for group in program.synapses:
        peak = program.peaks[group.source]
        rows = abs(unroll(group.map).astype(np.int64)) @ np.full(prod(group.map.input_shape), peak)
        inputs[group.target] += int(synaptic_sum(rows.max(initial=0), group.exponent))
    return max(inputs.values()) * program.period << ALIGNMENT_SHIFT < 2**31 - 4 * STATE_LIMIT


@settings(max_examples=12, **EXAMPLES)
@given(programs())
def test_random_programs(case: tuple[Program, Inputs]) -> None:
    assume(fits_lava(case[0]))
    agree(*case)


@pytest.mark.slow
@settings(max_examples=100, **EXAMPLES)
@given(programs(max_populations=8))
def test_many_random_programs(case: tuple[Program, Inputs]) -> None:
    assume(fits_lava(case[0]))
    agree(*case)


# Hand-made programs: one source, and one population a map, so that a single start of Lava covers many.

IMAGE = (2, 5, 7)  # channels, height, width
RNG = np.random.default_rng(7)


def weights(*shape: int) -> np.ndarray:
    return RNG.integers(-127, 128, shape).astype(np.int8)


def population(name: str, shape: tuple[int, ...], start: int, **settings_: Any) -> Population:
    size = prod(shape)
    zeros = np.zeros(size, np.int64)
    defaults: dict[str, Any] = {
        "current_decay": 4095,
        "membrane_decay": 1024,
        "threshold": RNG.integers(100, 2000, size),
        "bias_mantissa": zeros,
        "bias_exponent": zeros,
        "scale": np.ones(size),
    }
    return Population(name=name, shape=shape, start=start, **(defaults | settings_))


def star(
    maps: list[tuple[LinearMap, int, int]], timesteps: int = 5, period: int = 5, samples: int = 2
) -> tuple[Program, Inputs]:
    """One source feeding a population through each (map, exponent, delay)."""
    shape = maps[0][0].input_shape
    populations, groups = [], []
    for index, (map_, exponent, delay) in enumerate(maps):
        # Every other one is a read-out that never fires, for longer runs of the membrane.
        high = {"threshold": np.full(prod(map_.output_shape), 131071), "readout": True} if index % 2 else {}
        populations.append(population(f"p{index}", map_.output_shape, 1 + delay, **high))
        groups.append(SynapseGroup(f"g{index}", "in", f"p{index}", map_, exponent, delay))
    program = Program(
        "star", timesteps, period, (SpikeSource("in", shape),), tuple(populations), tuple(groups)
    )
    return program, Inputs({"in": spikes(samples, timesteps, prod(shape))})


def spikes(samples: int, timesteps: int, lines: int, rate: float = 0.3) -> np.ndarray:
    return (RNG.random((samples, timesteps, lines)) < rate).astype(np.uint8)


def test_convolutions() -> None:
    square = weights(4, 2, 3, 3)
    wanted = agree(
        *star(
            [
                (Conv2d(square, IMAGE, (1, 1), (1, 1)), -1, 0),
                (Conv2d(square, IMAGE, (1, 1), (1, 1)), 7, 0),
                (Conv2d(square, IMAGE, (2, 1), (0, 2)), 0, 0),
                (Conv2d(weights(3, 2, 2, 3), IMAGE, (1, 2), (1, 0)), 3, 0),
                (Conv2d(weights(3, 2, 3, 1), IMAGE, (2, 3), (2, 0), (2, 1)), 1, 0),
                (Conv2d(weights(1, 2, 2, 2), IMAGE, (1, 1), (0, 1), (1, 3)), 2, 0),
                (Conv2d(weights(4, 1, 3, 2), IMAGE, (1, 1), (1, 1), groups=2), 0, 0),
                (Conv2d(weights(6, 1, 5, 7), IMAGE, groups=2), 1, 0),
            ]
        )
    )
    assert all(wanted.counts[f"p{index}"].any() for index in range(0, 8, 2))


def test_transposed_convolutions() -> None:
    agree(
        *star(
            [
                (ConvTranspose2d(weights(2, 3, 3, 3), IMAGE, (2, 2), (1, 1), (1, 1)), 0, 0),
                (ConvTranspose2d(weights(2, 1, 2, 3), IMAGE, (1, 2), (0, 1), (0, 1)), -1, 0),
                (ConvTranspose2d(weights(2, 2, 4, 2), IMAGE, (3, 1), (1, 0), (2, 0), (1, 2)), 7, 0),
            ]
        )
    )


def test_dense_exponents_and_delays() -> None:
    dense = Dense(weights(11, prod(IMAGE)), IMAGE, (11,))
    empty = with_weight(dense, np.zeros_like(dense.weight))
    conv = Conv2d(weights(3, 2, 3, 2), IMAGE, (1, 2), (1, 1))
    transposed = ConvTranspose2d(weights(2, 1, 3, 3), IMAGE, (2, 1), (1, 1))
    maps: list[tuple[LinearMap, int, int]] = [(dense, exponent, 0) for exponent in (-1, 0, 1, 7)]
    maps += [(dense, -1, 1), (dense, 7, 5), (dense, 0, 62), (conv, 2, 3), (transposed, -1, 2)]
    maps += [(empty, 0, 0), (empty, 0, 2)]
    agree(*star(maps, timesteps=4, period=6))


def test_lavas_own_limits_on_convolutions_are_stepped_around() -> None:
    # Lava's convolution wraps sums at 24 bits, and takes no side or number of channels above 127.
    full = np.full((1, 33, 3, 3), 127, np.int8)
    agree(*_all_on(star([(Conv2d(full, (33, 3, 3)), 7, 0)])))
    agree(*star([(Conv2d(weights(1, 1, 2, 3), (1, 2, 126), (1, 1), (0, 1)), 0, 0)]))
    agree(*star([(Conv2d(weights(130, 1, 1, 1), (130, 1, 1), groups=130), 0, 0)]))


def _all_on(case: tuple[Program, Inputs]) -> tuple[Program, Inputs]:
    program, inputs = case
    return program, Inputs({name: np.ones_like(raster) for name, raster in inputs.spikes.items()})


def test_decays_thresholds_and_biases_of_each_neuron() -> None:
    size, pairs = 9, [(4095, 0), (0, 4096), (1, 1), (4094, 4095), (700, 819), (2048, 3072)]
    source = SpikeSource("in", (6,))
    populations = tuple(
        population(
            f"p{index}",
            (size,),
            1,
            current_decay=du,
            membrane_decay=dv,
            threshold=RNG.integers(0, 300, size),
            bias_mantissa=RNG.integers(-4095, 4096, size),
            bias_exponent=RNG.integers(0, 8, size),
        )
        for index, (du, dv) in enumerate(pairs)
    )
    groups = tuple(
        SynapseGroup(f"g{i}-{branch}", "in", f"p{i}", Dense(weights(size, 6), (6,), (size,)), branch)
        for i in range(len(pairs))
        for branch in (0, 3)  # two groups into one population
    )
    program = Program("parameters", 7, 9, (source,), populations, groups)
    wanted = agree(program, Inputs({"in": spikes(3, 7, 6)}))
    assert min(v.min() for v in wanted.membranes.values()) < 0
    assert any(wanted.overhead_spikes.values())  # type: ignore[union-attr]


def test_host_biases_change_between_samples() -> None:
    zeros = np.zeros(4, np.int64)
    host = {"host_bias": True, "threshold": zeros + 30, "membrane_decay": 0}
    first, second = population("a", (4,), 0, **host), population("b", (4,), 1, **host)
    third = population("c", (4,), 3)
    groups = (
        SynapseGroup("ab", "a", "b", Dense(weights(4, 4), (4,), (4,)), 0),
        SynapseGroup("bc", "b", "c", Dense(weights(4, 4), (4,), (4,)), 0, 1),
    )
    program = Program("host", 3, 4, (), (first, second, third), groups)
    biases = {name: (RNG.integers(-4095, 4096, (5, 4)), RNG.integers(0, 6, (5, 4))) for name in "ab"}
    wanted = agree(program, Inputs({}, biases))
    assert wanted.counts["a"].any()
    assert wanted.counts["c"].any()


@pytest.mark.parametrize(("timesteps", "period"), [(1, 1), (1, 4)])
def test_single_timesteps(timesteps: int, period: int) -> None:
    dense = Dense(weights(8, 70), IMAGE, (8,))
    agree(
        *star(
            [(dense, 0, 0), (dense, 1, 2), (Conv2d(weights(2, 2, 2, 2), IMAGE), 0, 0)], timesteps, period, 3
        )
    )


def test_currents_wrap_and_membranes_saturate() -> None:
    def driven(name: str, bias: int, **settings_: Any) -> Population:
        full = np.full(3, 131071)
        extreme = {"bias_mantissa": np.full(3, bias), "bias_exponent": np.full(3, 7), "membrane_decay": 0}
        return population(name, (3,), 1, threshold=full, **(extreme | settings_))

    populations = (
        driven("up", 4095),
        driven("down", -4095),
        driven("wrap", 0, current_decay=0, membrane_decay=4096),
    )
    groups = tuple(
        SynapseGroup(p.name, "in", p.name, Dense(np.full((3, 5), sign * 127, np.int8), (5,), (3,)), exponent)
        for p, sign, exponent in zip(populations, (1, -1, 1), (0, 0, 7), strict=True)
    )
    program = Program("extreme", 20, 20, (SpikeSource("in", (5,)),), populations, groups)
    wanted = agree(*_all_on((program, Inputs({"in": spikes(2, 20, 5)}))))
    assert wanted.counts["up"].any()  # only a saturated membrane exceeds the highest threshold
    assert wanted.membranes["down"].min() == 1 - STATE_LIMIT
    assert (np.diff(wanted.currents["wrap"], axis=1) < 0).any()  # all weights and spikes are positive


def test_parts_that_do_not_hang_together() -> None:
    dense = Dense(weights(3, 4), (4,), (3,))
    bias = {"bias_mantissa": np.full(3, 900), "threshold": np.full(3, 20)}
    populations = (
        population("fed", (3,), 1),
        population("lone", (3,), 0, **bias),
        population("silent", (3,), 0),
    )
    sources = (SpikeSource("in", (4,)), SpikeSource("unused", (2,)))
    program = Program("islands", 4, 5, sources, populations, (SynapseGroup("g", "in", "fed", dense, 2),))
    wanted = agree(program, Inputs({"in": spikes(2, 4, 4), "unused": spikes(2, 4, 2)}))
    assert wanted.counts["lone"].any()


def test_detail_and_keep() -> None:
    conv = Conv2d(weights(2, 2, 3, 3), IMAGE)
    program, inputs = star([(conv, 0, 0), (conv, 1, 0), (conv, 2, 0)])
    full = agree(program, inputs)
    lean = lava.run(program, inputs, detail="spikes")
    assert lean.backend == "lava"
    assert lean.membranes.keys() == lean.currents.keys() == {"p1"}  # the read-out
    assert compare(full, lean, [*full.spikes]).equal
    kept = lava.run(program, inputs, keep=["p0"])
    assert kept.spikes.keys() == kept.currents.keys() == kept.membranes.keys() == {"p0"}
    assert kept.counts.keys() == full.counts.keys()
    assert (kept.readouts["p1"] == full.readouts["p1"]).all()
    assert compare(full, kept, ["p0"]).equal


def test_a_wrong_threshold_is_caught() -> None:
    program, inputs = star([(Dense(weights(8, 70), IMAGE, (8,)), 0, 0)], timesteps=8, period=8)
    right = program.populations[0]
    # Just below a membrane that stayed silent, so that exactly this change makes a spike.
    recording = reference.run(program, inputs)
    silent = np.where(recording.spikes["p0"] == 0, recording.membranes["p0"], -1)
    neuron = int(silent.argmax()) % right.size
    threshold = right.threshold.copy()
    threshold[neuron] = (silent.max() >> ALIGNMENT_SHIFT) - 1
    wrong = replace(program, populations=(replace(right, threshold=threshold),))
    result, _ = difference(wrong, program, inputs)
    assert not result.equal
    assert result.first is not None
    assert (result.first.population, result.first.neuron) == ("p0", neuron)


def test_a_wrong_weight_is_caught() -> None:
    conv = Conv2d(weights(2, 2, 3, 3), IMAGE)
    program, inputs = star([(conv, 0, 0), (conv, 0, 0)])
    altered = conv.weight.copy()
    altered[0, 1, 2, 0] += 1 if altered[0, 1, 2, 0] < 127 else -1
    group = replace(program.synapses[1], map=with_weight(conv, altered))
    result, _ = difference(replace(program, synapses=(program.synapses[0], group)), program, inputs)
    assert not result.equal
    assert result.by_population["p0"] == 0
    assert result.by_population["p1"] > 0
