"""What a placement records is what an independent count finds, and no limit is exceeded, whatever the program and chip."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikewright.export.linear import Conv2d, ConvTranspose2d
from spikewright.export.unroll import unroll
from spikewright.hardware import fit as rules
from spikewright.hardware.chip import Chip, load_chip
from spikewright.hardware.placement import Core, Placement, Slice, capacities, place, validate
from spikewright.hardware.placement import limits as names
from spikewright.hardware.placement.layout import flat_indices
from spikewright.hardware.program import Inputs, Program, SpikeSource, SynapseGroup
from tests.programs import programs

from .nets import chain, chip_with, dense, population, spatial_programs, tiny_chips

thorough = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def check(program: Program, chip: Chip, weight_bits: int | None = None) -> Placement:
    placement = place(program, chip, weight_bits=weight_bits)
    left_out = {f.node: f for f in placement.findings if f.severity == "error"}
    for finding in validate(placement):
        # Only what the placement itself says may be wrong.
        assert finding.rule == "coverage" or "takes" in finding.detail, finding
        assert left_out, finding
        if finding.rule == "coverage":
            assert finding.node in left_out
    if placement.complete:
        assert len(placement.cores) >= rules.lower_bound(rules.demands(program, chip), chip) or weight_bits
        assert {name for name, cores in placement.cores_of.items() if cores} == {
            p.name for p in program.populations
        }
    for finding in left_out.values():
        _really_too_large(placement, finding.node, finding.rule, finding.detail)
    return placement


def _really_too_large(placement: Placement, name: str, limit: str, detail: str) -> None:
    """The neuron that a finding names, alone in a core, breaks the limit by the numbers that the finding quotes."""
    quoted = re.match(r"neuron (\d+) alone takes ([\d,]+) .*has ([\d,]+)$", detail)
    if quoted is None:
        assert "smaller parts reach more cores" in detail
        return
    neuron, used, most = (int(text.replace(",", "")) for text in quoted.groups())
    size = placement.program.population(name).size
    conv = [g.map for g in placement.program.inputs_of(name) if isinstance(g.map, Conv2d | ConvTranspose2d)]
    grid = conv[0].output_shape if conv else (size,)
    at = np.unravel_index(neuron, grid)
    alone = Slice(name, grid, tuple((int(i), int(i) + 1) for i in at))
    core = Core(len(placement.cores), (alone,), {}, capacities(placement.chip))
    said = [
        f.detail
        for f in validate(replace(placement, cores=(*placement.cores, core)))
        if f.node == f"core {core.index}"
    ]
    assert f"takes {used} of {most}" in said, (said, detail)
    assert capacities(placement.chip)[limit] == most


@thorough
@given(programs(), tiny_chips())
def test_any_program_on_any_chip(case: tuple[Program, Inputs], chip: Chip) -> None:
    check(case[0], chip)


@thorough
@given(spatial_programs(), tiny_chips(), st.sampled_from([None, None, 4, 7]))
def test_convolutions_branches_and_loops(program: Program, chip: Chip, weight_bits: int | None) -> None:
    check(program, chip, weight_bits)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(spatial_programs(), st.sampled_from(["loihi1", "loihi2"]))
def test_small_programs_share_few_cores_of_a_real_chip(program: Program, name: str) -> None:
    chip = load_chip(name)
    placement = check(program, chip)
    assert placement.complete
    assert len(placement.cores) <= 2 * rules.lower_bound(rules.demands(program, chip), chip) + 1


def test_accounting_of_a_dense_layer_by_hand() -> None:
    """100 neurons that each hear 50 lines, 8-bit weights, on the first generation."""
    placement = check(chain(dense(100, 50)), load_chip("loihi1"))
    (core,) = placement.cores
    # A dense list of 100 weights: a block of 64 (522 bits, 9 words) and one of 36 (298 bits, 5 words).
    assert core.use == {
        names.NEURONS: 100, names.MEMORY: 50 * 14, names.INPUT_AXONS: 50, names.OUTPUT_AXONS: 0,
        names.THRESHOLDS: 1, names.SETTINGS: 1, names.FORMATS: 1, names.DELAYS: 100,
    }  # fmt: skip
    assert core.binding == names.THRESHOLDS


@pytest.mark.parametrize(("fan_out", "units"), [(64, 16), (50, 13), (10, 3), (1, 1)])
def test_dense_cost_observed_on_loihi2(fan_out: int, units: int) -> None:
    (core,) = check(chain(dense(fan_out, 7)), load_chip("loihi2")).cores
    assert core.use[names.MEMORY] == 7 * units


def test_a_sparse_list_carries_indices_where_that_is_cheaper() -> None:
    weight = np.zeros((100, 1), np.int8)
    weight[3] = 5
    program = chain(replace(dense(100, 1), weight=weight))
    (core,) = check(program, load_chip("loihi1")).cores
    assert core.use[names.MEMORY] == 1  # 4 bits of weight, 7 of index and a header


def test_a_kernel_is_stored_once_a_core_where_shared() -> None:
    conv = Conv2d(np.full((4, 2, 3, 3), 9, np.int8), (2, 20, 20), (1, 1), (1, 1))
    shared, unrolled = (
        check(chain(conv), chip_with("loihi2", shared_kernels=flag)).cores[0].use[names.MEMORY]
        for flag in (True, False)
    )
    assert shared == 2 * -(-36 * 5 // 32)  # two input channels, 36 weights of 5 bits each
    assert unrolled > 100 * shared


def test_a_dense_population_is_cut_into_the_fewest_ranges() -> None:
    placement = check(chain(dense(1000, 4)), chip_with(neurons_per_core=300))
    assert sorted(c.use[names.NEURONS] for c in placement.cores) == [100, 300, 300, 300]


def test_tiles_keep_input_axons_low() -> None:
    """Rows of a wide image, not channels, are cut: a tile's inputs are its neighbourhood."""
    conv = Conv2d(np.ones((8, 8, 3, 3), np.int8), (8, 64, 32), (1, 1), (1, 1))
    chip = chip_with("loihi2", neurons_per_core=2048, input_axons_per_core=4096)
    placement = check(chain(conv), chip)
    assert len(placement.cores) == 8
    assert max(c.use[names.INPUT_AXONS] for c in placement.cores) <= 8 * 18 * 18


def test_small_populations_share_a_core_and_its_input_axons() -> None:
    program = chain(dense(20, 30), dense(10, 20), dense(10, 10))
    twin = SynapseGroup("in-p2", "in", "p2", dense(10, 30), 0, 2)
    program = replace(program, synapses=(*program.synapses, twin))
    for name in ("loihi1", "loihi2"):
        (core,) = check(program, load_chip(name)).cores
        assert (
            core.use[names.INPUT_AXONS] == 30 + 20 + 10
        )  # the 30 lines reach two populations and have one axon each
        assert core.use[names.OUTPUT_AXONS] == 20 + 10


def test_two_groups_of_a_wider_weight_share_their_input_axons() -> None:
    conv = Conv2d(np.ones((4, 8, 3, 3), np.int8), (8, 40, 40), (1, 1), (1, 1))
    program = chain(conv)
    twice = replace(program, synapses=(*program.synapses, SynapseGroup("low", "in", "p0", conv, 1)))
    chip = chip_with("loihi2", input_axons_per_core=1600)
    once, both = (check(p, chip).cores for p in (program, twice))
    assert len(once) == len(both)
    assert [c.use[names.INPUT_AXONS] for c in once] == [c.use[names.INPUT_AXONS] for c in both]


def test_groups_limit_the_populations_of_a_core() -> None:
    program = chain(*(dense(4, 4) for _ in range(20)))
    assert [len(c.slices) for c in check(program, load_chip("loihi2")).cores] == [4, 8, 8]


def test_output_axons_cut_a_population_that_many_cores_hear() -> None:
    program = chain(dense(40, 2), dense(50, 40))
    placement = check(
        program, chip_with(neurons_per_core=40, output_axons_per_core=30, neuron_groups_per_core=1)
    )
    assert len(placement.cores_of["p1"]) == 2
    assert [c.use[names.OUTPUT_AXONS] for c in placement.cores_of["p0"]] == [30, 30, 20]


def test_a_population_that_feeds_itself() -> None:
    loop = SynapseGroup("loop", "p0", "p0", dense(40, 40), 0)
    program = chain(dense(40, 2))
    program = replace(program, synapses=(*program.synapses, loop))
    placement = check(program, chip_with(neurons_per_core=20, output_axons_per_core=40))
    assert [c.use[names.OUTPUT_AXONS] for c in placement.cores] == [40, 40]
    # However it is cut, n neurons that hear each other take n output axons a core.
    stuck = place(program, chip_with(neurons_per_core=20, output_axons_per_core=39))
    assert not stuck.complete
    assert {f.rule for f in stuck.findings} == {names.OUTPUT_AXONS}


def test_a_neuron_onto_itself_reaches_the_core_that_it_is_in() -> None:
    """Five cores of the next population, and its own: six where four are allowed, and the finding says six."""
    program = chain(dense(1, 1), dense(5, 1))
    loop = SynapseGroup("loop", "p0", "p0", dense(1, 1), 0, 0, 1)
    program = replace(program, synapses=(*program.synapses, loop))
    placement = check(program, chip_with(neurons_per_core=1, output_axons_per_core=4))
    (finding,) = placement.findings
    assert finding.detail.startswith("neuron 0 alone takes 6 ")


def test_thresholds_of_their_own_cost_cores_and_a_note_says_so() -> None:
    program = chain(dense(32, 4))
    program = replace(program, populations=(population("p0", (32,), threshold=np.arange(32) + 1),))
    placement = check(program, load_chip("loihi1"))
    assert len(placement.cores) == 4
    assert placement.complete
    (note,) = placement.findings
    assert (note.severity, note.node, note.remedy) == ("note", "p0", "quantise with one scale a layer")
    assert len(check(program, load_chip("loihi2")).cores) == 1


@pytest.mark.parametrize(
    ("limit", "program", "chip"),
    [
        (names.INPUT_AXONS, lambda: chain(dense(3, 50)), chip_with(input_axons_per_core=49)),
        (names.MEMORY, lambda: chain(dense(3, 50)), chip_with(synapse_words_per_core=40)),
        (names.DELAYS, lambda: _delayed(), chip_with(delay_slots_per_core=3)),
        (names.OUTPUT_AXONS, lambda: chain(dense(3, 5), dense(60, 3)), chip_with(neurons_per_core=10, output_axons_per_core=5)),
    ],
)  # fmt: skip
def test_a_neuron_that_exceeds_a_core_is_named_with_its_numbers(
    limit: str, program: Callable[[], Program], chip: Chip
) -> None:
    placement = check(program(), chip)
    (finding,) = placement.findings
    assert (finding.severity, finding.node, finding.rule) == ("error", "p0", limit)
    assert re.search(r"neuron 0 alone takes \d+ ", finding.detail)
    assert finding.remedy
    assert not placement.fits(1000)


def _delayed() -> Program:
    program = chain(dense(3, 5))
    return replace(program, synapses=(replace(program.synapses[0], delay=3),))


def test_more_than_one_chip() -> None:
    placement = check(chain(dense(1000, 4)), chip_with(neurons_per_core=10, cores=32))
    assert (len(placement.cores), placement.chips) == (100, 4)
    assert [placement.chip_of(c) for c in placement.cores] == [i // 32 for i in range(100)]
    assert placement.fits(4)
    assert not placement.fits(3)


def test_a_population_that_nobody_feeds_and_one_of_zero_weights() -> None:
    program = replace(
        chain(dense(5, 4, 0)), populations=(population("p0", (5,)), population("alone", (3,), 0))
    )
    (core,) = check(program, load_chip("loihi1")).cores
    assert core.use[names.NEURONS] == 8
    assert core.use[names.MEMORY] == core.use[names.INPUT_AXONS] == core.use[names.FORMATS] == 0


def test_one_neuron() -> None:
    program = replace(chain(dense(1, 1)), sources=(), synapses=())
    (core,) = check(program, load_chip("loihi2")).cores
    assert core.slices == (Slice("p0", (1,), ((0, 1),)),)


def test_a_line_that_is_always_on_takes_one_axon_a_core() -> None:
    program = chain(dense(60, 7))
    on = SynapseGroup("on-p0", "on", "p0", dense(60, 1), 0)
    program = replace(
        program, sources=(*program.sources, SpikeSource("on", (1,))), synapses=(*program.synapses, on)
    )
    placement = check(program, chip_with(neurons_per_core=20))
    assert [c.use[names.INPUT_AXONS] for c in placement.cores] == [8, 8, 8]


def test_fewer_bits_take_less_memory_and_change_no_weight() -> None:
    program = chain(dense(64, 64))
    words = [check(program, load_chip("loihi1"), bits).cores[0].use[names.MEMORY] for bits in (None, 7, 6, 4)]
    assert words[0] == words[1] > words[2] > words[3]  # 7 bits are no width of this chip


def test_the_same_program_is_placed_alike() -> None:
    conv = Conv2d(np.ones((4, 2, 3, 3), np.int8), (2, 9, 7))
    first, second = (
        place(chain(conv, dense(5, 4 * 7 * 5)), chip_with(neurons_per_core=20)) for _ in range(2)
    )
    assert first.cores == second.cores


# The validator


def tampered(placement: Placement, at: int, **fields: object) -> list[str]:
    cores = list(placement.cores)
    cores[at] = replace(cores[at], **fields)  # type: ignore[arg-type]
    return [f"{f.rule}: {f.detail}" for f in validate(replace(placement, cores=tuple(cores)))]


@pytest.fixture
def placed() -> Placement:
    conv = Conv2d(np.arange(1, 73, dtype=np.int8).reshape(4, 2, 3, 3), (2, 9, 7))
    return place(chain(conv, dense(5, 4 * 7 * 5)), chip_with(neurons_per_core=40))


def test_a_lost_neuron_is_found(placed: Placement) -> None:
    first = placed.cores[0]
    (low, high), *rest = first.slices[0].bounds
    shorter = replace(first.slices[0], bounds=((low, high - 1), *rest))
    found = tampered(placed, 0, slices=(shorter, *first.slices[1:]))
    assert any("lies in 0" in text for text in found)
    assert any(text.startswith("neurons: records") for text in found)
    assert any("lies in 0" in text for text in tampered(placed, 0, slices=first.slices[:-1]))


def test_a_neuron_in_two_cores_is_found(placed: Placement) -> None:
    both = (*placed.cores[0].slices, placed.cores[1].slices[0])
    assert any("lies in 2" in text for text in tampered(placed, 0, slices=both))


def test_a_moved_neuron_is_found(placed: Placement) -> None:
    first, second = placed.cores[:2]
    part = first.slices[0]
    (low, high), *rest = part.bounds
    kept, moved = (replace(part, bounds=(ends, *rest)) for ends in ((low, high - 1), (high - 1, high)))
    cores = (
        replace(first, slices=(kept,)),
        replace(second, slices=(*second.slices, moved)),
        *placed.cores[2:],
    )
    found = validate(replace(placed, cores=cores))
    assert {f.node for f in found} >= {"core 0", "core 1"}
    assert all("records" in f.detail for f in found if f.rule != names.NEURONS)
    # The same with corrected numbers of neurons is still found by what the neurons take.
    fixed = tuple(replace(c, use={**c.use, names.NEURONS: sum(s.size for s in c.slices)}) for c in cores)
    assert any(f.rule == names.INPUT_AXONS for f in validate(replace(placed, cores=fixed)))


@pytest.mark.parametrize("limit", [names.NEURONS, names.MEMORY, names.INPUT_AXONS, names.OUTPUT_AXONS, names.THRESHOLDS, names.SETTINGS, names.FORMATS, names.DELAYS])  # fmt: skip
@pytest.mark.parametrize("by", [-1, 1])
def test_a_wrong_use_is_found(placed: Placement, limit: str, by: int) -> None:
    use = {**placed.cores[0].use, limit: placed.cores[0].use[limit] + by}
    assert tampered(placed, 0, use=use) == [
        f"{limit}: records {use[limit]}, holds {placed.cores[0].use[limit]}"
    ]


def test_an_exceeded_limit_is_found(placed: Placement) -> None:
    small = replace(placed, chip=chip_with(neurons_per_core=40, input_axons_per_core=10))
    assert {f.rule for f in validate(small)} == {names.INPUT_AXONS}


def test_slices_of_something_else_are_found(placed: Placement) -> None:
    for wrong in (
        Slice("p7", (4, 7, 5), ((0, 1), (0, 1), (0, 1))),
        Slice("p0", (4, 7, 6), ((0, 1), (0, 1), (0, 1))),
        Slice("p0", (4, 7, 5), ((0, 1), (0, 1), (0, 6))),
        Slice("p0", (4, 7, 5), ((0, 1), (0, 1))),
        Slice("p0", (4, 7, 5), ((0, 1), (0, 1), (2, 2))),
    ):
        assert any("is no part of a population" in text for text in tampered(placed, 0, slices=(wrong,)))
    assert any("stands at position" in text for text in tampered(placed, 0, index=1))


def test_a_slice_says_which_neurons_it_holds() -> None:
    part = Slice("p", (3, 4, 5), ((1, 3), (0, 2), (4, 5)))
    expected = np.arange(60).reshape(3, 4, 5)[1:3, 0:2, 4:5].ravel()
    np.testing.assert_array_equal(part.neurons, expected)
    assert (part.size, str(part)) == (4, "p[1:3, 0:2, 4:5]")
    np.testing.assert_array_equal(flat_indices((7,), ((2, 5),)), [2, 3, 4])


def test_large_maps_are_checked_without_unrolling(monkeypatch: pytest.MonkeyPatch, placed: Placement) -> None:
    from spikewright.hardware.placement import entries

    whole = validate(placed)
    monkeypatch.setattr(entries, "SMALL", 0)
    monkeypatch.setattr(entries, "CHUNK", 7)
    assert validate(placed) == whole == []


@thorough
@given(spatial_programs())
def test_listed_synapses_are_those_of_the_matrix(program: Program) -> None:
    from spikewright.hardware.placement.entries import Synapses, _listed

    for group in program.synapses:
        neurons = np.arange(program.population(group.target).size)
        columns, cells = _listed(group.map, neurons)
        (unrolled,) = Synapses(group.map).into(neurons)
        assert sorted(zip(columns, cells, strict=True)) == sorted(zip(*unrolled, strict=True))
        assert len(columns) == unroll(group.map).nnz
