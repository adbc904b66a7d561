"""NIR files: whole round trips, what other tools make of them, and nothing half-written."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikewright.export import nir_extension, nir_write
from spikewright.export.errors import ExportError
from spikewright.export.float_run import run_float
from spikewright.export.formats import ALIGNMENT_SHIFT, bias_value, weight_unit
from spikewright.export.graph import LI, LIF, Graph, HostStep, IntegerNeuron, Synapses
from spikewright.export.linear import ConvTranspose2d, expand_channels
from spikewright.export.nir_build import build
from spikewright.export.nir_read import read_graph
from spikewright.export.nir_write import differences, write_nir
from spikewright.export.passes import to_float
from spikewright.export.quantise import quantise
from spikewright.export.trace import trace
from tests.export.graphs import calibrated, chain, float_graphs
from tests.export.networks import NETWORKS, samples
from tests.export.networks import build as network

Case = tuple[Graph, NDArray[np.float32]]
LIMITS = st.sampled_from([0, 200, 1 << 26])  # all extension nodes, some, none
STEPS = 10


def lowered(name: str) -> Graph:
    shape, coding = NETWORKS[name][1:]
    return to_float(trace(network(name), torch.zeros(shape), timesteps=STEPS, coding=coding))


def _fingerprint(graph: Graph) -> dict[str, Any]:
    return {
        f"{n} {key}": (v.dtype, v.tobytes())
        for n, node in graph.nodes.items()
        for key, v in _arrays(node).items()
    }


def _arrays(node: Any) -> dict[str, NDArray[Any]]:
    found = {key: value for key, value in vars(node).items() if isinstance(value, np.ndarray)}
    return found | ({"weight": node.map.weight} if isinstance(node, Synapses) else {})


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=float_graphs(), limit=LIMITS)
def test_a_float_graph_comes_back_bit_for_bit(case: Case, limit: int, tmp_path_factory: Any) -> None:
    graph, given_samples = case
    path = tmp_path_factory.mktemp("nir") / "a.nir"
    back = write_nir(graph, path, limit)
    assert differences(graph, back) == []
    assert _fingerprint(graph) == _fingerprint(back) == _fingerprint(read_graph(path))
    assert (back.name, back.settings, set(back.edges)) == (graph.name, graph.settings, set(graph.edges))
    before, after = run_float(graph, given_samples), run_float(back, given_samples)
    assert all((before.spikes[name] == raster).all() for name, raster in after.spikes.items())


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=float_graphs(), limit=LIMITS, bits=st.integers(3, 8))
def test_an_integer_graph_comes_back_bit_for_bit(
    case: Case, limit: int, bits: int, tmp_path_factory: Any
) -> None:
    integer = quantise(case[0], calibrated(*case), bits=bits)
    path = tmp_path_factory.mktemp("nir") / "b.nir"
    back = write_nir(integer, path, limit)
    assert _fingerprint(integer) == _fingerprint(back) == _fingerprint(read_graph(path))
    assert back.settings.weight_bits == bits
    for name in integer.select(IntegerNeuron):
        ours, theirs = integer.nodes[name], back.nodes[name]
        assert differences(replace(integer, nodes={name: ours}), replace(back, nodes={name: theirs})) == []


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=float_graphs())
def test_the_fields_of_an_integer_file_are_the_chips_numbers(case: Case) -> None:
    """Another tool sees only NIR's own fields: weights, biases and thresholds must say the same."""
    integer = quantise(case[0], calibrated(*case))
    fields = build(integer).nodes
    for name in integer.select(IntegerNeuron):
        node = integer.nodes[name]
        assert isinstance(node, IntegerNeuron)
        if not node.readout:
            assert (fields[name].v_threshold.ravel() == node.threshold << ALIGNMENT_SHIFT).all()
        unit = node.scale if node.static else _unit(integer, name)
        assert np.allclose(per_step(fields[name], integer.settings.dt), unit, rtol=1e-12)
        if node.static:
            continue
        bias = np.zeros(node.scale.size)
        for source in integer.sources(name):
            synapses, written = integer.nodes[source], fields[source]
            assert isinstance(synapses, Synapses)
            if not isinstance(written, nir.Conv2d | nir_extension.ConvolutionMap):
                assert written.weight.dtype == np.int8
            own = getattr(written, "bias", np.zeros(1))
            assert synapses.exponent is not None
            bias = bias + expand_channels(own, node.shape) * weight_unit(synapses.exponent)
        assert (bias == bias_value(node.bias_mantissa, node.bias_exponent)).all()


def _unit(graph: Graph, name: str) -> float:
    exponents = {graph.nodes[s].exponent for s in graph.sources(name)}
    assert len(exponents) == 1
    return weight_unit(exponents.pop())


def per_step(node: Any, dt: float) -> NDArray[Any]:
    """What a current of one adds to the membrane in a step of forward Euler."""
    return node.r.ravel() * dt / (node.tau.ravel() if hasattr(node, "tau") else 1)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=float_graphs())
def test_forward_euler_of_a_float_file_is_the_source_up_to_one_factor(case: Case) -> None:
    """v' = beta v + I with threshold theta, or all of it times 1 - beta: the same spikes."""
    graph = case[0]
    fields = build(graph).nodes
    for name in graph.select(LIF, LI):
        node = graph.nodes[name]
        keep = 1 - graph.settings.dt / fields[name].tau if hasattr(fields[name], "tau") else 1.0
        assert np.allclose(keep, node.beta, atol=1e-12)
        gain = per_step(fields[name], graph.settings.dt)
        assert np.allclose(gain, 1 if isinstance(node, LI) else (1 - node.beta or 1))
        if isinstance(node, LIF):
            assert np.allclose(
                fields[name].v_threshold.ravel(), node.threshold.astype(np.float64) * gain, rtol=1e-12
            )
            assert not fields[name].v_reset.any()


def test_differences_are_named() -> None:
    graph = lowered("generator").with_host_step(HostStep("rate_prior", "seed", {"weight": np.zeros(2)}))
    fewer = {name: node for name, node in graph.nodes.items() if name != "up"}
    changed = {
        "up": replace(graph, nodes=fewer),
        "edges": replace(graph, edges=graph.edges[1:]),
        "settings": replace(graph, settings=replace(graph.settings, timesteps=9)),
        "host steps": replace(graph, host_steps=graph.host_steps[:1]),
    }
    for name, other in changed.items():
        assert differences(graph, other) == differences(other, graph) == [name]
    assert differences(graph, replace(graph, name="another")) == ["settings"]
    for array in (np.ones(2), np.zeros(3)):
        step = HostStep("rate_prior", "seed", {"weight": array})
        assert differences(graph, replace(graph, host_steps=(graph.host_steps[0], step))) == ["host steps"]
    assert differences(graph, graph) == []


def test_some_transposed_convolutions_may_be_matrices_and_others_kernels(tmp_path: Path) -> None:
    graph = lowered("generator")
    sizes = sorted(
        int(np.prod(n.map.input_shape) * np.prod(n.map.output_shape))
        for n in graph.nodes.values()
        if isinstance(n, Synapses) and isinstance(n.map, ConvTranspose2d)
    )
    assert sizes[0] < sizes[-1]
    nir_extension.register()
    # All matrices of a file share the room: each would fit by itself where their sum is one cell too many.
    for limit, extensions in ((sizes[0], 1), (sum(sizes) - 1, 1), (sum(sizes), 0)):
        write_nir(graph, tmp_path / "a.nir", dense_limit=limit)
        kinds = [type(node) for node in nir.read(str(tmp_path / "a.nir")).nodes.values()]
        assert kinds.count(nir_extension.ConvolutionMap) == extensions
        assert differences(graph, read_graph(tmp_path / "a.nir")) == []


def test_host_steps_survive_with_their_arrays(tmp_path: Path) -> None:
    arrays = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.array([1, -2], np.int16)}
    graph = lowered("generator").with_host_step(HostStep("rate_prior", "seed", arrays))
    for limit in (0, 1 << 26):
        back = write_nir(graph, tmp_path / "a.nir", limit)
        assert [(s.kind, s.node) for s in back.host_steps] == [("tanh", "read"), ("rate_prior", "seed")]
        kept = back.host_steps[1].arrays
        assert all((kept[k] == a).all() and kept[k].dtype == a.dtype for k, a in arrays.items())


def norse_spikes(
    path: Path, given_samples: NDArray[np.float32], coding: str, load: Callable[..., Any]
) -> dict[str, Any]:
    """Spikes of the file's neurons in norse, one unbatched sample at a time, step by step."""
    file = nir.read(str(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = load(file)
    rasters: dict[str, list[Any]] = {}
    for name, module in net.named_modules():
        if isinstance(file.nodes.get(name), nir.LIF | nir.IF):
            module.register_forward_hook(
                lambda m, i, out, name=name: rasters.setdefault(name, []).append(out[0].flatten().numpy())
            )
    with torch.no_grad():
        for sample in torch.from_numpy(given_samples):
            state = None
            for t in range(STEPS):
                _, state = net(sample if coding == "direct" else sample[t], state)
    return {name: np.array(raster).reshape(len(given_samples), STEPS, -1) for name, raster in rasters.items()}


@pytest.mark.parametrize("name", ["sequential", "explicit"])
def test_stock_norse_runs_a_chain_to_the_same_spikes(name: str, tmp_path: Path) -> None:
    norse = pytest.importorskip("norse.torch")
    logging.disable(logging.WARNING)  # norse ignores the resistance of neurons without leak, and says so
    graph, given_samples = lowered(name), samples(name, count=4, timesteps=STEPS)
    write_nir(graph, tmp_path / "a.nir")
    spikes = norse_spikes(
        tmp_path / "a.nir", given_samples, NETWORKS[name][2], lambda f: norse.from_nir(f, dt=1e-4)
    )
    logging.disable(logging.NOTSET)
    _agree(graph, given_samples, spikes)


@pytest.mark.parametrize("name", ["residual", "residual-spikes"])
def test_norse_neurons_in_a_graph_with_branches_fire_the_same(name: str, tmp_path: Path) -> None:
    """``norse.from_nir`` itself visits branches depth first (nirtorch 2.6), before their sum is complete."""
    pytest.importorskip("norse.torch")
    nirtorch = pytest.importorskip("nirtorch")
    from norse.torch.utils.import_nir import _import_norse_module

    def load(file: nir.NIRGraph) -> Any:
        kinds = (nir.Affine, nir.Linear, nir.Conv2d, nir.LIF, nir.Flatten)
        return nirtorch.nir_to_torch(
            file, {kind: lambda node: _import_norse_module(node, dt=1e-4) for kind in kinds}
        )

    graph, given_samples = lowered(name), samples(name, count=4, timesteps=STEPS)
    write_nir(graph, tmp_path / "a.nir")
    _agree(graph, given_samples, norse_spikes(tmp_path / "a.nir", given_samples, NETWORKS[name][2], load))


def _agree(graph: Graph, given_samples: NDArray[np.float32], spikes: dict[str, Any]) -> None:
    run = run_float(graph, given_samples)
    assert spikes.keys() == run.spikes.keys() == set(graph.select(LIF))
    total = wrong = 0
    for population, raster in run.spikes.items():
        assert 0.01 < raster.mean() < 0.99, f"{population} shows nothing"
        total, wrong = total + raster.size, wrong + int((raster != spikes[population]).sum())
    # norse integrates v += dt/tau (I - v): another order of the same float32 operations.
    assert wrong <= 1 + total // 5_000, f"{wrong} of {total}"


def _files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize("where", ["write", "read_graph", "replace"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    where: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = chain(np.random.default_rng(0), [4, 3])
    write_nir(graph, tmp_path / "a.nir")
    before = _files(tmp_path)

    def half(filename: str, *args: Any, **settings: Any) -> None:
        Path(filename).write_bytes(b"half a file")
        raise error

    def fail(*args: Any) -> None:
        raise error

    owner = {"write": nir_write.nir, "read_graph": nir_write, "replace": os}[where]
    monkeypatch.setattr(owner, where, half if where == "write" else fail)
    with pytest.raises((ExportError, KeyboardInterrupt)):
        write_nir(chain(np.random.default_rng(1), [4, 3]), tmp_path / "a.nir")
    assert _files(tmp_path) == before


def test_a_successful_write_leaves_one_file(tmp_path: Path) -> None:
    for seed in range(2):
        write_nir(chain(np.random.default_rng(seed), [4, 3]), tmp_path / "a.nir")
    assert [p.name for p in tmp_path.iterdir()] == ["a.nir"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"nowhere/a\.nir: cannot be written"):
        write_nir(chain(np.random.default_rng(0), [4, 3]), tmp_path / "nowhere" / "a.nir")


def test_a_file_that_does_not_read_back_equal_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = chain(np.random.default_rng(0), [4, 3])
    monkeypatch.setattr(nir_write, "read_graph", lambda path: chain(np.random.default_rng(1), [4, 3]))
    with pytest.raises(ExportError, match="does not read back equal at fc0"):
        write_nir(graph, tmp_path / "a.nir")
    assert list(tmp_path.iterdir()) == []


def test_an_illegal_graph_is_not_written(tmp_path: Path) -> None:
    graph = chain(np.random.default_rng(0), [4, 3])
    with pytest.raises(ExportError, match="timesteps is 0"):
        write_nir(replace(graph, settings=replace(graph.settings, timesteps=0)), tmp_path / "a.nir")
    assert list(tmp_path.iterdir()) == []
