"""How far spikes travel, against a walk from core to core, spike by spike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from spikewright.export.unroll import unroll
from spikewright.hardware.chip import Chip, load_chip
from spikewright.hardware.placement import Hops, Placement, hops, place
from spikewright.hardware.placement.mesh import columns, positions
from spikewright.hardware.program import Program

from .nets import chain, chip_with, dense, spatial_programs, tiny_chips


def counts_of(program: Program) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = {e.name: e.size for e in (*program.sources, *program.populations)}
    return {name: rng.uniform(0, 4, size) for name, size in sizes.items()}


def walked(placement: Placement, counts: dict[str, np.ndarray]) -> list[float]:
    """Every spike to every core where its neuron has a synapse."""
    program, chip = placement.program, placement.chip
    home = {
        (part.population, int(n)): core.index
        for core in placement.cores
        for part in core.slices
        for n in part.neurons
    }
    per_chip, tile, rows = chip.cores.value, chip.cores_per_tile.value, chip.mesh_rows.value

    def at(core: int) -> tuple[int, int, int]:
        on, inner = divmod(core, per_chip)
        column, row = divmod(inner // tile, rows)
        wide = len({c // tile // rows for c in range(per_chip)})
        return on * wide + column, rows - 1 - row if column % 2 else row, on

    reached: set[tuple[str, int, int]] = set()
    for group in program.synapses:
        matrix = unroll(group.map).tocoo()
        for target, source in zip(matrix.row.tolist(), matrix.col.tolist(), strict=True):
            if (group.target, target) in home:
                reached.add((group.source, source, home[group.target, target]))
    sums = np.zeros(4)
    for name, neuron, core in reached:
        spikes = counts[name][neuron]
        here, there = at(home.get((name, neuron), 0)), at(core)
        sums += spikes * np.array([1, *(abs(a - b) for a, b in zip(here, there, strict=True))])
    return sums.tolist()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(spatial_programs(), tiny_chips())
def test_journeys_are_those_of_single_spikes(program: Program, chip: Chip) -> None:
    placement, counts = place(program, chip), counts_of(program)
    found = hops(placement, counts)
    assert [found.deliveries, found.east_west, found.north_south, found.between_chips] == pytest.approx(
        walked(placement, counts)
    )


def test_neighbours_in_the_data_flow_lie_next_to_each_other() -> None:
    for name in ("loihi1", "loihi2"):
        chip = load_chip(name)
        x, y, on = positions(np.arange(3 * 128), chip)
        steps = abs(np.diff(x)) + abs(np.diff(y))
        within = np.diff(on) == 0
        assert set(steps[within]) == {0, 1}
        assert (columns(chip), x.max() + 1, y.max() + 1) == (8, 24, 4)
        assert np.bincount(y * 24 + x).tolist() == [4] * 96


def test_one_core_needs_no_hops() -> None:
    program = chain(dense(4, 3), dense(2, 4))
    placement = place(program, load_chip("loihi2"))
    counts = {"in": np.full(3, 2.0), "p0": np.full(4, 1.0), "p1": np.zeros(2)}
    assert hops(placement, counts) == Hops(6 + 4, 0, 0, 0)


def test_a_spike_goes_once_to_each_core() -> None:
    program = chain(dense(1, 1), dense(30, 1))
    chip = chip_with(neurons_per_core=10, cores_per_tile=1, mesh_rows=1, cores=3, output_axons_per_core=4)
    placement = place(program, chip)
    assert placement.cores[0].slices[0].population == "p0"
    counts = {"in": np.zeros(1), "p0": np.full(1, 5.0), "p1": np.zeros(30)}
    found = hops(placement, counts)
    cores = {core.index for core in placement.cores_of["p1"]}
    assert found.deliveries == 5 * len(cores)
    assert found.east_west == 5 * sum(cores)
    assert found.between_chips == 5 * sum(core // 3 for core in cores)


def test_counts_of_another_network_are_refused() -> None:
    program = chain(dense(4, 3))
    placement, counts = place(program, load_chip("loihi2")), counts_of(program)
    with pytest.raises(ValueError, match="p0: no spike counts of it"):
        hops(placement, {"in": counts["in"]})
    with pytest.raises(ValueError, match=r"p0: mean spikes of shape \(3,\), wanted \(4,\)"):
        hops(placement, {**counts, "p0": counts["in"]})
    with pytest.raises(ValueError, match=r"shape \(1, 4\)"):
        hops(placement, {**counts, "p0": counts["p0"][None]})
