"""Written .net files hold what the graph says; whatever the format cannot hold is listed, node by node."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.export.errors import ExportError
from spikewright.export.formats import split_bias
from spikewright.export.graph import Graph, HostStep, Input, IntegerNeuron, Synapses
from spikewright.export.linear import Conv2d, ConvTranspose2d, Dense, with_weight
from spikewright.export.net_grid import to_net_grid
from spikewright.export.net_parse import parse
from spikewright.export.net_read import read_net
from spikewright.export.net_write import write_net
from spikewright.export.nir_write import differences
from spikewright.export.quantise import quantise
from spikewright.hardware.compile import compile_program
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.program import Inputs
from tests.export.graphs import calibrated, chain
from tests.export.net_files import Layer, cuba, random_layers, write

STEPS = 8


def rasters(graph: Graph, spikes: np.ndarray) -> list[np.ndarray]:
    program = compile_program(graph)
    recording = Emulator(program).run(Inputs({"input": spikes}), "spikes")
    return [recording.spikes[p.name] for p in program.populations]


def inputs(graph: Graph, seed: int = 0) -> np.ndarray:
    size = int(np.prod(graph.nodes["input"].shape))
    return (np.random.default_rng(seed).random((2, STEPS, size)) < 0.5).astype(np.uint8)


def quantised(seed: int, **settings_: Any) -> Graph:
    rng = np.random.default_rng(seed)
    floats = chain(rng, [8, 7, 5], beta=0.75, timesteps=STEPS)
    samples = (rng.random((6, STEPS, 8)) < 0.5).astype(np.float32)
    return quantise(floats, calibrated(floats, samples), **settings_)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_file_read_and_written_again_is_the_same_network(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = Path(tempfile.mkdtemp(dir=tmp_path_factory.getbasetemp()))
    path = write(folder / "a.net", random_layers(np.random.default_rng(seed)))
    try:
        graph = read_net(path, timesteps=STEPS)
        back = write_net(graph, folder / "a_again.net")
    except ExportError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:  # weights that netx loses, or weights beyond a synapse because it lost their exponent
        assert any(word in refused for word in ("netx", "synapse holds", "weight is zero"))
        return
    spikes = inputs(graph, seed)
    for a, b in zip(rasters(graph, spikes), rasters(back, spikes), strict=True):
        np.testing.assert_array_equal(a, b)
    again = read_net(folder / "a_again.net", timesteps=STEPS)
    assert differences(back, again) in ([], ["settings"])  # the name is the file's
    assert sorted(p.name for p in folder.iterdir()) == ["a.net", "a_again.net"]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_networks_of_ours_fit_once_rounded(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    graph = quantised(seed, wide=("n1",) if seed % 3 == 0 else ())
    rounded = to_net_grid(graph)
    path = Path(tempfile.mkdtemp(dir=tmp_path_factory.getbasetemp())) / "a.net"
    back = write_net(rounded, path)
    spikes = inputs(graph, seed)
    ours, theirs, fine = (rasters(g, spikes) for g in (rounded, back, graph))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
    agreement = [float((a == b).mean()) for a, b in zip(ours, fine, strict=True)]
    assert min(agreement) > 0.85
    for n, node in rounded.nodes.items():
        if isinstance(node, IntegerNeuron):  # a scale still leads back to the floats
            np.testing.assert_allclose(
                node.threshold * 64 / node.scale, node.origin.threshold[0], atol=64 / node.scale.min()
            )
            assert n in graph.nodes


def test_a_graph_on_the_grid_stays(tmp_path: Path) -> None:
    layers = random_layers(np.random.default_rng(5), lags=False)
    graph = read_net(write(tmp_path / "a.net", layers), timesteps=STEPS)
    assert differences(to_net_grid(graph), graph) == []


def obstacles(graph: Graph, tmp_path: Path) -> str:
    with pytest.raises(ExportError) as caught:
        write_net(graph, tmp_path / "a.net")
    assert not list(tmp_path.iterdir())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def small() -> Graph:
    """Input of 1 x 4 x 4, a convolution to 2 x 4 x 4, a dense layer of 3."""
    rng = np.random.default_rng(0)
    image: Layer = {"type": "input", "shape": np.array([1, 4, 4])}
    sides = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1}
    weight = rng.integers(-60, 60, (2, 1, 3, 3)) * 2
    conv: Layer = {"type": "conv", "shape": np.array([2, 4, 4]), "weight": weight, **sides, **cuba(80)}
    flat: Layer = {"type": "flatten", "shape": np.array([32])}
    dense: Layer = {
        "type": "dense",
        "shape": np.array([3]),
        "weight": rng.integers(-60, 60, (3, 32)) * 2,
        **cuba(99),
    }
    with tempfile.TemporaryDirectory() as folder:
        return read_net(write(Path(folder) / "small.net", [image, conv, flat, dense]), timesteps=STEPS)


SMALL = small()


def _with(name: str, **changes: Any) -> Graph:
    return SMALL.with_node(name, replace(SMALL.nodes[name], **changes))


def _skip() -> Graph:
    skip = Synapses(Dense(np.ones((3, 16), np.int8), (1, 4, 4), (3,)), None, 0)
    edges = (*SMALL.edges, ("input", "skip"), ("skip", "neuron_dense3"))
    return replace(SMALL, nodes={**SMALL.nodes, "skip": skip}, edges=edges)


def _transposed() -> Graph:
    return _with("conv1", map=ConvTranspose2d(np.ones((1, 2, 3, 3), np.int8), (1, 4, 4), padding=(1, 1)))


def _behind_dense() -> Graph:
    """A convolution behind a dense layer that makes an image."""
    weight = np.ones((16, 16), np.int8)
    weight[0] = -1
    first = Synapses(Dense(weight, (1, 4, 4), (1, 4, 4)), None, 0)
    node = SMALL.nodes["neuron_conv1"]
    assert isinstance(node, IntegerNeuron)
    fields = ("current_decay", "membrane_decay", "threshold", "bias_mantissa", "bias_exponent", "scale")
    cut = {f: getattr(node, f)[:16] for f in fields}
    image = replace(node, shape=(1, 4, 4), origin=replace(node.origin, shape=(1, 4, 4)), **cut)
    edges = [e for e in SMALL.edges if e != ("input", "conv1")]
    edges += [("input", "first"), ("first", "image"), ("image", "conv1")]
    return replace(SMALL, nodes={**SMALL.nodes, "first": first, "image": image}, edges=tuple(edges))


def _wide() -> Graph:
    dense = SMALL.nodes["dense3"]
    assert isinstance(dense, Synapses)
    fine = replace(dense, refines="dense3")
    graph = SMALL.with_node("dense3", replace(dense, exponent=7))
    edges = (*graph.edges, ("neuron_conv1", "dense3_low"), ("dense3_low", "neuron_dense3"))
    return replace(graph, nodes={**graph.nodes, "dense3_low": fine}, edges=edges)


def _negative() -> Graph:
    dense = SMALL.nodes["dense3"]
    assert isinstance(dense, Synapses)
    weight = -np.ones_like(dense.map.weight)
    weight[0, 0] = -2
    return SMALL.with_node("dense3", replace(dense, map=with_weight(dense.map, weight)))


def _static() -> Graph:
    coded = SMALL.with_node("input", Input((1, 4, 4), "direct"))
    node, conv = SMALL.nodes["neuron_conv1"], SMALL.nodes["conv1"]
    assert isinstance(node, IntegerNeuron)
    assert isinstance(conv, Synapses)
    origin = replace(node.origin, static=True, alpha=np.zeros(1))
    floats = replace(conv, map=with_weight(conv.map, np.ones((2, 1, 3, 3), np.float32)), exponent=None)
    coded = coded.with_node("neuron_conv1", replace(node, static=True, origin=origin))
    return coded.with_node("conv1", floats)


def _bias(value: int, **changes: Any) -> dict[str, Any]:
    mantissa, exponent = split_bias(np.full(3, value))
    return {"bias_mantissa": mantissa, "bias_exponent": exponent, **changes}


LISTED: list[tuple[str, Graph, tuple[str, ...]]] = [
    ("skip", _skip(), ("1 of its nodes: skip (joins input to neuron_dense3",)),
    ("transposed", _transposed(), ("conv1 (netx has no ConvTranspose2d)",)),
    (
        "behind dense",
        _behind_dense(),
        ("conv1 (takes an image (1, 4, 4), and a dense layer of netx gives a vector",),
    ),
    (
        "wide",
        _wide(),
        ("2 of its nodes", "dense3 (has a weight of", "dense3_low (has", "together with 1 more"),
    ),
    ("exponent", _with("conv1", exponent=4), ("conv1 (has a weight of", "-256..254")),
    ("one sign", _negative(), ("dense3 (netx, which has fewer bits for weights of one sign, turns -",)),
    (
        "static",
        _static(),
        ("2 of its nodes", "input (real values", "neuron_conv1 (the host drives it by a bias"),
    ),
    (
        "fine bias",
        _with("neuron_dense3", **_bias(100)),
        ("neuron_dense3 (a bias of 100 is no multiple of 64)",),
    ),
    (
        "large bias",
        _with("neuron_dense3", **_bias(64 * 5000)),
        ("a bias of 5000 * 64 is outside -4096..4095",),
    ),
    ("line", _with("neuron_dense3", line=np.array([1, 0, 0])), ("enters a current that decays",)),
    ("slow convolution", _with("conv1", lag=2), ("conv1 (lags by 2",)),
    (
        "subtracting",
        _with("neuron_conv1", origin=replace(SMALL.nodes["neuron_conv1"].origin, reset="subtract")),
        ("neuron_conv1 (resets by subtraction)",),
    ),
    (
        "host function",
        SMALL.with_host_step(HostStep("tanh", "neuron_dense3")),
        ("neuron_dense3 (the host computes tanh there)",),
    ),
]


@pytest.mark.parametrize(("graph", "words"), [e[1:] for e in LISTED], ids=[e[0] for e in LISTED])
def test_what_the_format_cannot_hold_is_listed(graph: Graph, words: tuple[str, ...], tmp_path: Path) -> None:
    message = obstacles(graph, tmp_path)
    assert "small: a .net file cannot hold" in message
    for word in words:
        assert word in message, message


def test_every_node_in_the_way_is_in_the_list(tmp_path: Path) -> None:
    graph = (
        _skip()
        .with_node("conv1", _transposed().nodes["conv1"])
        .with_host_step(HostStep("tanh", "neuron_conv1"))
    )
    message = obstacles(graph, tmp_path)
    assert "3 of its nodes" in message
    for name in ("skip (", "conv1 (", "neuron_conv1 ("):
        assert name in message


def test_a_bias_beside_spikes_that_lag_is_listed(tmp_path: Path) -> None:
    slow = _with("dense3", lag=2)
    write_net(slow, tmp_path / "slow.net")
    (tmp_path / "slow.net").unlink()
    message = obstacles(
        slow.with_node("neuron_dense3", replace(slow.nodes["neuron_dense3"], **_bias(64))), tmp_path
    )
    assert "neuron_dense3 (it has a bias, which in netx acts ahead of a sample" in message


def test_a_file_holds_what_slayer_writes(tmp_path: Path) -> None:
    write_net(SMALL, tmp_path / "a.net")
    with h5py.File(tmp_path / "a.net") as file:
        kinds = [file[f"layer/{i}/type"][0].decode() for i in range(4)]
        assert kinds == ["input", "conv", "flatten", "dense"]
        conv = file["layer/1"]
        assert conv["shape"][()].tolist() == [2, 4, 4]
        assert conv["neuron/type"][()] == b"CUBA"
        assert conv["neuron/vThMant"][()] == 80
        assert conv["inChannels"][()] == 1
        assert conv["weight"].shape == (2, 1, 3, 3)
        assert "bias" not in conv


def test_a_failed_write_leaves_the_file_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.net"
    target.write_bytes(b"before")
    with pytest.raises(ExportError, match="small"):
        write_net(_skip(), target)
    assert target.read_bytes() == b"before"
    monkeypatch.setattr(
        "spikewright.export.net_write._entry", lambda layer: {"type": b"dense", "shape": (3,)}
    )
    with pytest.raises(ExportError, match="weight is missing"):
        write_net(SMALL, target)
    assert [p.name for p in tmp_path.iterdir()] == ["a.net"]
    monkeypatch.undo()
    with pytest.raises(ExportError, match="cannot be written"):
        write_net(SMALL, tmp_path / "no folder" / "a.net")


def test_what_does_not_read_back_equal_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(path: Path, *rest: Any) -> Any:
        network = parse(path, *rest)
        conv = network.layers[0]
        assert isinstance(conv.map, Conv2d)
        changed = replace(conv, map=replace(conv.map, padding=(0, 0)))
        return replace(network, layers=(changed, *network.layers[1:]))

    monkeypatch.setattr("spikewright.export.net_write.parse", other)
    with pytest.raises(ExportError, match="does not read back equal at conv1"):
        write_net(SMALL, tmp_path / "a.net")
    assert not list(tmp_path.iterdir())
