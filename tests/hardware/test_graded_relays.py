"""Graded relays: what they send, what a program may ask of them, and which chips have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewright.export.linear import Dense
from spikewright.hardware import reference
from spikewright.hardware.arithmetic import payload
from spikewright.hardware.chip import ChipError, load_chip
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.fit import fit
from spikewright.hardware.overflow import calibrate, findings, prove
from spikewright.hardware.program import (
    Inputs,
    Population,
    Program,
    ProgramError,
    SpikeSource,
    SynapseGroup,
    validate,
)
from spikewright.hardware.program_io import load_program, save_program
from spikewright.hardware.relays import DelayCosts, lay_out
from tests.hardware.test_program import population


def relay(name: str, *shape: int, bits: int = 8, shift: int = 6, **settings: Any) -> Population:
    size = int(np.prod(shape))
    return population(
        name, *shape, membrane_decay=4096, threshold=np.zeros(size, np.int64), payload_bits=bits,
        payload_shift=shift, **settings,
    )  # fmt: skip


def line(bits: int = 8, shift: int = 6, weight: int = 100, **settings: Any) -> Program:
    """Three lines to a relay, and on to a read-out that adds up what it sends."""
    maps = (
        Dense(np.array([[weight, -weight, 1]], np.int8), (3,), (1,)),
        Dense(np.ones((1, 1), np.int8), (1,), (1,)),
    )
    readout = population("out", 1, start=2, membrane_decay=0, threshold=np.array([131071]), readout=True)
    return Program(
        "line", 4, 4, (SpikeSource("in", (3,)),), (relay("r", 1, bits=bits, shift=shift, **settings), readout),
        (SynapseGroup("in-r", "in", "r", maps[0], -1), SynapseGroup("r-out", "r", "out", maps[1], -1)),
    )  # fmt: skip


RASTER = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]], np.uint8)


@given(st.integers(-(2**23) + 1, 2**23 - 1), st.integers(2, 24), st.integers(0, 23))
def test_a_value_is_the_nearest_unit_halves_up_and_saturates(membrane: int, bits: int, shift: int) -> None:
    sent = int(payload(np.array([membrane]), bits, shift)[0])
    limit, unit = 2 ** (bits - 1) - 1, 2**shift
    assert abs(sent) <= limit
    if abs(sent) < limit:
        assert -unit < 2 * (sent * unit - membrane) <= unit
    else:
        assert sent * (membrane - (sent * unit - unit // 2)) >= 0 or abs(membrane) > limit * unit - unit


def test_halves_are_rounded_up_on_either_side() -> None:
    assert payload(np.array([-97, -96, -95, -33, -32, -31, 31, 32, 33, 95, 96]), 8, 6).tolist() == [
        -2, -1, -1, -1, 0, 0, 0, 1, 1, 1, 2
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bits", "shift", "sent"),
    [
        (8, 6, [100, -100, 1, 0]),
        (7, 6, [63, -63, 1, 0]),
        (8, 8, [25, -25, 0, 0]),
        (16, 0, [6400, -6400, 64, 0]),
    ],
)
def test_what_a_relay_sends_arrives_and_zero_sends_nothing(bits: int, shift: int, sent: list[int]) -> None:
    program, inputs = line(bits, shift), Inputs({"in": RASTER})
    for found in (reference.run(program, inputs), Emulator(program).run(inputs, "states")):
        assert found.spikes["r"].dtype == np.int32
        assert found.spikes["r"][0, :, 0].tolist() == sent
        assert found.counts["r"].tolist() == [[np.count_nonzero(sent)]]
        assert found.membranes["out"][0, :, 0].tolist() == (64 * np.cumsum(sent)).tolist()


def test_host_biases_and_biases_of_its_own_are_sent_too() -> None:
    inputs = Inputs({"in": RASTER}, {"r": (np.array([[3]]), np.array([[7]]))})
    hosted = reference.run(line(16, 0, host_bias=True), inputs).spikes["r"][0, :, 0].tolist()
    own = line(16, 0, bias_mantissa=np.array([3]), bias_exponent=np.array([7]))
    assert hosted == reference.run(own, Inputs({"in": RASTER})).spikes["r"][0, :, 0].tolist()
    assert hosted == [6784, -6016, 448, 384]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: replace(p, payload_bits=1), "population r: a payload of 1 bits .* sends 2..24 bits"),
        (lambda p: replace(p, payload_bits=25), "payload of 25 bits"),
        (lambda p: replace(p, payload_bits=0), "payload of 0 bits in units of 2\\^6"),
        (lambda p: replace(p, payload_shift=24), "units of 2\\^24"),
        (lambda p: replace(p, payload_shift=-1), "units of 2\\^-1"),
        (lambda p: replace(p, threshold=np.ones(1, np.int64)), "population r: is a graded relay"),
        (lambda p: replace(p, membrane_decay=np.array([4095])), "no memory, threshold or read-out"),
        (lambda p: replace(p, current_decay=np.array([4094])), "decays are 4095 and 4096"),
        (lambda p: replace(p, readout=True), "is a graded relay"),
        (lambda p: replace(p, reset="subtract"), "its reset 'zero'"),
    ],
)
def test_impossible_relays_are_refused(change: Callable[[Population], Population], message: str) -> None:
    program = line()
    validate(program)
    broken = replace(program, populations=(change(program.populations[0]), program.populations[1]))
    with pytest.raises(ProgramError, match=message):
        validate(broken)


def test_programs_come_back_and_others_are_written_as_before(tmp_path: Path) -> None:
    save_program(line(11, 3), tmp_path / "graded.npz")
    back = load_program(tmp_path / "graded.npz").population("r")
    assert (back.payload_bits, back.payload_shift, back.graded, back.peak) == (11, 3, True, 1023)
    plain = replace(
        line(), populations=tuple(population(p.name, 1, start=p.start) for p in line().populations)
    )
    save_program(plain, tmp_path / "plain.npz")
    headers = [str(np.load(tmp_path / f"{name}.npz")["header"]) for name in ("graded", "plain")]
    assert '"version": 3' in headers[0]
    assert '"version": 2' in headers[1]
    assert "payload" not in headers[1]


def test_a_chip_without_graded_spikes_refuses_and_says_what_to_do() -> None:
    program = line(12)
    found = [f for f in fit(program, load_chip("loihi1")).findings if f.rule == "graded spikes"]
    assert [(f.severity, f.node) for f in found] == [("error", "r")]
    assert "values of 12 bits" in found[0].detail
    assert "unrolled" in found[0].remedy
    loihi2 = load_chip("loihi2")
    result = fit(program, loihi2)
    assert result.fits, result.findings
    assert loihi2.graded_spike_bits is not None
    narrow = loihi2.model_copy(
        update={"graded_spike_bits": loihi2.graded_spike_bits.model_copy(update={"value": 8})}
    )
    (found_narrow,) = [f for f in fit(program, narrow).findings if f.rule == "graded spikes"]
    assert "at most 8" in found_narrow.detail


def test_a_chip_with_graded_spikes_states_their_width(tmp_path: Path) -> None:
    from spikewright.hardware.chip import FOLDER

    text = (Path(FOLDER) / "loihi2.toml").read_text()
    at = text.index("[graded_spike_bits]")
    path = tmp_path / "own.toml"
    path.write_text(text[:at] + text[text.index("[", at + 1) :])
    with pytest.raises(ChipError, match="graded_spike_bits must be given"):
        load_chip(path)


def test_a_value_that_may_saturate_is_found_and_calibration_rules_it_out() -> None:
    proof = prove(line(7))
    (fault,) = proof["r"].faults
    assert (fault.kind, abs(fault.value), abs(fault.limit)) == ("may saturate", 101 * 64, 63 * 64)
    (warning,) = [f for f in findings(proof) if f.severity == "warning"]
    assert "the value that a graded relay sends may saturate" in warning.detail
    assert prove(line(8))["r"].verdict == "cannot overflow"
    small = np.where(np.arange(3) == 2, RASTER, 0).astype(np.uint8)
    program = line(7)
    assert prove(program, calibrate(program, Inputs({"in": small})))["r"].calibrated


def test_values_do_not_pass_relays_of_spikes() -> None:
    program = line()
    waiting = [replace(g, delay=5) if g.source == "r" else g for g in program.synapses]
    relays, laid = lay_out(
        waiting, program.sources, program.populations, DelayCosts(longest=5, in_synapses=True)
    )
    assert not relays
    assert laid[1].delay == 5
    with pytest.raises(ProgramError, match="graded spikes of r would wait 5 steps"):
        lay_out(waiting, program.sources, program.populations, DelayCosts(longest=4))
