"""Scripts of what a host does to a session, drawn at random and played on any backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright.export.linear import Dense
from spikewright.hardware.program import Inputs, Population, Program, SpikeSource, SynapseGroup
from spikewright.hardware.recording import Recording
from spikewright.hardware.session import Session


def draw_inputs(program: Program, rng: np.random.Generator, samples: int) -> Inputs:
    """Spikes and biases for a number of samples."""
    spikes = {}
    for source in program.sources:
        if not source.constant:
            shape = (samples, program.timesteps, source.size)
            payload = rng.integers(1, source.peak + 1, shape)
            spikes[source.name] = np.where(rng.random(shape) < 0.5, payload, 0).astype(np.uint8)
    biases = {
        p.name: (rng.integers(-4095, 4096, (samples, p.size)), rng.integers(0, 6, (samples, p.size)))
        for p in program.populations
        if p.host_bias
    }
    return Inputs(spikes, biases)


def play(session: Session, seed: int, evaluations: int = 3) -> list[Any]:
    """Write, step in odd portions, close loops, change biases on the way and read; returns all that was read.

    Whatever is read feeds the spikes written next, so that backends part for good at the first difference.
    """
    rng, program = np.random.default_rng(seed), session.program
    seen: list[Any] = []
    for _ in range(evaluations):
        samples = int(rng.integers(1, 4))
        session.write(draw_inputs(program, rng, samples))
        left = session.step(None if rng.random() < 0.3 else 1)
        while left:
            reading = session.read(detail="states")
            seen.append(reading)
            echo = sum(int(counts.sum()) for counts in reading.counts.values())
            for source in program.sources:
                played = session.progress(source.name)
                if not source.constant and played.max() < program.timesteps and rng.random() < 0.5:
                    row = (np.arange(source.size) + echo) % 3 == 0
                    step = int(rng.integers(played.max(), program.timesteps))
                    session.write_step(step, {source.name: row.astype(np.uint8)})
            if rng.random() < 0.3:
                session.write(Inputs(biases=draw_inputs(program, rng, samples).biases))
            left = session.step(int(rng.integers(1, left + 1)))
        seen.append(session.read(detail="states"))
        if rng.random() < 0.3:
            session.write(draw_inputs(program, rng, 1))
            session.step(1)
            session.reset()
    exchange = vars(session.exchange) | {"seconds": 0}
    return [*seen, exchange]


def assert_same(left: Recording, right: Recording, names: list[str]) -> None:
    """Whatever both hold of some populations is equal."""
    for quantity in ("counts", "readouts", "spikes", "currents", "membranes"):
        ours, theirs = getattr(left, quantity), getattr(right, quantity)
        for name in names:
            assert (name in ours) == (name in theirs) or quantity != "readouts"
            if name in ours and name in theirs:
                assert np.array_equal(ours[name], theirs[name]), (quantity, name)


def assert_all_same(left: list[Any], right: list[Any], names: list[str]) -> None:
    """Two plays of one script saw the same."""
    assert len(left) == len(right)
    for ours, theirs in zip(left[:-1], right[:-1], strict=True):
        assert_same(ours, theirs, names)
    assert left[-1] == right[-1]


ZERO = np.zeros(2, np.int64)


def population(name: str, start: int, **given_: Any) -> Population:
    fields: dict[str, Any] = {
        "current_decay": 4095,
        "membrane_decay": 1000,
        "threshold": ZERO + 20,
        "bias_mantissa": ZERO,
        "bias_exponent": ZERO,
        "scale": np.ones(2),
    }
    return Population(name=name, shape=(2,), start=start, **(fields | given_))


def dense(size: int) -> Dense:
    return Dense(np.array([[9, -3, 5][:size], [2, 7, -4][:size]], np.int8), (size,), (2,))


#: Spikes into a hidden population, whose neighbour's bias the host writes; a read-out after both, a line that is on.
PROGRAM = Program(
    "small",
    4,
    5,
    (SpikeSource("in", (3,)), SpikeSource("line", (1,), constant=True)),
    (
        population("hidden", 1),
        population("biased", 1, host_bias=True),
        population("out", 2, readout=True, threshold=ZERO + 131071, membrane_decay=0),
    ),
    (
        SynapseGroup("in-hidden", "in", "hidden", dense(3), 2),
        SynapseGroup("line-biased", "line", "biased", dense(1), 0),
        SynapseGroup("hidden-out", "hidden", "out", dense(2), 0),
        SynapseGroup("biased-out", "biased", "out", dense(2), 0),
    ),
)
ALL = ["hidden", "biased", "out"]


def inputs(samples: int = 2, seed: int = 0) -> Inputs:
    return draw_inputs(PROGRAM, np.random.default_rng(seed), samples)
