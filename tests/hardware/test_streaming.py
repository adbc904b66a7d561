"""Streamed programs: a frame's neurons in place of a clip's, and the same spikes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spikewright.export.linear import Conv2d, Conv3d, Sparse
from spikewright.export.unroll import unroll
from spikewright.hardware import lava, reference
from spikewright.hardware.device_emulator import DeviceEmulator
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.errors import SessionError
from spikewright.hardware.observed import calibrate
from spikewright.hardware.program import SILENCE, Inputs, Program, ProgramError, validate
from spikewright.hardware.program_io import load_program, save_program
from spikewright.hardware.recording import Recording, compare
from spikewright.hardware.relays import DelayCosts
from spikewright.hardware.session import open_session, open_stream
from spikewright.hardware.streaming import latency, stream_program
from tests.hardware.clip_programs import HELD, clip_program

HAS_LAVA = pytest.mark.skipif(not lava.available()[0], reason="Lava is not installed")


def frames_of(program: Program, inputs: Inputs, sample: int) -> Inputs:
    """The frames of a clip as samples."""

    def split(name: str, values: np.ndarray) -> np.ndarray:
        shape = program.population(name).shape
        return np.moveaxis(values[sample].reshape(shape), 1, 0).reshape(shape[1], -1)

    return Inputs(biases={n: (split(n, m), split(n, e)) for n, (m, e) in inputs.biases.items()})


def same(clip: Program, whole: Recording, sample: int, streamed: Recording) -> bool:
    for p in clip.populations:
        for quantity in ("spikes", "membranes", "currents"):
            if p.name not in getattr(streamed, quantity):
                continue
            wanted = getattr(whole, quantity)[p.name][sample].reshape(clip.timesteps, *p.shape)
            found = getattr(streamed, quantity)[p.name]
            if (np.moveaxis(wanted, 2, 0).reshape(found.shape) != found).any():
                return False
    return True


def host_inputs(program: Program, samples: int, seed: int) -> Inputs:
    rng = np.random.default_rng(seed)
    biases = {}
    for p in program.populations:
        if p.host_bias:
            shape = (samples, p.size)
            biases[p.name] = rng.integers(-2000, 4000, shape), rng.integers(0, 3, shape)
    return Inputs(biases=biases)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_stream_fires_the_spikes_of_the_clip(data: st.DataObject) -> None:
    steps = data.draw(st.integers(1, 6), "time steps")
    blocks = data.draw(st.integers(1, 3), "blocks")
    frames = data.draw(st.integers(1, 7), "frames")
    grid = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)), "grid")
    period = steps + data.draw(st.integers(0, 9), "idle steps")
    costs = data.draw(st.sampled_from([None, DelayCosts(longest=5), DelayCosts(62, True, False, 8.0, 1.0)]))
    clip = clip_program(steps, blocks, frames, grid, seed=data.draw(st.integers(0, 10_000)))
    try:
        program = stream_program(clip, period=period, costs=costs)
    except ProgramError as error:
        assume("the bias of silence" not in str(error))
        raise
    inputs = host_inputs(clip, 2, 3)
    whole = Emulator(clip, threads=1).run(inputs, "states")
    assert whole.spikes[HELD].any()
    for sample in range(2):
        shown = frames_of(clip, inputs, sample)
        fast, slow = Emulator(program).run(shown, "states"), reference.run(program, shown)
        assert compare(fast, slow, [p.name for p in program.populations]).equal
        assert same(clip, whole, sample, fast)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(1, 5), blocks=st.integers(1, 3), idle=st.integers(0, 20), grid=st.tuples(st.integers(1, 3), st.integers(1, 3))
)  # fmt: skip
def test_taps_wait_whole_periods_and_resets_fall_on_windows(
    steps: int, blocks: int, idle: int, grid: tuple[int, int]
) -> None:
    clip = clip_program(steps, blocks, 5, grid, seed=1)
    period = steps + idle
    program = stream_program(clip, period=period)
    assert sum(p.size for p in program.populations if not p.relay) * 5 == sum(
        p.size for p in clip.populations
    )
    for block in range(blocks):
        wait = {g.name: g.delay for g in program.synapses if g.target == f"block{block}.query"}
        name = f"block{block}.taps"
        if period * 2 <= 62:
            assert wait == {f"{name}_1_before": 2 * period, name: period, f"{name}_1_after": 0}
    for p in program.populations:
        assert program.reset_offset(p) == (p.start + 1) % period
    found = latency(program)
    assert (found.before, found.after) == (blocks, blocks)
    assert found.steps == blocks * (period + 3) + steps
    assert found.frames == -(-found.steps // period) - 1 >= blocks


@pytest.mark.parametrize("backend", ["emulator", "reference"])
@pytest.mark.parametrize("period", [3, 4, 11])
def test_frames_come_out_as_late_as_told(backend: str, period: int) -> None:
    clip = clip_program(3, 2, 9, (2, 3), seed=4)
    program = stream_program(clip, period=period)
    out = program.populations[-1].name
    shown = frames_of(clip, host_inputs(clip, 1, 8), 0)
    wanted = reference.run(program, shown).spikes[out]
    assert wanted.any()
    with open_stream(program, backend) as stream:
        found, first = [], 0
        for count in (1, 2, 1, 3, 1, 1):
            given_ = stream.push(shown.select(slice(first, first + count)))
            first += count
            found.append(given_.spikes[out])
            assert stream.returned == sum(map(len, found)) == max(0, first - stream.latency.frames)
        found.append(stream.finish().spikes[out])
        assert (np.concatenate(found) == wanted).all()
        with pytest.raises(SessionError, match="the stream has ended"):
            stream.push(shown)


@pytest.mark.parametrize("backend", ["emulator", "reference"])
def test_a_long_stream_equals_clips_away_from_their_borders(backend: str) -> None:
    clip = clip_program(2, 2, 12, (1, 2), seed=5)
    program = stream_program(clip)
    inputs = host_inputs(clip, 3, 9)
    shown = [frames_of(clip, inputs, k) for k in range(3)]
    out = program.populations[-1].name
    whole = reference.run(clip, inputs).spikes[out].reshape(3, clip.timesteps, *clip.populations[-1].shape)
    with open_stream(program, backend) as stream:
        found = np.concatenate([stream.push(s).spikes[out] for s in shown] + [stream.finish().spikes[out]])
    wanted = np.moveaxis(whole, 3, 1).reshape(3, 12, *found.shape[1:])
    differs = (found.reshape(wanted.shape) != wanted).any((2, 3))
    assert not differs[:, 2:-2].any()
    assert not differs[0, :2].any()
    assert not differs[2, -2:].any()
    # Neighbours are heard across borders.
    ends = [
        Inputs(biases={n: (m[-1:], e[-1:]) for n, (m, e) in shown[0].biases.items()}),
        shown[1].select(slice(0, 1)),
    ]
    joined = Inputs(
        biases={
            n: tuple(np.concatenate([one.biases[n][i] for one in ends]) for i in (0, 1))
            for n in ends[0].biases
        }  # type: ignore[misc]
    )
    heard, alone = (reference.run(program, one).membranes["block0.query"] for one in (joined, ends[0]))
    assert (heard[0] != alone[0]).any()


def test_kernels_stay_shared() -> None:
    program = stream_program(clip_program(2, 1, 4, (3, 2), seed=2))
    taps = program.inputs_of("block0.query")
    assert len(taps) == 3
    assert all(isinstance(g.map, Conv2d) for g in taps)


def test_files_hold_streams(tmp_path: Path) -> None:
    program = stream_program(clip_program(2, 1, 4, (3, 2), seed=2))
    save_program(program, tmp_path / "stream.npz")
    found = load_program(tmp_path / "stream.npz")
    assert found.streamed
    assert found.period == program.period
    for ours, theirs in zip(program.synapses, found.synapses, strict=True):
        assert (ours.delay, ours.lag) == (theirs.delay, theirs.lag)
        assert (unroll(ours.map) != unroll(theirs.map)).nnz == 0


def test_calibration_sees_neighbouring_frames() -> None:
    clip = clip_program(3, 1, 6, (2, 2), seed=7)
    program, inputs = stream_program(clip), host_inputs(clip, 1, 2)
    whole, frames = calibrate(clip, inputs), calibrate(program, frames_of(clip, inputs, 0))
    for p in clip.populations:
        for quantity in ("synaptic_sum", "membrane"):
            a = getattr(whole.populations[p.name], quantity).high.reshape(p.shape).max(1)
            assert (a.ravel() == getattr(frames.populations[p.name], quantity).high).all()


def test_what_cannot_stream_is_refused() -> None:
    clip = clip_program(2, 1, 4, (2, 2), seed=3)
    query = clip.population("block0.query")
    odd = query.threshold + (np.arange(query.size) == 0)
    with pytest.raises(ProgramError, match=r"query: threshold differs between frames"):
        stream_program(_with(clip, replace(query, threshold=odd)))
    gate = next(g for g in clip.synapses if g.name == "block0.taps")
    matrix = unroll(gate.map).tolil()
    matrix[0, 0] += 1
    uneven = Sparse.of(matrix.tocsr(), clip.population(gate.source).shape, query.shape)
    with pytest.raises(ProgramError, match=r"taps: differs between frames"):
        stream_program(
            replace(clip, synapses=tuple(replace(g, map=uneven) if g is gate else g for g in clip.synapses))
        )
    short = replace(query, name="gate", shape=(query.size, 1, 1, 1))
    with pytest.raises(ProgramError, match="gate: has 1 frames where the clip has 4"):
        stream_program(replace(clip, populations=(short, *clip.populations)))
    streamed = stream_program(clip)
    with pytest.raises(ProgramError, match="is a streamed program already"):
        stream_program(streamed)
    tap = next(g for g in streamed.synapses if g.lag)
    with pytest.raises(ProgramError, match="no whole number of frames"):
        validate(replace(streamed, synapses=(replace(tap, lag=tap.lag + 1),)))
    with pytest.raises(SessionError, match="open it with open_stream"):
        open_session(streamed)
    with pytest.raises(SessionError, match="open it with open_session"):
        open_stream(clip)
    with pytest.raises(SessionError, match="a stream runs on emulator or reference"):
        open_stream(streamed, "lava")
    with pytest.raises(ProgramError, match="is a streamed program"):
        DeviceEmulator(streamed, "cpu")


def test_neurons_that_fire_by_themselves_hand_nothing_on() -> None:
    clip = clip_program(2, 2, 4, (2, 2), seed=3)
    enter = clip.population(HELD)
    loud = replace(
        enter, host_bias=False, bias_mantissa=np.full(enter.size, 4000), bias_exponent=np.full(enter.size, 7)
    )
    with pytest.raises(ProgramError, match=r"may fire outside of a stream and be taken for a frame of it"):
        stream_program(_with(clip, loud))
    hidden = clip.population("block0.hidden")
    pushing = replace(hidden, bias_mantissa=np.full(hidden.size, 4000), bias_exponent=np.full(hidden.size, 7))
    heavy = tuple(
        replace(g, exponent=7, map=replace(g.map, weight=np.full_like(g.map.weight, 127)))
        if g.source == hidden.name
        else g
        for g in clip.synapses
    )
    with pytest.raises(
        ProgramError, match=r"enter: up to \d+ arrive in a step without a stream, and the bias of silence"
    ):
        stream_program(replace(_with(clip, pushing), synapses=heavy))


def test_silence_is_a_bias_that_registers_hold() -> None:
    clip = clip_program(2, 1, 4, (2, 2), seed=3)
    program = stream_program(clip)
    still = {
        p.name: tuple(np.full((3, p.size), value) for value in SILENCE)
        for p in program.populations
        if p.host_bias
    }
    found = reference.run(program, Inputs(biases=still))  # type: ignore[arg-type]
    assert not any(found.spikes[name].any() for name in still)


@pytest.mark.lava
@HAS_LAVA
def test_lava_streams_the_same() -> None:
    clip = clip_program(2, 2, 5, (1, 2), seed=6)
    inputs = host_inputs(clip, 1, 5)
    for period in (2, 5):
        program = stream_program(clip, period=period)
        shown = frames_of(clip, inputs, 0)
        outside = lava.run(program, shown, time_limit=120)
        assert compare(
            Emulator(program).run(shown, "states"), outside, [p.name for p in program.populations]
        ).equal
        assert same(clip, reference.run(clip, inputs), 0, outside)
        assert outside.overhead_spikes == reference.run(program, shown).overhead_spikes


def test_a_clip_of_one_map_kind_keeps_it() -> None:
    clip = clip_program(2, 1, 4, (2, 2), seed=3)
    assert any(isinstance(g.map, Conv3d) for g in clip.synapses)


def _with(program: Program, population: object) -> Program:
    name = population.name  # type: ignore[attr-defined]
    return replace(
        program, populations=tuple(population if p.name == name else p for p in program.populations)
    )  # type: ignore[misc]
