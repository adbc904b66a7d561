"""What no backend may run: every breach of a program and of its inputs, by name and number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from spikewright.export.linear import Conv2d, Dense
from spikewright.hardware import reference
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.program import (
    Inputs,
    Population,
    Program,
    ProgramError,
    SpikeSource,
    SynapseGroup,
    check_inputs,
    validate,
)
from tests.programs import programs

STEPS = 4


def population(name: str, *shape: int, start: int = 1, **settings: Any) -> Population:
    size = int(np.prod(shape))
    ints = {key: np.zeros(size, np.int64) for key in ("bias_mantissa", "bias_exponent")}
    return Population(
        **{
            "name": name, "shape": shape, "current_decay": 4095, "membrane_decay": 3072, "start": start,
            "threshold": np.full(size, 20), "scale": np.ones(size), **ints, **settings,
        }
    )  # fmt: skip


def group(source: str, target: str, outputs: int, inputs: int, **settings: Any) -> SynapseGroup:
    weight = np.arange(outputs * inputs, dtype=np.int8).reshape(outputs, inputs)
    dense = Dense(weight, (inputs,), (outputs,))
    return SynapseGroup(
        **{
            "name": f"{source}-{target}",
            "source": source,
            "target": target,
            "map": dense,
            "exponent": 1,
            **settings,
        }
    )


def program(**changes: Any) -> Program:
    """A source of six lines, two branches of unequal length, a host-driven population beside."""
    parts: dict[str, Any] = {
        "name": "net", "timesteps": STEPS, "period": STEPS + 1, "sources": (SpikeSource("in", (2, 3)),),
        "populations": (
            population("a", 5), population("b", 2, 2, start=2),
            population("h", 3, start=1, host_bias=True),
        ),
        "synapses": (
            group("in", "a", 5, 6), group("a", "b", 4, 5),
            group("in", "b", 4, 6, delay=1), group("h", "b", 4, 3),
        ),
    }  # fmt: skip
    return Program(**{**parts, **changes})


def inputs(samples: int = 2, **changes: Any) -> Inputs:
    rng = np.random.default_rng(0)
    spikes = {"in": rng.integers(0, 2, (samples, STEPS, 6), np.uint8)}
    biases = {"h": (rng.integers(-9, 9, (samples, 3)), rng.integers(0, 3, (samples, 3)))}
    return Inputs(**{"spikes": spikes, "biases": biases, **changes})


def with_population(name: str, **changes: Any) -> Program:
    base = program()
    return replace(
        base, populations=tuple(_changed(p, changes) if p.name == name else p for p in base.populations)
    )


def with_group(name: str, **changes: Any) -> Program:
    base = program()
    return replace(
        base, synapses=tuple(replace(g, **changes) if g.name == name else g for g in base.synapses)
    )


def _changed(old: Population, changes: dict[str, Any]) -> Population:
    fields = {key: getattr(old, key) for key in old.__dataclass_fields__}
    return Population(**{**fields, **changes})


def _weights(value: int, dtype: Any = np.int8) -> Dense:
    return Dense(np.full((4, 5), value, dtype), (5,), (4,))


BREACHES: list[tuple[str, Program, tuple[str, ...]]] = [
    ("no steps", program(timesteps=0), ("0 time steps", "period")),
    (
        "a sample longer than its period",
        program(period=STEPS - 1),
        ("4 time steps do not fit a period of 3",),
    ),
    ("no population", program(populations=(), synapses=()), ("net", "no population")),
    ("two of a name", program(populations=(*program().populations, population("a", 5))), ("share a name",)),
    (
        "a source's name twice",
        program(sources=(SpikeSource("in", (6,)), SpikeSource("a", (5,)))),
        ("share a name",),
    ),
    (
        "groups of a name",
        program(synapses=(group("in", "a", 5, 6), group("in", "a", 5, 6))),
        ("groups share a name",),
    ),
    ("an unknown source", with_group("a-b", source="ghost"), ("a-b", "ghost -> b", "unknown")),
    ("an unknown target", with_group("a-b", target="ghost"), ("a-b", "a -> ghost", "unknown")),
    ("a source as target", with_group("a-b", target="in"), ("a-b",)),
    (
        "inputs apart",
        with_group("a-b", map=Dense(np.ones((4, 7), np.int8), (7,), (4,))),
        ("a-b", "(7,)", "5 to 4"),
    ),
    (
        "outputs apart",
        with_group("a-b", map=Conv2d(np.ones((1, 1, 3, 1), np.int8), (1, 5, 1))),
        ("a-b", "5 to 4"),
    ),
    ("weights of int16", with_group("a-b", map=_weights(1, np.int16)), ("a-b", "int8 within +-127")),
    ("the odd one out of int8", with_group("a-b", map=_weights(-128)), ("a-b", "int8 within +-127")),
    ("a low exponent", with_group("a-b", exponent=-2), ("a-b", "exponent -2", "-1..7")),
    ("a high exponent", with_group("a-b", exponent=8), ("a-b", "exponent 8", "-1..7")),
    ("a negative delay", with_group("a-b", delay=-1), ("a-b", "delay -1", "0..62")),
    ("a delay too long", with_group("a-b", delay=63), ("a-b", "delay 63", "0..62")),
    (
        "a branch out of step",
        with_group("in-b", delay=0),
        ("in-b", "in starts at 0", "b starts at 2", "balance"),
    ),
    ("a start too late", with_population("a", start=2), ("in-a", "starts at 2", "balance")),
    ("a loop", program(synapses=(*program().synapses, group("b", "a", 5, 4))), ("b-a", "balance")),
    ("a start before the run", with_population("h", start=-1), ("h", "starts at -1")),
    (
        "a threshold below zero",
        with_population("a", threshold=np.full(5, -1)),
        ("a", "threshold", "-1", "0..131071"),
    ),
    (
        "a threshold of 18 bits",
        with_population("a", threshold=np.full(5, 131072)),
        ("a", "threshold", "131072"),
    ),
    ("thresholds too few", with_population("a", threshold=np.full(4, 2)), ("a", "threshold", "(4,)", "(5,)")),
    ("thresholds in floats", with_population("a", threshold=np.full(5, 2.5)), ("a", "threshold", "float64")),
    (
        "a mantissa too large",
        with_population("a", bias_mantissa=np.full(5, 4096)),
        ("a", "bias mantissa", "4096"),
    ),
    (
        "a mantissa too low",
        with_population("a", bias_mantissa=np.full(5, -4096)),
        ("a", "bias mantissa", "-4096"),
    ),
    (
        "a bias exponent too large",
        with_population("a", bias_exponent=np.full(5, 8)),
        ("a", "bias exponent", "8", "0..7"),
    ),
    (
        "a bias exponent below zero",
        with_population("a", bias_exponent=np.full(5, -1)),
        ("a", "bias exponent", "-1"),
    ),
    ("a current decay of 13 bits", with_population("a", current_decay=4096), ("a", "current decay", "4096")),
    (
        "a membrane decay of 13 bits",
        with_population("a", membrane_decay=4097),
        ("a", "membrane decay", "4097"),
    ),
    ("a negative decay", with_population("a", membrane_decay=-1), ("a", "membrane decay", "-1")),
    ("scales too few", with_population("a", scale=np.ones(1)), ("a", "scale")),
    ("a scale of zero", with_population("a", scale=np.zeros(5)), ("a", "scale", "above zero")),
    ("a scale of NaN", with_population("a", scale=np.full(5, np.nan)), ("a", "scale", "finite")),
    ("two biases", with_population("h", bias_mantissa=np.ones(3, np.int64)), ("h", "host writes its bias")),
    (
        "no neurons",
        with_population(
            "h",
            shape=(0,),
            threshold=np.ones(0, int),
            scale=np.ones(0),
            bias_mantissa=np.ones(0, int),
            bias_exponent=np.ones(0, int),
        ),
        ("h", "no neuron"),
    ),
]


def test_the_program_that_is_broken_below_runs() -> None:
    validate(program())
    check_inputs(program(), inputs())
    assert Emulator(program()).run(inputs()).counts["b"].shape == (2, 4)


@pytest.mark.parametrize(("broken", "words"), [b[1:] for b in BREACHES], ids=[b[0] for b in BREACHES])
def test_a_breach_is_refused_by_every_backend_and_named(broken: Program, words: tuple[str, ...]) -> None:
    backends: tuple[Callable[[], Any], ...] = (
        lambda: validate(broken), lambda: reference.run(broken, inputs()), lambda: Emulator(broken)
    )  # fmt: skip
    for backend in backends:
        with pytest.raises(ProgramError) as caught:
            backend()
        assert all(word in str(caught.value) for word in words), str(caught.value)


SPIKES, (MANTISSA, EXPONENT) = inputs().spikes["in"], inputs().biases["h"]

BAD_INPUTS: list[tuple[str, Inputs, tuple[str, ...]]] = [
    ("no samples", inputs(0), ("no samples",)),
    ("nothing at all", Inputs(), ("no samples",)),
    ("spikes for another source", inputs(spikes={"out": SPIKES}), ("spikes", "['out']", "['in']")),
    ("spikes missing", inputs(spikes={}), ("spikes", "['in']")),
    ("biases missing", inputs(biases={}), ("bias", "['h']")),
    (
        "biases for a population of its own",
        inputs(biases={"a": (MANTISSA, EXPONENT)}),
        ("bias", "['a']", "['h']"),
    ),
    ("steps missing", inputs(spikes={"in": SPIKES[:, :-1]}), ("in", "(2, 3, 6)", "(2, 4, 6)")),
    ("lines missing", inputs(spikes={"in": SPIKES[..., :-1]}), ("in", "(2, 4, 5)", "(2, 4, 6)")),
    ("an image for a raster", inputs(spikes={"in": SPIKES.reshape(2, STEPS, 2, 3)}), ("in", "(2, 4, 2, 3)")),
    ("samples that differ", inputs(biases={"h": (MANTISSA[:1], EXPONENT[:1])}), ("h", "(1, 3)", "(2, 3)")),
    (
        "exponents for fewer",
        inputs(biases={"h": (MANTISSA, EXPONENT[:, :2])}),
        ("h", "exponents", "(2, 2)", "(2, 3)"),
    ),
    ("a spike of two", inputs(spikes={"in": SPIKES * 2}), ("in", "2 is outside 0..1")),
    ("a spike below zero", inputs(spikes={"in": -SPIKES.astype(np.int8)}), ("in", "-1 is outside 0..1")),
    ("half a spike", inputs(spikes={"in": SPIKES * 0.5}), ("in", "float64")),
    (
        "a mantissa of 14 bits",
        inputs(biases={"h": (MANTISSA + 4095, EXPONENT)}),
        ("h", "mantissas", "-4095..4095"),
    ),
    ("a shift too far", inputs(biases={"h": (MANTISSA, EXPONENT + 7)}), ("h", "exponents", "0..7")),
    ("a bias in floats", inputs(biases={"h": (MANTISSA * 1.0, EXPONENT)}), ("h", "mantissas", "float64")),
]


@pytest.mark.parametrize(("bad", "words"), [b[1:] for b in BAD_INPUTS], ids=[b[0] for b in BAD_INPUTS])
def test_inputs_that_do_not_fit_are_refused_by_every_backend(bad: Inputs, words: tuple[str, ...]) -> None:
    for run in (check_inputs, reference.run, lambda p, i: Emulator(p).run(i)):
        with pytest.raises(ProgramError) as caught:
            run(program(), bad)
        assert all(word in str(caught.value) for word in words), str(caught.value)


def test_boolean_spikes_are_spikes() -> None:
    given_bool = inputs(spikes={"in": SPIKES.astype(bool)})
    check_inputs(program(), given_bool)
    assert (
        reference.run(program(), given_bool).counts["b"] == reference.run(program(), inputs()).counts["b"]
    ).all()


def test_resets_fall_where_a_populations_sample_begins() -> None:
    net = program()
    assert [net.reset_offset(p) for p in net.populations] == [2, 3, 2]
    assert (net.depth, net.steps(3)) == (2, 3 * (STEPS + 1) + 2)
    wrapped = replace(net, period=STEPS, populations=(population("deep", 5, start=2 * STEPS - 1),))
    assert (
        wrapped.reset_offset(wrapped.populations[0]) == 0
    )  # offset 0 resets at every multiple of the period


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_samples_are_strangers_to_each_other(case: tuple[Program, Inputs]) -> None:
    """Streamed back to back, each sample does what it does alone: fill, drain and resets leave no trace."""
    net, given_inputs = case
    together = reference.run(net, given_inputs)
    for k in range(given_inputs.samples):
        alone = reference.run(net, given_inputs.select(slice(k, k + 1)))
        for name, raster in alone.spikes.items():
            assert (raster[0] == together.spikes[name][k]).all(), name
        for name, membrane in alone.readouts.items():
            assert (membrane[0] == together.readouts[name][k]).all(), name
