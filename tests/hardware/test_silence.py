"""Layers that fall silent after quantisation are found."""

from __future__ import annotations

import numpy as np
import pytest

from spikewright.hardware.program import Population, Program, ProgramError
from spikewright.hardware.silence import silent


def population(name: str, **settings: bool) -> Population:
    zeros = np.zeros(4, np.int64)
    return Population(name, (4,), 0, 0, zeros, zeros, zeros, np.ones(4), 0, **settings)  # type: ignore[arg-type]


PROGRAM = Program(
    "net", 4, 4, (), (population("a"), population("b"), population("relay", relay=True), population("out", readout=True)), ()
)  # fmt: skip
FLOAT = {name: np.array([[0.5, 0.0, 0.25, 0.0], [0.5, 0.5, 0.5, 0.0]]) for name in ("a", "b", "relay", "out")}


def integer(**rates: list[float]) -> dict[str, np.ndarray]:
    return {name: np.array(rate) for name, rate in rates.items()}


def test_a_silent_population_is_an_error_and_silent_neurons_are_a_warning() -> None:
    found = silent(PROGRAM, FLOAT, integer(a=[0, 0, 0, 0], b=[0, 0.1, 0.1, 0], relay=[0] * 4, out=[0] * 4))
    assert [(f.node, f.severity, f.rule) for f in found] == [
        ("a", "error", "silent layer"),
        ("b", "warning", "silent layer"),
    ]
    assert found[0].detail.startswith("all 3 neurons that fired in float are silent")
    assert "1 of the 3 neurons" in found[1].detail
    assert "neuron 0 the most active of them (0.5 before)" in found[1].detail


def test_a_share_may_be_lost() -> None:
    rates = integer(a=[1, 1, 1, 0], b=[0, 1, 1, 0])
    assert [f.node for f in silent(PROGRAM, FLOAT, rates)] == ["b"]
    assert not silent(PROGRAM, FLOAT, rates, share=0.34)
    assert not silent(PROGRAM, FLOAT, {})


def test_what_never_fired_in_float_cannot_fall_silent() -> None:
    assert not silent(PROGRAM, {"a": np.zeros(4)}, integer(a=[0, 0, 0, 0]))


@pytest.mark.parametrize("rates", [np.zeros(3), np.zeros((2, 2, 4)), np.zeros((0, 4))])
def test_rates_of_another_shape_are_refused(rates: np.ndarray) -> None:
    with pytest.raises(ProgramError, match="rates of a: shape"):
        silent(PROGRAM, {"a": rates}, integer(a=[0, 0, 0, 0]))


def test_a_share_outside_the_range_is_refused() -> None:
    with pytest.raises(ProgramError, match="share: 2 is outside"):
        silent(PROGRAM, FLOAT, {}, share=2)
