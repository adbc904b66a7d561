"""Comparing recordings: every difference counted, the first one found in order of data flow."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from spikewright.hardware import reference
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.recording import Difference, Recording, compare
from tests.hardware.test_program import STEPS, inputs, program

ORDER = ["a", "b"]


def recording() -> Recording:
    rng = np.random.default_rng(0)
    shapes = {"a": (3, 4, 5), "b": (3, 4, 2)}
    return Recording(
        "test",
        {},
        {"b": rng.integers(-9, 9, (3, 2))},
        {name: rng.integers(0, 2, shape, np.uint8) for name, shape in shapes.items()},
        {name: rng.integers(-9, 9, shape) for name, shape in shapes.items()},
        {name: rng.integers(-9, 9, shape) for name, shape in shapes.items()},
    )


def changed(quantity: str, name: str, *places: tuple[int, ...]) -> Recording:
    base = recording()
    table = {key: array.astype(np.int64) for key, array in getattr(base, quantity).items()}
    for place in places:
        table[name][place] += 1
    return replace(base, **{quantity: table})


def test_equal_recordings_are_equal_and_say_how_much_was_compared() -> None:
    result = compare(recording(), recording(), ORDER)
    assert result.equal
    assert result.first is None
    assert (result.neuron_steps, result.compared_states) == (60 + 24, 2 * (60 + 24) + 6)
    assert result.by_population == {"a": 0, "b": 0}


@pytest.mark.parametrize("quantity", ["spikes", "currents", "membranes"])
def test_the_first_difference_is_the_earliest_sample_and_step(quantity: str) -> None:
    other = changed(quantity, "a", (2, 0, 1), (1, 3, 4), (1, 2, 3), (1, 2, 4))
    result = compare(recording(), other, ORDER)
    assert not result.equal
    assert (result.differing_spikes, result.differing_states) == ((4, 0) if quantity == "spikes" else (0, 4))
    left = int(getattr(recording(), quantity)["a"][1, 2, 3])
    assert result.first == Difference(quantity, "a", 1, 2, 3, left, left + 1)
    assert result.by_population == {"a": 4, "b": 0}


def test_the_earliest_population_comes_first_even_if_a_later_one_differs_sooner() -> None:
    other = replace(
        changed("spikes", "b", (0, 0, 0)), membranes=changed("membranes", "a", (2, 3, 4)).membranes
    )
    result = compare(recording(), other, ORDER)
    assert result.first is not None
    assert (result.first.population, result.first.quantity) == ("a", "membranes")
    backwards = compare(recording(), other, ["b", "a"])
    assert backwards.first is not None
    assert backwards.first.population == "b"


def test_a_read_out_differs_after_everything_else() -> None:
    result = compare(recording(), changed("readouts", "b", (1, 1)), ORDER)
    assert result.first is not None
    assert (result.first.quantity, result.first.sample, result.first.timestep, result.first.neuron) == (
        "readouts",
        1,
        -1,
        1,
    )
    both = replace(changed("readouts", "b", (1, 1)), currents=changed("currents", "b", (1, 3, 0)).currents)
    first = compare(recording(), both, ORDER).first
    assert first is not None
    assert first.quantity == "currents"


def test_recordings_without_a_raster_in_common_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="share no raster"):
        compare(recording(), replace(recording(), spikes={}), ORDER)


def test_nothing_compared_is_not_equal() -> None:
    assert not compare(recording(), recording(), []).equal


@pytest.mark.parametrize("tile", [1, 2, 100])
def test_the_emulator_reports_its_progress_and_keeps_what_it_is_asked_to(tile: int) -> None:
    emulator, seen = Emulator(program(), threads=1), []
    emulator.tile = tile
    run = emulator.run(inputs(5), "states", ["b"], lambda done, of: seen.append((done, of)))
    done = [0, *(samples for samples, of in seen if of == 5)]
    sizes = [after - before for before, after in pairwise(done)]
    assert sum(sizes) == 5
    assert len(sizes) == len(seen) == -(-5 // tile)
    assert max(sizes) <= tile
    assert max(sizes) - min(sizes) <= 1
    assert run.spikes.keys() == run.membranes.keys() == run.currents.keys() == {"b"}
    assert run.counts.keys() == {"in", "a", "b", "h"}
    slow = reference.run(program(), inputs(5))
    assert all((slow.counts[name] == count).all() for name, count in run.counts.items())
    assert (slow.membranes["b"] == run.membranes["b"]).all()
    assert not emulator.run(inputs(5), "counts").spikes


def test_spikes_outside_the_windows_are_counted_apart() -> None:
    """With a bias that fires at every step, fill, gap and drain show."""
    first = program().populations[0]
    biased = [
        p if p.name != "a" else replace(p, bias_mantissa=np.full(5, 4095), bias_exponent=np.full(5, 3))
        for p in program().populations
    ]
    net = program(populations=tuple(biased))
    run = reference.run(net, inputs(3))
    total = net.steps(3) * first.size
    assert run.overhead_spikes is not None
    assert run.counts["a"].sum() == 3 * STEPS * first.size
    assert run.overhead_spikes["a"] == total - 3 * STEPS * first.size
