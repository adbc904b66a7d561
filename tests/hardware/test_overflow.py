"""The overflow proof on programs small enough to work out by hand."""

from __future__ import annotations

from dataclasses import replace
from math import log2, prod
from typing import Any

import numpy as np
import pytest

from spikewright.export.formats import STATE_LIMIT
from spikewright.export.linear import Conv2d, ConvTranspose2d, Dense, LinearMap
from spikewright.export.unroll import unroll
from spikewright.hardware import reference
from spikewright.hardware.intervals import Range, wrapped
from spikewright.hardware.overflow import findings, prove
from spikewright.hardware.program import Inputs, Population, Program, SpikeSource, SynapseGroup
from spikewright.hardware.recording import Recording

LIMIT = 2**23
TOP = 131071


def population(name: str, shape: tuple[int, ...], start: int = 1, **settings: Any) -> Population:
    zeros = np.zeros(prod(shape), np.int64)
    defaults: dict[str, Any] = {
        "current_decay": 4095,
        "membrane_decay": 0,
        "threshold": zeros + TOP,
        "bias_mantissa": zeros,
        "bias_exponent": zeros,
        "scale": np.ones(zeros.size),
    }
    settings = {k: v + zeros if k == "threshold" else v for k, v in settings.items()}
    return Population(name=name, shape=shape, start=start, **(defaults | settings))


def program(
    map_: LinearMap, exponent: int = 0, timesteps: int = 4, peak: int = 1, period: int = 0, **settings: Any
) -> Program:
    """One source, one map, one population ``p``."""
    return Program(
        "hand", timesteps, period or timesteps, (SpikeSource("in", map_.input_shape, peak),),
        (population("p", map_.output_shape, **settings),), (SynapseGroup("g", "in", "p", map_, exponent),),
    )  # fmt: skip


def dense(*rows: list[int]) -> Dense:
    weight = np.array(rows, np.int8)
    return Dense(weight, (weight.shape[1],), (weight.shape[0],))


def driven(of: Program, value: int | np.ndarray = 1) -> Recording:
    """The reference, with every line at a value for a whole sample."""
    source = of.sources[0]
    raster = np.broadcast_to(np.asarray(value, np.uint8), (1, of.timesteps, source.size)).copy()
    return reference.run(of, Inputs({source.name: raster}))


def test_signs_are_summed_apart() -> None:
    states = prove(program(dense([3, -2, 5, 0], [-1, -1, -1, -1]), exponent=2))["p"].by_weights
    assert states.synaptic_sum.low.tolist() == [-2 * 2 * 4, -4 * 2 * 4]
    assert states.synaptic_sum.high.tolist() == [8 * 2 * 4, 0]
    assert states.current.high.tolist() == [8 * 2 * 4 * 64, 0]  # the current is forgotten within a step
    assert states.membrane.high.tolist() == [4 * 8 * 2 * 4 * 64, 0]  # four steps, nothing leaks
    assert states.membrane.low.tolist() == [-4 * 2 * 2 * 4 * 64, -4 * 4 * 2 * 4 * 64]


@pytest.mark.parametrize(
    "decays", [(4095, 0), (0, 0), (-1, 0), (700, 819), (1, 1), (4094, 4095), (4095, 4096)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_the_bound_is_reached_exactly(decays: tuple[int, int], sign: int) -> None:
    # All weights of a neuron have one sign, so that all lines at once are the worst there is, at every step.
    rng = np.random.default_rng(5)
    weight = (sign * rng.integers(1, 60, (7, 5))).astype(np.int8)
    bias = sign * rng.integers(0, 4096, 7)
    of = program(
        Dense(weight, (5,), (7,)), 1, timesteps=9, current_decay=decays[0], membrane_decay=decays[1],
        bias_mantissa=bias, readout=True,
    )  # fmt: skip
    states, recording = prove(of)["p"].by_weights, driven(of)
    u, v = recording.currents["p"][0], recording.membranes["p"][0]
    end = "high" if sign > 0 else "low"
    assert (getattr(states.current_after, end) == (u.max(0) if sign > 0 else u.min(0))).all()
    assert (getattr(states.membrane_after, end) == (v.max(0) if sign > 0 else v.min(0))).all()
    assert (getattr(states.current, end) == getattr(states.current_after, end)).all()


MAPS: list[LinearMap] = [
    Conv2d(np.full((2, 1, 3, 3), 5, np.int8), (1, 4, 5), (1, 1), (1, 1)),
    Conv2d(np.arange(-8, 8, dtype=np.int8).reshape(2, 2, 2, 2), (2, 4, 5), (2, 1), (1, 0)),
    Conv2d(np.arange(-9, 9, dtype=np.int8).reshape(2, 1, 3, 3), (2, 5, 5), padding=(2, 2), groups=2),
    ConvTranspose2d(np.arange(-9, 9, dtype=np.int8).reshape(1, 2, 3, 3), (1, 3, 3), (2, 2), (1, 1)),
]


@pytest.mark.parametrize("map_", MAPS)
def test_borders_of_convolutions_are_exact(map_: LinearMap) -> None:
    matrix = unroll(map_).toarray().astype(np.int64)
    states = prove(program(map_, exponent=3, peak=255))["p"].by_weights
    assert (states.synaptic_sum.high == 255 * 16 * np.maximum(matrix, 0).sum(1)).all()
    assert (states.synaptic_sum.low == 255 * 16 * np.minimum(matrix, 0).sum(1)).all()
    assert len(np.unique(states.synaptic_sum.high)) > 1


def test_several_groups_add_up() -> None:
    of = program(dense([100, -50]), exponent=-1)
    more = SynapseGroup("h", "in", "p", dense([-3, 7]), 7)
    states = prove(replace(of, synapses=(*of.synapses, more)))["p"].by_weights
    assert (states.synaptic_sum.low.item(), states.synaptic_sum.high.item()) == (-50 - 3 * 256, 100 + 7 * 256)


# The limits themselves: one sum of 2^17 is a current of 2^23.


def lines(total: int, exponent: int = 7) -> Dense:
    """A map whose full sum is a multiple of 256 at the highest exponent."""
    quantised = total >> exponent + 1
    assert quantised << exponent + 1 == total
    row = [127] * (quantised // 127) + ([quantised % 127] if quantised % 127 else [])
    return dense(row)


@pytest.mark.parametrize(
    ("sign", "total", "may"),
    [(1, 2**17, False), (1, 2**17 + 256, True), (-1, 2**17 - 256, False), (-1, 2**17, True)],
)
def test_the_current_wraps_where_the_arithmetic_does(sign: int, total: int, may: bool) -> None:
    map_ = lines(total)
    of = program(replace(map_, weight=sign * map_.weight), 7, timesteps=1, membrane_decay=4096)
    proof, recording = prove(of)["p"], driven(of)
    assert proof.by_weights.current.high.item() == (total * 64 if sign > 0 else 0)
    assert (proof.by_weights_verdict == "may wrap") is may
    assert (recording.currents["p"].item() != sign * total * 64) is may


def test_a_wrap_is_predicted_with_its_neuron_and_what_prevents_it() -> None:
    weight = np.full((6, 11), 20, np.int8)
    weight[4] = 127
    of = program(Dense(weight, (11,), (6,)), 6, timesteps=1)
    proof = prove(of)
    (fault,) = proof["p"].faults
    assert (fault.kind, fault.neuron, fault.neurons) == ("may wrap", 4, 1)
    assert (fault.value, fault.limit) == (11 * 127 * 128 * 64, LIMIT)
    assert fault.halvings == 1
    assert fault.exponents == {"g": 5}
    assert proof["p"].bits == pytest.approx(log2(LIMIT / fault.value))
    recording = driven(of)
    assert recording.currents["p"][0, 0, 4] == fault.value - 2 * LIMIT
    (finding,) = findings(proof)
    assert finding.severity == "warning"
    assert "neuron 4 may come to 11,444,224" in finding.detail
    assert "g 6 -> 5" in finding.remedy
    better = replace(of, synapses=(replace(of.synapses[0], exponent=5),))
    assert prove(better)["p"].by_weights_verdict == "cannot overflow"
    assert 0 < prove(better)["p"].bits < 1


def test_an_exponent_at_its_end_costs_weight_bits() -> None:
    of = program(dense([100] * 10), -1, timesteps=200, current_decay=0, readout=True)
    fault = prove(of)["p"].faults[0]
    assert fault.kind == "may wrap"
    assert fault.halvings is not None
    assert fault.exponents == {"g": -1 - fault.halvings}
    assert f"g: {fault.halvings} bits fewer at -1" in findings(prove(of))[0].remedy


def test_what_no_scale_prevents_is_said() -> None:
    of = program(dense([1]), -1, timesteps=2, threshold=0, readout=True)
    (fault,) = prove(of)["p"].faults
    assert fault.halvings is None
    assert findings(prove(of))[0].remedy.startswith("no scale prevents it")


def test_the_wrapped_range_is_the_hull_of_all_wrapped_values() -> None:
    rng = np.random.default_rng(0)
    ends = np.concatenate([k * LIMIT + np.arange(-2, 3) for k in range(-4, 5)])
    for _ in range(300):
        low, high = np.sort(rng.choice(ends, 2))
        values = np.unique(np.clip(np.concatenate([ends, [low, high]]), low, high))
        image = np.array([wrapped(Range(x[None], x[None])).low.item() for x in values])
        found = wrapped(Range(low[None], high[None]))
        assert (found.low.item(), found.high.item()) == (image.min(), image.max())


def test_upward_saturation_of_a_firing_neuron_is_harmless_and_said_so() -> None:
    # Two steps of 2^23 - 2^13 saturate upward; a spike clears either way.
    of = program(lines(2**17 - 256), 7, timesteps=3, membrane_decay=0, current_decay=4095, threshold=TOP)
    of = replace(
        of,
        populations=(
            replace(of.populations[0], bias_mantissa=np.array([4095]), bias_exponent=np.array([7])),
        ),
    )
    proof = prove(of)["p"]
    assert proof.by_weights.membrane.high.item() > LIMIT
    assert proof.by_weights_verdict == "cannot overflow"
    assert proof.harmless == 1
    (note,) = findings(prove(of))
    assert (note.severity, note.remedy) == ("note", "nothing to do, the spike clears it")
    for settings in ({"reset": "subtract"}, {"readout": True}):
        other = replace(of, populations=(replace(of.populations[0], **settings),))  # type: ignore[arg-type]
        assert prove(other)["p"].by_weights_verdict == "may saturate"
        assert not prove(other)["p"].harmless


def test_negative_saturation_is_harmful_and_reached() -> None:
    of = program(dense([-127] * 8), 3, timesteps=10)
    proof, recording = prove(of)["p"], driven(of)
    (fault,) = proof.faults
    assert (fault.kind, fault.value) == ("may saturate", -(LIMIT - 1) - 127 * 8 * 16 * 64)
    assert recording.membranes["p"].min() == 1 - LIMIT
    assert fault.halvings == 1
    assert prove(program(dense([-127] * 8), 2, timesteps=10))["p"].by_weights_verdict == "cannot overflow"


def test_a_firing_neuron_never_stays_above_its_threshold() -> None:
    of = program(dense([127] * 4), 0, timesteps=500, threshold=400)
    proof = prove(of)["p"].by_weights
    step = 127 * 4 * 128
    assert proof.membrane_after.high.item() == 400 * 64
    assert (
        proof.membrane.high.item() == 400 * 64 + step
    )  # half of the lines at a step lead up to the threshold itself
    assert proof.may_fire.all()


def test_reset_by_subtraction_leaves_the_rest() -> None:
    step = 127 * 4 * 128
    of = program(dense([127] * 4), 0, timesteps=5, threshold=400, reset="subtract")
    states = prove(of)["p"].by_weights
    rest = step - 400 * 64
    assert states.membrane_after.high.item() == 5 * rest == driven(of).membranes["p"].max()
    assert states.membrane.high.item() == 4 * rest + step


def test_graded_spikes_weigh_their_peak() -> None:
    of = program(dense([100, -100]), 3, timesteps=1, peak=255)
    states = prove(of)["p"].by_weights
    assert states.current.high.item() == 255 * 100 * 16 * 64
    assert prove(of)["p"].by_weights_verdict == "may wrap"
    assert (
        prove(replace(of, sources=(SpikeSource("in", (2,), 1),)))["p"].by_weights_verdict == "cannot overflow"
    )
    # More than one turn outside: it comes back by one turn only.
    assert driven(of, np.array([255, 0])).currents["p"].item() == 255 * 100 * 16 * 64 - 2 * LIMIT


def test_loops_feed_back_into_their_own_bound() -> None:
    loop = SynapseGroup("back", "p", "p", dense([90]), 2, 0, 1)
    of = program(dense([10]), 0, timesteps=6, threshold=3)
    of = replace(of, synapses=(*of.synapses, loop))
    states = prove(of)["p"].by_weights
    assert states.synaptic_sum.high.item() == 20 + 90 * 8
    assert states.current.high.item() == driven(of).currents["p"].max()
    never = replace(
        of, populations=(population("p", (1,)),), synapses=(of.synapses[0], replace(loop, map=dense([0])))
    )
    assert not prove(never)["p"].by_weights.may_fire.any()


def test_who_cannot_fire_sends_nothing() -> None:
    of = program(dense([10], [1]), 0, timesteps=2, threshold=np.array([5, 5]))  # 2,560 and 256 against 320
    of = replace(
        of,
        populations=(*of.populations, population("q", (1,), 2, readout=True)),
        synapses=(*of.synapses, SynapseGroup("h", "p", "q", dense([1, 100]), 0)),
    )
    proof = prove(of)
    assert proof["p"].by_weights.may_fire.tolist() == [True, False]
    assert proof["q"].by_weights.synaptic_sum.high.item() == 2
    quiet = replace(
        of, populations=(replace(of.populations[0], threshold=np.array([500, 500])), of.populations[1])
    )
    (finding,) = findings(prove(quiet))
    assert (finding.node, finding.rule, finding.severity) == ("p", "silent layer", "warning")


def test_always_on_lines_fire_at_every_step_of_a_sample_and_not_behind_it() -> None:
    line = SpikeSource("on", (1,), constant=True)
    of = program(dense([10, -10]), 0, timesteps=3, period=8)
    of = replace(
        of, sources=(*of.sources, line), synapses=(*of.synapses, SynapseGroup("b", "on", "p", dense([50]), 0))
    )
    states = prove(of)["p"].by_weights
    # 40..60 in each of three steps, but -10..10 ahead of the first sample, where the line is still off.
    assert (states.synaptic_sum.low.item(), states.synaptic_sum.high.item()) == (-20, 120)
    assert states.membrane_after.high.item() == 3 * 60 * 128
    assert states.membrane_after.low.item() == -8 * 10 * 128
    off = replace(of, sources=(of.sources[0], replace(line, constant=False)))
    assert prove(off)["p"].by_weights.membrane_after.high.item() == 3 * 60 * 128


def test_a_bias_goes_on_in_the_gap_behind_a_sample() -> None:
    of = program(dense([1]), 0, timesteps=2, period=5, bias_mantissa=np.array([700]), readout=True)
    states = prove(of)["p"].by_weights
    assert states.membrane_after.high.item() == 5 * 700 + 2 * 128  # the line fires in the sample only


def test_spikes_that_lag_may_arrive_behind_the_sample() -> None:
    of = program(dense([10]), 0, timesteps=1, period=4, readout=True)
    late = replace(of.synapses[0], delay=2, lag=2)
    assert prove(of)["p"].by_weights.membrane_after.high.item() == 10 * 128
    # When exactly a line that lags may fire is left open: any step between two resets.
    states = prove(replace(of, synapses=(late,)))["p"].by_weights
    assert states.membrane_after.high.item() == 4 * 10 * 128


def test_host_biases_are_anything_unless_given() -> None:
    of = Program("host", 4, 4, (), (population("p", (2,), 0, host_bias=True, readout=True),), ())
    assert prove(of)["p"].by_weights.membrane.high.tolist() == [4 * 524160] * 2
    given = {"p": (np.array([5, -7]), np.array([100, -3]))}
    states = prove(of, host_biases=given)["p"].by_weights
    assert states.membrane.high.tolist() == [400, 0]  # zero until the first sample
    assert states.membrane.low.tolist() == [0, -28]


def test_a_read_out_must_stay_below_its_threshold() -> None:
    of = program(dense([127] * 8), 3, timesteps=9, readout=True)
    (fault,) = prove(of)["p"].faults
    assert (fault.kind, fault.limit) == ("may saturate", TOP * 64)
    assert "read-out may reach its threshold and be cleared" in str(findings(prove(of))[0])
    assert driven(of).counts["p"].any()
    assert prove(program(dense([127] * 8), 3, timesteps=8, readout=True)).by_weights


def test_sums_far_outside_stay_exact_enough_to_judge() -> None:
    row = np.full((1, 4000), 127, np.int8)
    of = program(Dense(row, (4000,), (1,)), 7, timesteps=300, peak=255, current_decay=-1)
    assert prove(of)["p"].by_weights_verdict == "may wrap"
    assert STATE_LIMIT < prove(of)["p"].by_weights.current.high.item() <= 2**50
