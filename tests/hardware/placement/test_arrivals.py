"""Boxes that meet their inputs alike are counted once: what is found for one is what its own synapses say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikewright.export.linear import Conv2d, ConvTranspose2d, Dense, LinearMap
from spikewright.export.unroll import unroll
from spikewright.hardware.chip import load_chip
from spikewright.hardware.placement.demand import Demand
from spikewright.hardware.placement.layout import Bounds, flat_indices
from spikewright.hardware.program import Program, SpikeSource, SynapseGroup

from .nets import population


@st.composite
def branching(draw: st.DrawFn) -> Program:
    """One population that hears a source through kernels of two sizes, a coarser one, and now and then a dense one."""
    rows, columns = 2 * draw(st.integers(3, 6)), 2 * draw(st.integers(3, 6))
    channels, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    full = draw(st.booleans())

    def weight(*shape: int) -> np.ndarray:
        found = rng.integers(-3, 4, shape)
        return np.where(found == 0, 1, found) if full else found

    image, coarse = (channels, rows, columns), (channels, rows // 2, columns // 2)
    maps: list[tuple[str, LinearMap]] = [
        ("a", Conv2d(weight(outputs, channels, 3, 3), image, (1, 1), (1, 1))),
        ("a", Conv2d(weight(outputs, channels, 1, 1), image)),
        ("b", ConvTranspose2d(weight(channels, outputs, 4, 4), coarse, (2, 2), (1, 1))),
    ]
    if draw(st.booleans()):
        maps.append(("a", Conv2d(weight(outputs, channels, 1, 5), image, (1, 1), (0, 2))))
    if draw(st.booleans()):
        size = outputs * rows * columns
        maps.append(("a", Dense(weight(size, channels * rows * columns), image, (outputs, rows, columns))))
    return Program(
        "branching", 4, 4, (SpikeSource("a", image), SpikeSource("b", coarse)),
        (population("p", (outputs, rows, columns)),),
        tuple(SynapseGroup(f"g{i}", source, "p", map_, 0) for i, (source, map_) in enumerate(maps)),
    )  # fmt: skip


def cuts(side: int, parts: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Ranges that hold a side, some of them as long as each other."""
    inner = sorted({int(at) for at in rng.integers(1, side, parts)} if side > 1 else set())
    return [*pairwise([0, *inner, side]), *((at, at + 1) for at in range(side))]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(branching(), st.sampled_from(["loihi1", "loihi2"]), st.integers(0, 999))
def test_a_box_takes_what_its_own_synapses_take(program: Program, name: str, seed: int) -> None:
    (target,), chip = program.populations, load_chip(name)
    rng, nowhere = np.random.default_rng(seed), np.zeros(target.size, np.int64)
    demand = Demand(program, target, chip, None, nowhere)
    matrices = {
        s.name: sum(abs(unroll(g.map)) for g in program.synapses if g.source == s.name)
        for s in program.sources
    }
    sides = [cuts(side, 2, rng) for side in target.shape]
    for _ in range(60):
        box: Bounds = tuple(ranges[rng.integers(len(ranges))] for ranges in sides)
        rows = flat_indices(target.shape, box)
        met = {source: np.unique(matrix[rows].indices) for source, matrix in matrices.items()}
        for source, wanted in met.items():
            found = demand.met(box, source)
            np.testing.assert_array_equal([] if found is None else np.sort(found.indices()), wanted)
        taken = demand.take(box)
        assert taken.input_axons == sum(map(len, met.values()))
        assert taken == Demand(program, target, chip, None, nowhere).take(box)
