"""The quantiser's promises on random graphs, checked from the registers back."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikewright.export.calibration import Calibration
from spikewright.export.errors import ExportError
from spikewright.export.float_run import run_float
from spikewright.export.formats import BIAS_MAX, bias_value, weight_unit
from spikewright.export.graph import LI, LIF, Graph, IntegerNeuron, Synapses
from spikewright.export.levels import check
from spikewright.export.linear import Dense, expand_channels
from spikewright.export.quantise import quantise
from spikewright.export.unroll import unroll
from spikewright.hardware import host, reference
from spikewright.hardware.compile import compile_program
from spikewright.hardware.program import Inputs
from tests.export.graphs import BETAS, calibrated, chain, float_graphs

Case = tuple[Graph, NDArray[np.float32]]
random_graphs = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
NOTHING = Calibration({}, {})


def populations(integer: Graph) -> list[tuple[str, IntegerNeuron, dict[str, Synapses]]]:
    found = []
    for name in integer.select(IntegerNeuron):
        node = integer.nodes[name]
        assert isinstance(node, IntegerNeuron)
        found.append(
            (name, node, {s: g for s in integer.sources(name) if isinstance(g := integer.nodes[s], Synapses)})
        )
    return found


def uneven_thresholds(graph: Graph) -> bool:
    return any(isinstance(n, LIF) and np.ptp(n.threshold) > 0 for n in graph.nodes.values())


@random_graphs
@given(float_graphs(), st.integers(2, 8), st.booleans())
def test_registers_are_legal_thresholds_exact_and_weights_within_their_bits(
    case: Case, bits: int, per_channel: bool
) -> None:
    graph, _ = case
    assume(per_channel or not uneven_thresholds(graph))
    integer = quantise(graph, calibrated(*case), bits=bits, per_channel=per_channel)
    assert check(integer, "integer") == []
    assert integer.settings.weight_bits == bits
    for name, node, groups in populations(integer):
        if isinstance(node.origin, LIF):
            exact = node.scale * node.origin.threshold.astype(np.float64) / 64
            assert (np.abs(exact - node.threshold) < 1e-9 * exact).all(), name
            assert (node.threshold >= 1).all()
        assert (node.membrane_decay == np.minimum(np.rint(4096 * (1 - node.origin.beta)), 4095)).all()
        assert (node.current_decay == 4095).all()
        if not per_channel:
            assert np.ptp(node.scale) == 0, name
        for s, group in groups.items():
            if node.static:
                assert group is graph.nodes[s]  # the host computes it in floats
                continue
            assert group.bias is None
            assert np.abs(group.map.weight.astype(int)).max() < 1 << (bits - 1)
            spread = node.scale.reshape(group.map.channels, -1) if per_channel else node.scale[None]
            assert (np.ptp(spread, axis=1) == 0).all(), "one scale a channel of every group"


def _moved_bias(
    graph: Graph, name: str, node: IntegerNeuron, groups: dict[str, Synapses], rates: dict[str, NDArray]
) -> NDArray:
    """The bias that keeps each neuron's mean input at the calibrated rates, from the matrices."""
    wanted = np.zeros(node.scale.size)
    for s, group in groups.items():
        source = graph.nodes[s]
        assert isinstance(source, Synapses)
        assert group.exponent is not None
        if source.bias is not None:
            wanted += expand_channels(source.bias.astype(np.float64), node.shape)
        rate = rates.get(graph.sources(s)[0])
        if rate is not None:
            back = unroll(group.map).toarray() * (weight_unit(group.exponent) / node.scale)[:, None]
            wanted -= (back - unroll(source.map).toarray()) @ (rate + 1e-3)
    return wanted


@random_graphs
@given(st.integers(0, 2**32 - 1), st.integers(2, 8), st.booleans(), st.booleans())
def test_a_bias_is_within_half_a_step_of_its_float_with_the_mean_error_of_the_weights_taken_off(
    seed: int, bits: int, per_channel: bool, known: bool
) -> None:
    rng = np.random.default_rng(seed)
    graph = chain(rng, [5, 8, 6, 4], readout=bool(seed % 2))
    rates = {name: rng.random(n) for name, n in (("n0", 8), ("n1", 6))} if known else {}
    integer = quantise(graph, Calibration(rates, {}), bits=bits, per_channel=per_channel)
    for name, node, groups in populations(integer):
        wanted = node.scale * _moved_bias(graph, name, node, groups, rates)
        value = bias_value(node.bias_mantissa, node.bias_exponent)
        assert (np.abs(value - wanted) <= (1 << node.bias_exponent) / 2 + 0.5 + 1e-6 * np.abs(wanted)).all()


def worst_states(node: IntegerNeuron, groups: dict[str, Synapses], timesteps: int) -> tuple[int, int]:
    """Largest current and membrane in any neuron whatever spikes arrive, in integers, without a reset."""
    largest_current = largest = 0
    matrices = [
        (unroll(g.map).toarray().astype(int), int(weight_unit(g.exponent or 0))) for g in groups.values()
    ]
    bias = bias_value(node.bias_mantissa, node.bias_exponent)
    for sign in (1, -1):
        current = sum(np.maximum(sign * m, 0).sum(1) * unit for m, unit in matrices)
        membrane = np.zeros_like(bias)
        for _ in range(timesteps):
            membrane = (
                np.sign(membrane) * ((np.abs(membrane) * (4096 - node.membrane_decay)) >> 12)
                + current
                + sign * bias
            )
        largest_current = max(largest_current, int(np.max(current)))
        largest = max(largest, int(np.abs(membrane).max()))
    return largest_current, largest


@random_graphs
@given(float_graphs(), st.integers(2, 8), st.booleans())
def test_no_spikes_whatever_can_drive_a_state_out_of_24_bits(
    case: Case, bits: int, per_channel: bool
) -> None:
    assume(per_channel or not uneven_thresholds(case[0]))
    integer = quantise(case[0], calibrated(*case), bits=bits, per_channel=per_channel)
    for name, node, groups in populations(integer):
        if not node.static:
            current, membrane = worst_states(node, groups, integer.settings.timesteps)
            assert current < 1 << 23, name
            assert membrane < 1 << 23, name


@pytest.mark.parametrize("timesteps", [1, 2, 4, 50])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("beta", [0.5, 0.99995, 1.0])
@pytest.mark.parametrize("readout", [True, False])
def test_a_wide_layer_of_all_ones_neither_wraps_nor_saturates(
    timesteps: int, sign: int, beta: float, readout: bool
) -> None:
    """2,000 equal weights that all round up, a decay that rounds to none: the bound must hold after that."""
    rng = np.random.default_rng(0)
    graph = chain(rng, [2000, 2], beta=beta, timesteps=timesteps, readout=readout)
    graph = graph.with_node("fc0", Synapses(Dense(np.full((2, 2000), sign, np.float32), (2000,), (2,)), None))
    if not readout:
        graph = graph.with_node("n0", LIF((2,), beta, np.array([100], np.float32)))
    integer = quantise(graph, NOTHING)
    program = compile_program(integer)
    recording = reference.run(program, Inputs({"input": np.ones((1, timesteps, 2000), np.uint8)}))
    current, membrane = recording.currents["n0"], recording.membranes["n0"]
    assert (np.sign(current) == sign).all()
    assert np.abs(current).max() < (1 << 23) - 1
    assert np.abs(membrane).max() < (1 << 23) - 1
    if readout:
        assert not recording.spikes["n0"].any()
        gain = timesteps if beta > 0.9 else 2 - 2.0 ** (1 - timesteps)
        scale = program.population("n0").scale
        half_a_weight = weight_unit(program.synapses[0].exponent) / scale / 2
        off = np.abs(recording.readouts["n0"] / scale - sign * 2000 * gain)
        assert (off <= 2000 * gain * half_a_weight * 1.01).all()


@random_graphs
@given(
    st.integers(0, 2**32 - 1), st.integers(2, 8), st.integers(1, 12), st.sampled_from(BETAS), st.integers(1, 400),
    st.booleans(),
)  # fmt: skip
def test_a_scale_is_always_found_where_the_state_is_what_limits_it(
    seed: int, bits: int, timesteps: int, beta: float, width: int, equal: bool
) -> None:
    """Few bits, wide layers, no threshold to snap to: whether weights round up depends on the scale itself."""
    rng = np.random.default_rng(seed)
    graph = chain(rng, [width, 3], beta=beta, timesteps=timesteps, readout=True)
    if equal:
        node = graph.nodes["fc0"]
        assert isinstance(node, Synapses)
        graph = graph.with_node(
            "fc0", replace(node, map=replace(node.map, weight=np.ones((3, width), np.float32)))
        )
    integer = quantise(graph, Calibration({"input": rng.random(width)}, {}), bits=bits)
    ((_, node, groups),) = populations(integer)
    assert max(worst_states(node, groups, timesteps)) < 1 << 23


def test_all_ones_through_a_whole_network_keep_every_state_in_range() -> None:
    for seed in range(5):
        graph = chain(
            np.random.default_rng(seed), [40, 30, 20, 5], beta=0.97, timesteps=30, readout=True, gain=6
        )
        program = compile_program(quantise(graph, NOTHING))
        recording = reference.run(program, Inputs({"input": np.ones((2, 30, 40), np.uint8)}))
        assert max(int(np.abs(s).max()) for s in recording.membranes.values()) < (1 << 23) - 1
        assert max(int(np.abs(s).max()) for s in recording.currents.values()) < 1 << 23


def from_registers(integer: Graph) -> Graph:
    """The float network that the registers stand for."""
    nodes = dict(integer.nodes)
    for name, node, groups in populations(integer):
        if node.static:
            nodes[name] = replace(node.origin, static=True)
            continue
        bias = bias_value(node.bias_mantissa, node.bias_exponent) / node.scale
        for s, group in groups.items():
            assert group.exponent is not None
            matrix = unroll(group.map).toarray() * (weight_unit(group.exponent) / node.scale)[:, None]
            map_ = Dense(matrix.astype(np.float32), group.map.input_shape, group.map.output_shape)
            nodes[s] = Synapses(map_, bias.astype(np.float32))
            bias = bias * 0
        beta = 1 - node.membrane_decay / 4096
        nodes[name] = LI(node.shape, beta) if node.readout else replace(node.origin, beta=beta)
    return replace(integer, nodes=nodes, settings=replace(integer.settings, weight_bits=None))


def integer_run(
    integer: Graph, samples: NDArray[np.float32]
) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    program = compile_program(integer)
    inputs, clipped = host.encode(program, samples)
    assert clipped == 0
    recording = reference.run(program, inputs)
    scale = {p.name: p.scale for p in program.populations}
    return recording.spikes, {name: v / scale[name] for name, v in recording.readouts.items()}


def rounding(integer: Graph, name: str, static_peak: float) -> NDArray[np.float64]:
    """What rounding alone can move a membrane by, in float units, over all steps.

    A step truncates current and membrane by less than one each (an error of a current stays in every later step), the sum
    of a group shifted right by less than 64, and a current that the host quantises is off by 2^-12 of itself.
    """
    steps, node = integer.settings.timesteps, integer.nodes[name]
    assert isinstance(node, IntegerNeuron)
    groups = [g for s in integer.sources(name) if isinstance(g := integer.nodes[s], Synapses)]
    shifted = sum(g.exponent is not None and g.exponent < -1 for g in groups)
    integers = steps * (steps + 1) / 2 + steps * (1 + 64 * shifted)
    return integers / node.scale + steps * (
        2**-12 * static_peak + 1e-5 * np.abs(node.threshold) * 64 / node.scale
    )


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(float_graphs(), st.integers(3, 8), st.booleans())
def test_integers_run_as_the_floats_they_stand_for(case: Case, bits: int, per_channel: bool) -> None:
    assume(per_channel or not uneven_thresholds(case[0]))
    integer = quantise(case[0], calibrated(*case), bits=bits, per_channel=per_channel)
    spikes, readouts = integer_run(integer, case[1])
    floats = from_registers(integer)
    run = run_float(floats, case[1], states=True)
    tolerance = {name: rounding(integer, name, run.static_peak.get(name, 0.0)) for name in run.membranes}
    differing = False
    for sample in range(len(case[1])):
        parted = [
            (int(unequal.any(1).argmax()), order, name, unequal)
            for order, (name, raster) in enumerate(run.spikes.items())
            if (unequal := spikes[name][sample] != raster[sample]).any()
        ]
        if parted:
            # What comes after the first difference follows from it.
            differing = True
            t, _, name, unequal = min(parted, key=lambda found: found[:2])
            node = floats.nodes[name]
            assert isinstance(node, LIF)
            margin = abs(run.membranes[name][sample, t] - node.threshold)
            assert (margin <= tolerance[name])[unequal[t]].all(), (name, t, margin, tolerance[name])
    if not differing:
        for name, membrane in run.readouts.items():
            assert np.allclose(readouts[name], membrane, atol=0.01 * max(1.0, float(np.abs(membrane).max())))


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("beta", [0.25, 0.9, 1.0])
def test_eight_bits_keep_more_than_97_of_100_spikes(beta: float, per_channel: bool) -> None:
    agreement = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        graph = chain(rng, [20, 40, 30, 10], beta=beta, timesteps=20)
        samples = (rng.random((12, 20, 20)) < 0.3).astype(np.float32)
        spikes, _ = integer_run(quantise(graph, calibrated(graph, samples), per_channel=per_channel), samples)
        run = run_float(graph, samples)
        assert all(0.1 < raster.mean() < 0.6 for raster in run.spikes.values())
        agreement.append(np.mean([(spikes[name] == raster).mean() for name, raster in run.spikes.items()]))
    assert np.mean(agreement) > 0.97


def test_more_bits_are_never_much_worse() -> None:
    rng = np.random.default_rng(3)
    graph = chain(rng, [20, 40, 30, 10], beta=0.9, timesteps=20)
    samples = (rng.random((12, 20, 20)) < 0.3).astype(np.float32)
    run, errors = run_float(graph, samples), []
    for bits in range(2, 9):
        spikes, _ = integer_run(quantise(graph, calibrated(graph, samples), bits=bits), samples)
        errors.append(np.mean([(spikes[name] != raster).mean() for name, raster in run.spikes.items()]))
    assert errors[-1] < 0.03
    assert all(fine <= 1.3 * coarse for coarse, fine in pairwise(errors)), errors


def _edited(
    weight: float | None = None, bias: float | None = None, threshold: float | None = None, **of: bool
) -> Graph:
    graph = chain(np.random.default_rng(0), [6, 5, 4], readout=of.get("readout", False))
    w = graph.nodes["fc1"]
    assert isinstance(w, Synapses)
    if weight is not None:
        w = replace(w, map=replace(w.map, weight=np.full_like(w.map.weight, weight)))
    if bias is not None:
        w = replace(w, bias=np.full(4, bias, np.float32))
    graph = graph.with_node("fc1", w)
    return (
        graph
        if threshold is None
        else graph.with_node("n1", LIF((4,), 0.5, np.array([threshold], np.float32)))
    )


@pytest.mark.parametrize("readout", [True, False])
@pytest.mark.parametrize("bias", [0.0, 0.7, -0.7])
def test_a_layer_of_zero_weights_keeps_its_bias(readout: bool, bias: float) -> None:
    graph = _edited(weight=0.0, bias=bias, readout=readout)
    samples = (np.random.default_rng(0).random((3, 8, 6)) < 0.5).astype(np.float32)
    integer = quantise(graph, calibrated(graph, samples))
    assert not integer.nodes["fc1"].map.weight.any()  # type: ignore[union-attr]
    spikes, readouts = integer_run(integer, samples)
    run = run_float(graph, samples)
    if readout:
        assert np.allclose(readouts["n1"], run.readouts["n1"], atol=0.01)
    else:
        assert (spikes["n1"] == run.spikes["n1"]).all()


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (_edited(bias=1e7), ("n1", "threshold of", "below 1", "weights or bias dwarf", "more bits")),
        (_edited(bias=-1e7), ("n1", "below 1")),
        (_edited(threshold=1e-9), ("n1", "threshold of", "below 1", "retrain")),
        (_edited(weight=1e9), ("n1", "below 1")),
    ],
)
def test_what_has_no_integer_form_is_refused_by_name_and_number(graph: Graph, words: tuple[str, ...]) -> None:
    with pytest.raises(ExportError) as caught:
        quantise(graph, NOTHING)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_large_bias_lowers_the_scale_and_stays_in_range() -> None:
    integer = quantise(_edited(bias=300.0), NOTHING)
    node = integer.nodes["n1"]
    assert isinstance(node, IntegerNeuron)
    value = bias_value(node.bias_mantissa, node.bias_exponent)
    assert (np.abs(value) <= BIAS_MAX).all()
    assert np.allclose(value / node.scale, 300, rtol=1e-3)


@pytest.mark.parametrize("bits", [-1, 0, 1, 9, 16])
def test_bits_that_the_chip_lacks_are_refused(bits: int) -> None:
    with pytest.raises(ExportError, match=f"weight bits: {bits} is outside 2..8"):
        quantise(_edited(), NOTHING, bits=bits)


def test_thresholds_that_differ_within_a_scale_are_rounded() -> None:
    uneven = replace(_edited().nodes["n1"], threshold=np.array([0.3, 0.4, 0.5, 0.6], np.float32))
    graph = _edited().with_node("n1", uneven)
    assert quantise(graph, NOTHING).nodes["n1"].threshold.shape == (4,)  # type: ignore[union-attr]
    node = quantise(graph, NOTHING, per_channel=False).nodes["n1"]
    assert isinstance(node, IntegerNeuron)
    exact = node.scale * np.array([0.3, 0.4, 0.5, 0.6], np.float32) / 64
    assert np.abs(node.threshold - exact).max() <= 0.5
    assert node.threshold[3] == pytest.approx(exact[3], rel=1e-9), "the largest is exact"


def test_a_static_population_without_calibration_is_refused() -> None:
    graph, samples = _static()
    with pytest.raises(ExportError, match="n0: the calibration has no current of it"):
        quantise(graph, NOTHING)
    assert quantise(graph, calibrated(graph, samples)).nodes["n0"].static  # type: ignore[union-attr]


def _static() -> Case:
    from spikewright.export.passes.mark_static_inputs import mark_static_inputs

    graph = chain(np.random.default_rng(0), [6, 5, 4])
    graph = mark_static_inputs(graph.with_node("input", replace(graph.nodes["input"], coding="direct")))
    return graph, np.random.default_rng(1).normal(size=(9, 6)).astype(np.float32)


def test_quantising_leaves_the_float_graph_alone() -> None:
    graph, samples = _static()
    before = {name: vars(node).copy() for name, node in graph.nodes.items()}
    quantise(graph, calibrated(graph, samples))
    assert all(vars(node) == before[name] for name, node in graph.nodes.items())
