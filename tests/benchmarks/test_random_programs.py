"""Random networks are what their seed says, hold all that a program may, and compute the same in company."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from spikewright.benchmarks.batched_programs import Batch, fold, join
from spikewright.benchmarks.random_programs import WIDEST_CURRENT, Frame, Network, draw_frame, draw_network
from spikewright.hardware import reference
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.overflow import prove
from spikewright.hardware.program import check_inputs, validate
from spikewright.hardware.recording import compare

FEATURES = {
    "a gap between samples", "always-on lines", "biases", "biases from the host", "branches", "convolutions", "delays",
    "dense maps", "graded spikes", "grouped convolutions", "lags", "loops", "odd, unequal sides", "registers a neuron",
    "delayed reset", "relays", "reset by subtraction", "residuals", "several groups into a population", "strides",
    "transposed convolutions",
}  # fmt: skip


def drawn(seed: int, loops: bool, count: int, subtract: bool = True) -> tuple[Frame, list[Network]]:
    rng = np.random.default_rng(seed)
    frame = draw_frame(rng, loops=loops, samples=2, subtract=subtract, few=True)
    return frame, [draw_network(rng, frame) for _ in range(count)]


def test_networks_are_valid_and_of_every_kind() -> None:
    seen: Counter[str] = Counter()
    spikes = 0
    for seed in range(40):
        frame, networks = drawn(seed, seed % 3 == 0, 4)
        for network in networks:
            validate(network.program)
            check_inputs(network.program, network.inputs)
            assert network.program.isolated or not frame.loops or not {"loops", "lags"} & network.features
            seen.update(network.features)
            if seed % 4 == 0:
                worst = max(
                    int(p.by_weights.current.magnitude.max()) for p in prove(network.program).populations
                )
                assert worst <= WIDEST_CURRENT
                spikes += sum(
                    int(c.sum()) for c in Emulator(network.program).run(network.inputs).counts.values()
                )
    assert set(seen) == FEATURES
    assert min(seen.values()) >= 5, seen
    assert spikes > 1000


def test_a_seed_draws_the_same_networks_again() -> None:
    (_, first), (_, second), (_, other) = (drawn(seed, True, 3) for seed in (1, 1, 2))
    for a, b in zip(first, second, strict=True):
        assert a.features == b.features
        for p, q in zip(a.program.populations, b.program.populations, strict=True):
            assert (p.name, p.shape, p.start) == (q.name, q.shape, q.start)
            assert (p.threshold == q.threshold).all()
        for g, h in zip(a.program.synapses, b.program.synapses, strict=True):
            assert (g.name, g.exponent, g.delay, g.lag) == (h.name, h.exponent, h.delay, h.lag)
            assert (g.map.weight == h.map.weight).all()
    assert [p.shape for n in first for p in n.program.populations] != [
        p.shape for n in other for p in n.program.populations
    ]


@pytest.mark.parametrize("loops", [False, True])
@pytest.mark.parametrize("combine", [join, fold])
def test_networks_compute_in_company_what_they_do_alone(
    combine: Callable[[Sequence[Network], Frame], Batch], loops: bool
) -> None:
    for seed in range(3):
        frame, networks = drawn(seed, loops, 12)
        batch = combine(networks, frame)
        validate(batch.program)
        together = Emulator(batch.program).run(batch.inputs, detail="states")
        for index, network in enumerate(networks):
            alone = reference.run(network.program, network.inputs)
            part = batch.part(together, index)
            names = [p.name for p in network.program.populations]
            assert set(names) == part.spikes.keys() == part.membranes.keys()
            result = compare(alone, part, names)
            assert result.equal, result.first
            assert all((part.counts[name] == alone.counts[name]).all() for name in names)


def test_folding_saves_populations() -> None:
    frame, networks = drawn(4, False, 30, subtract=False)
    folded, joined = fold(networks, frame).program, join(networks, frame).program
    assert sum(p.size for p in folded.populations) == sum(p.size for p in joined.populations)
    assert 4 * len(folded.populations) < len(joined.populations)
    assert 2 * len(folded.synapses) < len(joined.synapses)
