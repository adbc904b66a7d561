"""The host's part: what it writes, draws and reads back."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikewright.export.calibration import Calibration
from spikewright.export.formats import BIAS_MAX, bias_value
from spikewright.export.graph import LIF, Graph, Input, Node, Output, Settings, Synapses
from spikewright.export.linear import Conv2d, Dense, fan_out
from spikewright.export.passes.mark_static_inputs import mark_static_inputs
from spikewright.export.quantise import quantise
from spikewright.hardware import host
from spikewright.hardware.compile import compile_program
from spikewright.hardware.program import Program, ProgramError
from spikewright.hardware.program_io import load_program, save_program
from spikewright.hardware.recording import Recording
from tests.export.graphs import dense
from tests.hardware.test_program import population, program

STEPS = 4


def direct(peak: float = 4.0, *, flat: bool = False) -> tuple[Program, Synapses, Synapses]:
    """Two encoders into one population: a convolution and a dense layer over an image that is not square."""
    rng = np.random.default_rng(0)
    shape = (2, 5, 3)
    kernel = rng.normal(size=(4, 2, 3, 2)).astype(np.float32)
    conv = Synapses(Conv2d(kernel, shape, (2, 1), (1, 0)), rng.normal(size=4).astype(np.float32))
    source = (30,) if flat else shape
    full = dense(rng, source, conv.shape)
    full = Synapses(full.map, None)
    theta = np.array([0.5], np.float32)
    nodes: dict[str, Node] = {
        "input": Input(shape, "direct"), "conv": conv, "full": full, "n": LIF(conv.shape, 0.5, theta),
        "back": dense(rng, conv.shape, (3,)), "m": LIF((3,), 0.5, theta), "output": Output((3,)),
    }  # fmt: skip
    edges = [
        ("input", "conv"),
        ("input", "full"),
        ("conv", "n"),
        ("full", "n"),
        ("n", "back"),
        ("back", "m"),
        ("m", "output"),
    ]
    graph = mark_static_inputs(Graph("net", nodes, tuple(edges), Settings(STEPS)))
    return compile_program(quantise(graph, Calibration({}, {"n": peak}))), conv, full


def images(count: int = 6) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 2, 5, 3)).astype(np.float32)


def test_the_current_of_a_static_population_is_written_as_its_bias() -> None:
    net, conv, full = direct(40.0)
    given_inputs, clipped = host.encode(net, images())
    x = torch.from_numpy(images()).flatten(1).double()
    current = conv.map.forward(x, torch.from_numpy(conv.map.weight).double())
    current = current + torch.from_numpy(conv.bias).repeat_interleave(current.shape[1] // 4)
    current = current + full.map.forward(x, torch.from_numpy(full.map.weight).double())
    value = bias_value(*given_inputs.biases["n"])
    step = 1 << given_inputs.biases["n"][1]
    assert clipped == 0
    assert value.shape == current.shape
    assert (np.abs(value - current.numpy() * net.population("n").scale) <= step / 2 + 1).all()
    assert given_inputs.spikes == {}


def test_currents_beyond_the_largest_bias_are_clipped_and_counted() -> None:
    net, *_ = direct(peak=0.5)
    exact, _ = direct(peak=100.0)[0], None
    given_inputs, clipped = host.encode(net, images())
    value = bias_value(*given_inputs.biases["n"])
    current = bias_value(*host.encode(exact, images())[0].biases["n"]) / exact.population("n").scale
    beyond = np.abs(current * net.population("n").scale) > BIAS_MAX
    assert clipped == beyond.sum() > 0
    assert (np.abs(value[beyond]) == BIAS_MAX).all()
    assert (np.sign(value[beyond]) == np.sign(current[beyond])).all()
    assert host.encode(exact, images())[1] == 0


def test_samples_keep_the_shape_of_the_input_whatever_the_first_layer_takes(tmp_path: Path) -> None:
    net, *_ = direct(flat=True)
    assert {tuple(e["map"]["input_shape"]) for e in net.host["encoders"]} == {(2, 5, 3), (30,)}
    save_program(net, tmp_path / "p.npz")
    for own in (net, load_program(tmp_path / "p.npz")):
        assert host.encode(own, images())[0].biases["n"][0].shape == (6, net.population("n").size)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((6, 2, 3, 5), np.float32), ("(2, 3, 5)", "conv takes (2, 5, 3)")),
        (np.zeros((6, 30), np.float32), ("(30,)", "(2, 5, 3)")),
        (np.full((6, 2, 5, 3), np.nan, np.float32), ("NaN", "loader")),
        (np.full((6, 2, 5, 3), -np.inf, np.float32), ("infinite", "loader")),
    ],
)
def test_samples_that_do_not_fit_a_direct_input_are_refused(
    samples: np.ndarray, words: tuple[str, ...]
) -> None:
    with pytest.raises(ProgramError) as caught:
        host.encode(direct()[0], samples)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def spiking() -> Program:
    return program(populations=program().populations[:2], synapses=program().synapses[:3])


def test_spikes_go_to_their_source_unchanged() -> None:
    raster = np.random.default_rng(0).integers(0, 2, (3, STEPS, 2, 3)).astype(np.float32)
    given_inputs, clipped = host.encode(spiking(), raster)
    assert (given_inputs.spikes["in"] == raster.reshape(3, STEPS, 6)).all()
    assert given_inputs.spikes["in"].dtype == np.uint8
    assert clipped == 0


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((3, STEPS + 1, 2, 3)), ("(5, 2, 3)", "(4, 2, 3)")),
        (np.zeros((3, STEPS, 6)), ("(4, 6)", "(4, 2, 3)")),
        (np.full((3, STEPS, 2, 3), 0.5), ("in takes spikes, 0 or 1",)),
        (np.full((3, STEPS, 2, 3), -1), ("in takes spikes, 0 or 1",)),
        (np.full((3, STEPS, 2, 3), np.nan), ("NaN",)),
    ],
)
def test_samples_that_are_no_spikes_are_refused(samples: np.ndarray, words: tuple[str, ...]) -> None:
    with pytest.raises(ProgramError) as caught:
        host.encode(spiking(), samples)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_program_that_nothing_enters_says_so() -> None:
    with pytest.raises(ProgramError, match="0 spike sources"):
        host.encode(program(sources=()), np.zeros((1, STEPS, 6)))


def read_out(kinds: tuple[str, ...]) -> Program:
    steps = [{"kind": kind, "node": "end", "arrays": []} for kind in kinds]
    end = population("end", 2, 3, readout=True, scale=np.arange(1.0, 7.0) * 100)
    return program(populations=(population("a", 5), end), host={"steps": steps})


@pytest.mark.parametrize(
    ("kinds", "function"),
    [
        ((), lambda x: x),
        (("tanh",), np.tanh),
        (("sigmoid",), lambda x: 1 / (1 + np.exp(-x))),
        (("resample",), lambda x: x),
    ],
)
def test_a_read_out_comes_back_in_float_units(kinds: tuple[str, ...], function: Any) -> None:
    membranes = np.array([[100, 200, -300, 0, 1, 60]])
    decoded = host.decode(read_out(kinds), Recording("test", {}, {"end": membranes}))
    assert decoded.dtype == np.float32
    assert decoded.shape == (1, 2, 3)
    wanted = function(membranes[0] / (np.arange(1.0, 7.0) * 100))
    assert np.allclose(decoded.ravel(), wanted, atol=1e-6)


def test_a_function_of_another_node_is_not_applied() -> None:
    net = program(
        populations=read_out(()).populations, host={"steps": [{"kind": "tanh", "node": "a", "arrays": []}]}
    )
    assert host.decode(net, Recording("test", {}, {"end": np.full((1, 6), 10**6)})).max() > 1


def test_the_sigmoid_of_a_far_membrane_is_no_overflow() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoded = host.decode(
            read_out(("sigmoid",)), Recording("test", {}, {"end": np.array([[-8388607, 8388607] * 3])})
        )
    assert set(decoded.ravel().tolist()) == {0.0, 1.0}


def test_without_a_read_out_the_result_is_spike_counts() -> None:
    counts = np.arange(8).reshape(2, 4)
    decoded = host.decode(spiking(), Recording("test", {"b": counts}, {}))
    assert (decoded == counts.reshape(2, 2, 2)).all()


@given(st.integers(0, 2**63 - 1), st.integers(0, 3), st.integers(1, 6), st.integers(0, 6))
def test_sample_k_is_the_same_however_many_are_drawn(seed: int, stream: int, count: int, more: int) -> None:
    for draw in (host.uniform, host.normal):
        few, many = draw(seed, stream, count, (3, 2)), draw(seed, stream, count + more, (3, 2))
        assert (few == many[:count]).all()
        assert few.shape == (count, 3, 2)


def test_draws_of_other_seeds_streams_and_samples_differ() -> None:
    keys = [(0, 0), (0, 1), (1, 0), (2**40, 0)]
    draws = [host.uniform(seed, stream, 3, (5,)) for seed, stream in keys]
    rows = np.concatenate(draws).round(12)
    assert len({tuple(row) for row in rows}) == len(rows)
    assert ((rows >= 0) & (rows < 1)).all()


def test_draws_are_philox_keyed_by_seed_and_counted_by_stream_and_sample() -> None:
    """What anybody can draw again, in any language: part of the contract between backends."""

    def plain(stream: int, sample: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=11, counter=[0, 0, stream, sample]))

    for sample in range(3):
        assert (host.uniform(11, 1, 3, (2, 4))[sample] == plain(1, sample).random((2, 4))).all()
        assert (host.normal(11, 0, 3, (4,))[sample] == plain(0, sample).standard_normal(4)).all()
    rates = np.full((3, 4), 0.4)
    assert (host.bernoulli(rates, 2, seed=11) == (host.uniform(11, 1, 3, (2, 4)) < 0.4)).all()
    steps = [{"kind": "rate_prior", "node": "a", "arrays": ["bias", "weight"]}]
    arrays = {"step0.weight": np.eye(4, dtype=np.float32), "step0.bias": np.zeros(4, np.float32)}
    net = program(host={"steps": steps}, host_arrays=arrays)
    drawn = 1 / (1 + np.exp(-host.normal(11, 0, 3, (4,))))
    assert (host.prior_spikes(net, 3, seed=11) == host.bernoulli(drawn, STEPS, seed=11)).all()


def test_spike_trains_follow_their_rates_and_begin_alike_however_long() -> None:
    rates = np.tile([[0.0, 0.1, 0.5, 1.0]], (40, 1))
    long = host.bernoulli(rates, 500, seed=3)
    assert long.shape == (40, 500, 4)
    assert long.dtype == np.uint8
    assert np.allclose(long.mean((0, 1)), rates[0], atol=0.02)
    assert not long[..., 0].any()
    assert long[..., 3].all()
    assert (host.bernoulli(rates[:7], 20, seed=3) == long[:7, :20]).all()


def test_latents_of_the_prior_do_not_depend_on_how_many_are_drawn() -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "step1.weight": rng.normal(size=(5, 5)).astype(np.float32),
        "step1.bias": np.zeros(5, np.float32),
    }
    steps = [
        {"kind": "resample", "node": "a", "arrays": []},
        {"kind": "rate_prior", "node": "a", "arrays": ["bias", "weight"]},
    ]
    net = program(host={"steps": steps}, host_arrays=arrays)
    many = host.prior_spikes(net, 200, seed=1)
    assert (host.prior_spikes(net, 3, seed=1) == many[:3]).all()
    assert 0.4 < many.mean() < 0.6
    assert many.std((0, 1)).min() > 0
    assert (many.mean(1) != many.mean((0, 1))).any()  # every sample has rates of its own


def test_without_a_prior_there_is_nothing_to_generate_from() -> None:
    with pytest.raises(ProgramError, match="net: has no prior"):
        host.prior_spikes(program(), 3, seed=1)


def test_the_host_pays_for_every_tap_of_its_encoders_inside_the_borders() -> None:
    net, conv, full = direct()
    ones = Conv2d(np.ones_like(conv.map.weight), conv.map.input_shape, (2, 1), (1, 0))
    assert isinstance(full.map, Dense)
    assert host.operations(net) == fan_out(ones).sum() + full.map.weight.size
    assert host.operations(program()) == 0
