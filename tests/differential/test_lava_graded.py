"""Graded relays between Lava's own synapses: every value sent is the reference's, and so is all that it drives."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spikewright.export.linear import Conv2d, Dense
from spikewright.hardware import lava
from spikewright.hardware.program import Inputs, Population, Program, SpikeSource, SynapseGroup
from spikewright.hardware.recording import Recording
from tests.graded import with_relays
from tests.programs import programs

from .test_lava import EXAMPLES, agree, fits_lava

available, reason = lava.available()
pytestmark = [pytest.mark.lava, pytest.mark.skipif(not available, reason=reason)]


@settings(max_examples=3, **EXAMPLES)
@given(programs(), st.integers(0, 2**32 - 1))
def test_random_programs(case: tuple[Program, Inputs], seed: int) -> None:
    program = with_relays(case[0], np.random.default_rng(seed), for_lava=True)
    assume(any(p.graded for p in program.populations) and fits_lava(program))
    agree(program, case[1])


def relay(name: str, shape: tuple[int, ...], start: int, bits: int, shift: int, **given_: Any) -> Population:
    size = prod(shape)
    registers: dict[str, Any] = {
        "current_decay": 4095, "membrane_decay": 4096, "threshold": np.zeros(size, np.int64),
        "bias_mantissa": np.zeros(size, np.int64), "bias_exponent": np.zeros(size, np.int64), "scale": np.ones(size),
    }  # fmt: skip
    return Population(
        name=name, shape=shape, start=start, payload_bits=bits, payload_shift=shift, **(registers | given_)
    )


def chain(bits: int = 9) -> tuple[Program, Inputs]:
    """Spikes to a relay; to a relay, at once and by a skip that waits; to neurons and a read-out. Host biases change."""
    rng = np.random.default_rng(11)
    shape = (2, 3, 5)
    size = prod(shape)

    def weight(*sides: int) -> np.ndarray[Any, Any]:
        return rng.integers(-127, 128, sides).astype(np.int8)

    unit = Conv2d(np.ones((2, 1, 1, 1), np.int8), shape, groups=2)
    conv = Conv2d(weight(2, 2, 3, 3), shape, padding=(1, 1))
    neurons = relay("n", shape, 4, 0, 0, membrane_decay=0, threshold=np.full(size, 900))
    readout = relay("out", (3,), 5, 0, 0, membrane_decay=819, threshold=np.full(3, 131071), readout=True)
    bias = {"bias_mantissa": rng.integers(-4095, 4096, size), "bias_exponent": rng.integers(0, 5, size)}
    program = Program(
        "chain", 4, 5, (SpikeSource("in", shape),),
        (
            relay("a", shape, 1, bits, 7, host_bias=True),
            relay("b", shape, 3, bits + 1, 6, **bias),
            neurons,
            readout,
        ),
        (
            SynapseGroup("in-a", "in", "a", conv, 0),
            SynapseGroup("a-b", "a", "b", unit, -1, delay=1),
            SynapseGroup("in-b", "in", "b", conv, -1, delay=2),
            SynapseGroup("b-n", "b", "n", conv, -1),
            SynapseGroup("n-out", "n", "out", Dense(weight(3, size), shape, (3,)), -1),
            SynapseGroup("a-out", "a", "out", Dense(weight(3, size), shape, (3,)), -1, delay=3),
        ),
    )  # fmt: skip
    spikes = (rng.random((3, 4, size)) < 0.4).astype(np.uint8)
    host = rng.integers(-4095, 4096, (3, size)), rng.integers(0, 4, (3, size))
    return program, Inputs({"in": spikes}, {"a": host})


def test_relays_skips_delays_and_biases_of_the_host() -> None:
    found: Recording = agree(*chain())
    a, b = found.spikes["a"], found.spikes["b"]
    assert a.min() == -255  # saturates
    assert a.max() == 255
    assert len(np.unique(b)) > 100
    assert found.counts["n"].sum() > 0
    assert np.abs(found.readouts["out"]).max() > 1000


def test_a_wrong_unit_is_caught() -> None:
    program, inputs = chain()
    other = replace(
        program, populations=(replace(program.populations[0], payload_shift=8), *program.populations[1:])
    )
    from .test_lava import difference

    result, _ = difference(other, program, inputs)
    assert not result.equal


def test_sums_beyond_lavas_32_bits_are_refused() -> None:
    with pytest.raises(
        lava.LavaError, match=r"b-n: graded spikes of b may add up to [0-9,]+, .*narrower payload"
    ):
        lava.run(*chain(bits=22))
