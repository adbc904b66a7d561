"""Fine-tuning for few bits: it wins back what rounding loses, and what it promises is what quantising gives."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikewright.export.calibration import Calibration
from spikewright.export.errors import ExportError
from spikewright.export.fine_tune import Schedule, fine_tune, held_out, shown_again
from spikewright.export.float_run import Numbers, outputs, run_float
from spikewright.export.formats import bias_value, weight_unit
from spikewright.export.graph import LIF, Graph, HostStep, Input, IntegerNeuron, Output, Settings, Synapses
from spikewright.export.learned import Learned, Observed
from spikewright.export.linear import Conv2d, ConvTranspose2d, Dense, Sparse, with_weight
from spikewright.export.quantise import quantise
from spikewright.export.unroll import unroll
from tests.export.graphs import chain

RNG = np.random.default_rng(0)


def case(readout: bool = True, count: int = 64) -> tuple[Graph, NDArray[np.float32], Calibration]:
    graph = chain(np.random.default_rng(1), [20, 30, 30, 7], timesteps=6, readout=readout)
    samples = (RNG.random((count, 6, 20)) < 0.4).astype(np.float32)
    return graph, samples, Calibration.of(run_float(graph, samples[:32]))


def convolutions(rng: np.random.Generator) -> Graph:
    """Every kind of map in one chain, and a branch; images are not square."""
    maps = {
        "conv": Conv2d(rng.normal(size=(4, 2, 3, 2)).astype(np.float32), (2, 5, 6), stride=(1, 2), padding=(1, 0)),
        "up": ConvTranspose2d(rng.normal(size=(4, 3, 2, 3)).astype(np.float32), (4, 5, 3), stride=(2, 1)),
    }  # fmt: skip
    last = maps["up"].output_shape
    size = int(np.prod(last))
    dense = rng.normal(size=(6, size)) * (rng.random((6, size)) < 0.3)
    maps["sparse"] = Sparse.of(_rows(dense), last, (6,))
    nodes = {"input": Input((2, 5, 6), "spikes")}
    edges, before = [], "input"
    for name, map_ in maps.items():
        bias = (rng.normal(size=map_.channels) * 0.1).astype(np.float32)
        nodes[name] = Synapses(map_, bias)
        nodes[f"{name}_n"] = LIF(map_.output_shape, 0.7, np.array([0.8], np.float32))
        edges += [(before, name), (name, f"{name}_n")]
        before = f"{name}_n"
    side = Dense(rng.normal(size=(6, 60)).astype(np.float32) * 0.2, (2, 5, 6), (6,))
    nodes |= {"side": Synapses(side), "output": Output((6,))}
    edges += [("input", "side"), ("side", "sparse_n"), (before, "output")]
    return Graph("net", nodes, tuple(edges), Settings(5))


def _rows(dense: NDArray) -> object:
    from scipy import sparse

    return sparse.csr_matrix(dense.astype(np.float32))


def dequantised(graph: Graph, integer: Graph) -> Graph:
    """The float graph with the weights and biases that the integer one really has, in float units."""
    out = graph
    for name in graph.select(Synapses):
        node, before = integer.nodes[name], graph.nodes[name]
        target = integer.targets(name)[0]
        neuron = integer.nodes[target]
        assert isinstance(node, Synapses)
        assert isinstance(before, Synapses)
        assert isinstance(neuron, IntegerNeuron)
        assert node.exponent is not None
        size = int(np.prod(node.shape))
        scale = np.broadcast_to(neuron.scale, (size,))
        matrix = unroll(node.map).toarray() * weight_unit(node.exponent) / scale[:, None]
        dense = Dense(matrix.astype(np.float32), node.map.input_shape, node.shape)
        bias = np.broadcast_to(bias_value(neuron.bias_mantissa, neuron.bias_exponent), (size,)) / scale
        first = integer.sources(target)[0] == name
        out = out.with_node(name, replace(before, map=dense, bias=bias.astype(np.float32) if first else None))
    return out


def error_of(graph: Graph, integer: Graph, samples: NDArray[np.float32]) -> float:
    """Squared error of an integer graph's outputs, in float units."""
    with torch.no_grad():
        (wanted,) = outputs(graph, samples, Numbers()).values()
        (found,) = outputs(dequantised(graph, integer), samples, Numbers()).values()
    return float(((found - wanted) ** 2).mean())


@pytest.mark.parametrize("readout", [True, False])
def test_few_bits_lose_less_after_tuning(readout: bool) -> None:
    graph, samples, calibration = case(readout, count=512)
    schedule = Schedule(200, lr=0.01, judge_every=20)
    tuned = fine_tune(graph, samples, calibration, bits=3, schedule=schedule)
    assert tuned.after < tuned.before
    if not readout:
        return  # rates of seven neurons over six steps are too coarse to tell on fresh samples
    fresh = (RNG.random((128, 6, 20)) < 0.4).astype(np.float32)
    nearest = quantise(graph, calibration, bits=3, compensate=False)
    assert error_of(graph, tuned.graph, fresh) < 0.8 * error_of(graph, nearest, fresh)


def test_the_forward_pass_is_that_of_the_quantised_graph() -> None:
    graph = convolutions(RNG)
    samples = (RNG.random((16, 5, 2, 5, 6)) < 0.4).astype(np.float32)
    calibration = Calibration.of(run_float(graph, samples))
    learned = Learned(graph, calibration, 4)
    for round_ in range(2):
        learned.begin(None)
        real = dequantised(graph, learned.quantised())
        total: dict[str, NDArray[np.float32]] = {}
        for name in graph.select(Synapses):
            node, wanted = graph.nodes[name], real.nodes[name]
            assert isinstance(node, Synapses)
            assert isinstance(wanted, Synapses)
            weight = learned.weight(name, node).detach().numpy()
            assert np.allclose(
                unroll(with_weight(node.map, weight)).toarray(), wanted.map.weight, atol=1e-5
            ), name
            bias = learned.bias(name, node)
            assert bias is not None
            target = graph.targets(name)[0]
            own = np.repeat(bias.detach().numpy(), np.prod(node.shape) // len(bias))
            total[target] = total.get(target, 0) + own - (0 if wanted.bias is None else wanted.bias)
        for target, off in total.items():
            assert np.abs(off).max() < 0.01, (round_, target)  # biases are on a grid of their own
        with torch.no_grad():
            for parameter in learned.parameters():
                parameter += torch.randn_like(parameter) * 0.6


def test_every_kind_of_map_learns_and_the_bias_with_it() -> None:
    graph = convolutions(RNG)
    samples = (RNG.random((32, 5, 2, 5, 6)) < 0.4).astype(np.float32)
    calibration = Calibration.of(run_float(graph, samples))
    learned = Learned(graph, calibration, 3)
    learned.begin(None)
    outputs(graph, samples, learned)["sparse_n"].square().sum().backward()
    assert set(learned.weights) == {"conv", "up", "sparse", "side"}
    assert set(learned.biases) == set(learned.weights)
    for parameter in learned.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_a_layer_on_the_grid_stays_as_it_is() -> None:
    graph, samples, calibration = case()
    node = graph.nodes["fc1"]
    assert isinstance(node, Synapses)
    signs = np.sign(node.map.weight).astype(np.float32) * 0.3
    graph = graph.with_node("fc1", replace(node, map=with_weight(node.map, signs)))
    calibration = Calibration.of(run_float(graph, samples))
    learned = Learned(graph, calibration, 4)
    assert set(learned.weights) == set(learned.biases) == {"fc0", "fc2"}


def test_a_search_that_finds_nothing_gives_the_graph_back() -> None:
    graph, samples, calibration = case()
    tuned = fine_tune(graph, samples, calibration, bits=8, schedule=Schedule(4, lr=30.0, judge_every=2))
    assert tuned.after == tuned.before
    plain = quantise(graph, calibration, bits=8)
    assert all(
        np.array_equal(tuned.graph.nodes[name].map.weight, plain.nodes[name].map.weight)
        for name in graph.select(Synapses)
    )


def test_targets_take_the_place_of_what_the_graph_says() -> None:
    graph, samples, calibration = case(count=256)
    wanted = run_float(graph, samples).readouts["n2"] * 0.5 + 1
    tuned = fine_tune(
        graph, samples, calibration, targets=wanted, bits=4, schedule=Schedule(150, lr=0.2, judge_every=10)
    )
    assert tuned.after < 0.5 * tuned.before


def test_targets_are_what_stands_behind_the_hosts_functions() -> None:
    graph, samples, calibration = case()
    behind = graph.with_host_step(HostStep("tanh", "n2"))
    wanted = np.tanh(run_float(graph, samples).readouts["n2"])
    short = Schedule(1)
    given = fine_tune(behind, samples, calibration, targets=wanted, bits=4, schedule=short).before
    assert given == pytest.approx(fine_tune(behind, samples, calibration, bits=4, schedule=short).before)
    assert given != pytest.approx(fine_tune(graph, samples, calibration, bits=4, schedule=short).before)


def test_a_chips_spikes_and_outputs_take_the_place_of_the_float_ones() -> None:
    graph, samples, calibration = case()
    asked: list[int] = []

    def silent(integer: Graph, chosen: NDArray[np.float32]) -> Observed:
        asked.append(len(chosen))
        run = run_float(graph, chosen)
        nothing = {name: np.zeros_like(s) for name, s in run.spikes.items()}
        return Observed(nothing, {"n2": np.full_like(run.readouts["n2"], 2.5)})

    before = fine_tune(
        graph, samples, calibration, bits=4, schedule=Schedule(2, judge_every=2), chip=silent
    ).before
    wanted = run_float(graph, samples).readouts["n2"]
    assert before == pytest.approx(((wanted[:8] - 2.5) ** 2).mean() / wanted.var(ddof=1), rel=1e-4)
    assert asked == [8, 56, 56, 8]


def test_the_same_seed_tunes_alike() -> None:
    graph, samples, calibration = case()
    found = [
        fine_tune(graph, samples, calibration, bits=3, schedule=Schedule(12, judge_every=4)) for _ in range(2)
    ]
    assert found[0].after == found[1].after
    weights = [f.graph.nodes["fc2"].map.weight for f in found]
    assert np.array_equal(*weights)


def test_running_means_are_judged_and_learning_goes_on_from_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph, samples, calibration = case()
    judged: list[torch.Tensor] = []
    learned: list[torch.Tensor] = []

    def add_one(adam: torch.optim.Adam) -> None:
        (first, *_) = (p for group in adam.param_groups for p in group["params"])
        with torch.no_grad():
            first += 1
        learned.append(first.detach().clone())

    at = Learned.at

    def seen(numbers: Learned, values: list[torch.Tensor]) -> object:
        judged.append(values[0].clone())
        return at(numbers, values)

    monkeypatch.setattr(torch.optim.Adam, "step", add_one)
    monkeypatch.setattr(Learned, "at", seen)
    fine_tune(graph, samples, calibration, bits=4, schedule=Schedule(3, judge_every=1))
    start = learned[0] - 1
    assert [float((later - start).mean()) for later in learned] == pytest.approx([1, 2, 3])
    # Each time a fiftieth of what was learned: 0.02, 0.98 * 0.02 + 0.02 * 2, and so on.
    assert [float((mean - start).mean()) for mean in judged] == pytest.approx(
        [0.02, 0.0596, 0.118408], rel=1e-4
    )


def test_other_values_hold_for_a_while_only() -> None:
    graph, _, calibration = case()
    numbers = Learned(graph, calibration, 4)
    before = [learned.detach().clone() for learned in numbers.parameters()]
    with contextlib.suppress(KeyError), numbers.at([0 * learned for learned in before]):
        assert not any(learned.any() for learned in numbers.parameters())
        raise KeyError
    assert all(torch.equal(learned, was) for learned, was in zip(numbers.parameters(), before, strict=True))


@given(images=st.integers(1, 900), samples=st.integers(1, 9000))
def test_images_that_are_shown_again_are_held_out_or_learned_from(images: int, samples: int) -> None:
    shown = shown_again(images, samples)
    if samples <= images or images < 8:
        assert np.array_equal(shown, np.arange(images))
        return
    assert len(shown) == samples
    assert not set(shown[: held_out(samples)]) & set(shown[held_out(samples) :])
    assert np.ptp(np.bincount(shown[held_out(samples) :])[images // 8 :]) <= 1
    assert shown.max() < images


def test_operations_are_the_synapses_that_spikes_reach() -> None:
    graph = convolutions(RNG)
    samples = (RNG.random((16, 5, 2, 5, 6)) < 0.4).astype(np.float32)
    learned = Learned(graph, Calibration.of(run_float(graph, samples)), 4)
    integer = learned.quantised()
    for _ in range(2):  # each from nothing
        learned.begin(None)
        with torch.no_grad():
            outputs(graph, samples, learned)
        ran = run_float(dequantised(graph, integer), samples)
        wanted = sum(
            float(ran.spikes[integer.sources(name)[0]].sum((0, 1)) @ (unroll(node.map).toarray() != 0).sum(0))
            for name in integer.select(Synapses)
            if isinstance(node := integer.nodes[name], Synapses) and integer.sources(name)[0] in ran.spikes
            and isinstance(graph.nodes[integer.sources(name)[0]], LIF)
        )  # fmt: skip
        assert learned.operations.item() == pytest.approx(wanted, rel=1e-3)


def test_operations_that_cost_something_become_fewer() -> None:
    graph, samples, calibration = case(count=256)
    free, dear = (
        fine_tune(
            graph,
            samples,
            calibration,
            bits=4,
            schedule=Schedule(120, lr=0.05, judge_every=10, operations=price),
        )
        for price in (0.0, 2.0)
    )
    assert dear.operations < 0.8 * min(1.0, free.operations)
    assert dear.after > free.after
    assert free.before == dear.before


def test_what_leaves_the_range_of_one_unit_moves_no_other() -> None:
    graph, _samples, calibration = case()
    start = quantise(graph, calibration, bits=4)
    node, before = graph.nodes["fc1"], start.nodes["n1"]
    assert isinstance(node, Synapses)
    assert isinstance(before, IntegerNeuron)
    assert node.bias is not None
    far = node.bias.copy()
    far[3] = 1.05 * 2**24 / np.broadcast_to(before.scale, (30,))[3]
    moved = quantise(graph.with_node("fc1", replace(node, bias=far)), calibration, bits=4, held=start)
    after = moved.nodes["n1"]
    assert isinstance(after, IntegerNeuron)
    changed = np.broadcast_to(after.scale, (30,)) / np.broadcast_to(before.scale, (30,))
    assert changed[3] < 0.97
    assert np.delete(changed, 3) == pytest.approx(1, abs=1e-6)


def test_what_cannot_be_tuned_is_refused() -> None:
    graph, samples, calibration = case()
    with pytest.raises(ExportError, match="7 samples are too few; give at least 8"):
        fine_tune(graph, samples[:7], calibration)
    with pytest.raises(ExportError, match=r"targets of shape \(64, 3\); the outputs are n2 \(64, 7\)"):
        fine_tune(graph, samples, calibration, targets=np.zeros((64, 3), np.float32))
