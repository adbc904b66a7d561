"""What a .net file says becomes the graph that netx would run; what netx drops or cannot do is said or refused."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikewright.export.errors import ExportError
from spikewright.export.graph import LI, Graph, IntegerNeuron, Synapses
from spikewright.export.net_read import read_net
from spikewright.export.net_weights import MOST_PARTS, effective_dense, int8_parts
from spikewright.export.nir_read import read_graph
from spikewright.export.nir_write import differences, write_nir
from spikewright.export.unroll import unroll
from spikewright.hardware import reference
from spikewright.hardware.compile import compile_program
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.program import Inputs
from spikewright.hardware.recording import compare
from tests.export.net_files import Layer, cuba, random_layers, write

DENSE: Layer = {
    "type": "dense",
    "shape": np.array([3]),
    "weight": np.array([[2, -4], [6, 254], [-256, 8]]),
    **cuba(40),
}
CONV: Layer = {
    "type": "conv",
    "shape": np.array([2, 3, 4]),
    "stride": 1,
    "padding": np.array([0, 1]),
    "dilation": 1,
    "groups": 1,
    "weight": np.arange(-6, 6).reshape(2, 1, 2, 3) * 6 + 2,
    **cuba(50),
}
IMAGE: Layer = {"type": "input", "shape": np.array([1, 4, 4])}


def weights(graph: Graph, target: str, lag: int = 0) -> np.ndarray:
    """What a spike adds to each neuron, over all groups of a lag."""
    groups = [g for s in graph.sources(target) if isinstance(g := graph.nodes[s], Synapses) and g.lag == lag]
    return sum(unroll(g.map).toarray().astype(int) * 2 ** (g.exponent + 1) for g in groups)


def read(tmp_path: Path, layers: list[Layer], **settings_: Any) -> Graph:
    return read_net(write(tmp_path / "a.net", layers), **{"timesteps": 6, **settings_})


def refusal(tmp_path: Path, layers: list[Layer], **settings_: Any) -> str:
    with pytest.raises(ExportError) as caught:
        read(tmp_path, layers, **settings_)
    assert str(caught.value).startswith(f"{tmp_path / 'a.net'}: ")
    return str(caught.value)


def test_registers_and_weights_are_those_of_the_file(tmp_path: Path) -> None:
    layer = {
        **DENSE,
        **cuba(np.array([0, 7, 131071]), 1000, np.array([0, 4096, 5])),
        "bias": np.array([1, -2, 0]),
    }
    graph = read(tmp_path, [layer])
    node = graph.nodes["neuron_dense0"]
    assert isinstance(node, IntegerNeuron)
    np.testing.assert_array_equal(weights(graph, "neuron_dense0"), DENSE["weight"])
    assert node.threshold.tolist() == [0, 7, 131071]
    assert node.current_decay.tolist() == [999] * 3
    assert node.membrane_decay.tolist() == [0, 4096, 5]
    assert (node.bias_mantissa << node.bias_exponent).tolist() == [64, -128, 0]
    assert node.scale.tolist() == [64.0] * 3
    # In the unit of the file a threshold of 7 is 7, and one of 0 is passed by the smallest membrane.
    assert node.origin.threshold.tolist() == [1 / 128, 7, 131071]
    assert node.origin.alpha.tolist() == pytest.approx([1 - 1000 / 4096])


def test_an_image_goes_through_in_order_of_channels_height_width(tmp_path: Path) -> None:
    layer = {**CONV, "bias": np.arange(24).reshape(4, 3, 2), **cuba(np.arange(24).reshape(4, 3, 2))}
    graph = read(tmp_path, [IMAGE, layer])
    node = graph.nodes["neuron_conv1"]
    assert isinstance(node, IntegerNeuron)
    # netx holds (width, height, channels): the channel runs fastest in the file.
    assert node.threshold.reshape(2, 3, 4)[1, 2, 3] == 23
    assert node.threshold.reshape(2, 3, 4)[0, 0, 1] == 6
    assert (node.bias_mantissa << node.bias_exponent).tolist() == (node.threshold * 64).tolist()
    by_channel = read(tmp_path, [IMAGE, {**CONV, "bias": np.array([3, -4]), **cuba(np.array([5, 9]))}])
    node = by_channel.nodes["neuron_conv1"]
    assert isinstance(node, IntegerNeuron)
    assert node.threshold.tolist() == [5] * 12 + [9] * 12


def test_a_layer_without_neurons_is_a_read_out(tmp_path: Path) -> None:
    last = {k: v for k, v in DENSE.items() if "neuron" not in k}
    graph = read(tmp_path, [last])
    node = graph.nodes["neuron_dense0"]
    assert isinstance(node, IntegerNeuron)
    assert node.readout
    assert isinstance(node.origin, LI)
    assert node.current_decay.tolist() == [-1] * 3
    assert node.membrane_decay.tolist() == [4096] * 3
    # lava-dl's Affine layers never fire either.
    affine = read(tmp_path, [{**DENSE, **cuba((1 << 18) - 1)}]).nodes["neuron_dense0"]
    assert isinstance(affine, IntegerNeuron)
    assert affine.readout


def test_delays_and_recurrence_are_lags(tmp_path: Path) -> None:
    back = np.array([[2, 0, 0], [0, -4, 0], [6, 0, 2]])
    recurrent = {**DENSE, "type": "dense_rec", "weight_rec": back}
    graph = read(tmp_path, [recurrent])
    np.testing.assert_array_equal(weights(graph, "neuron_dense_rec0", lag=1), back)
    delayed = read(tmp_path, [{**DENSE, "delay": np.array([[0, 1], [1, 3], [0, 0]])}])
    want = {0: [[2, 0], [0, 0], [-256, 8]], 1: [[0, -4], [6, 0], [0, 0]], 3: [[0, 0], [0, 254], [0, 0]]}
    for lag, matrix in want.items():
        np.testing.assert_array_equal(weights(delayed, "neuron_dense0", lag), matrix)


def test_delays_are_real_time(tmp_path: Path) -> None:
    fires = {**DENSE, "shape": np.array([1]), "weight": np.array([[100, -2]]), **cuba(50, 4096, 4096)}
    second = {**fires, "weight": np.array([[100]]), "delay": 3}
    graph = read(tmp_path, [{**fires, "delay": 2}, second], timesteps=8)
    spikes = np.zeros((1, 8, 2), np.uint8)
    spikes[0, 1, 0] = 1
    recording = Emulator(compile_program(graph)).run(Inputs({"input": spikes}), "spikes")
    assert np.flatnonzero(recording.spikes["neuron_dense0"]).tolist() == [3]
    assert np.flatnonzero(recording.spikes["neuron_dense1"]).tolist() == [6]


def test_a_bias_beside_lags_begins_with_the_sample_where_that_is_the_same(tmp_path: Path) -> None:
    layer = {**DENSE, "delay": 1, "bias": np.array([3, 0, -5])}
    forgetting = read(tmp_path, [{**layer, **cuba(40, 4096)}]).nodes["neuron_dense0"]
    assert isinstance(forgetting, IntegerNeuron)
    assert forgetting.line.tolist() == [3, 0, -5]
    assert not forgetting.bias_mantissa.any()
    keeping = read(tmp_path, [layer]).nodes["neuron_dense0"]
    assert isinstance(keeping, IntegerNeuron)
    assert not keeping.line.size
    assert keeping.bias_mantissa.any()


def test_what_netx_changes_or_ignores_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    layer = {**DENSE, "delay": np.array([0, 70, 3]), "weight": np.array([[-1, -2]] * 3), "neuron/refDelay": 4}
    graph = read(tmp_path, [layer], note=said.append)
    assert len(said) == 3
    assert "clamps delays of up to 70 to 62" in said[0]
    assert "changes 3 of 6 weights" in said[1]
    assert "ignores refDelay" in said[2]
    assert all(text.startswith("layer 0 (dense)") for text in said)
    np.testing.assert_array_equal(weights(graph, "neuron_dense0", 62), [[0, 0], [-1, -1], [0, 0]])


def test_a_file_without_an_input_layer_takes_its_shape_from_the_caller(tmp_path: Path) -> None:
    graph = read(tmp_path, [CONV], input_shape=(1, 4, 4))
    assert graph.nodes["input"].shape == (1, 4, 4)
    assert "state input_shape" in refusal(tmp_path, [CONV])
    assert "not (1, 4, 5) as stated" in refusal(tmp_path, [IMAGE, CONV], input_shape=(1, 4, 5))


def test_graded_input_reaches_the_first_layer(tmp_path: Path) -> None:
    program = compile_program(read(tmp_path, [{**DENSE, **cuba(1000, 4096, 0)}], peak=9))
    graded = np.full((1, 6, 2), 9, np.uint8)
    assert Emulator(program).run(Inputs({"input": graded})).counts["neuron_dense0"].tolist() == [[0, 6, 0]]


def test_input_neurons_are_driven_by_real_values(tmp_path: Path) -> None:
    given_ = {"type": "input", "shape": np.array([2]), **cuba(99, 5, 6), "weight": np.array([[2]]), "bias": 7}
    graph = read(tmp_path, [given_, DENSE])
    node, transform = graph.nodes["neuron_input"], graph.nodes["transform"]
    assert isinstance(node, IntegerNeuron)
    assert isinstance(transform, Synapses)
    assert node.static
    assert node.membrane_decay.tolist() == [6, 6]
    assert transform.map.weight.ravel().tolist() == [2]
    assert transform.bias is not None
    assert transform.bias.tolist() == [7]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_files_run_as_the_reference_says(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = np.random.default_rng(seed)
    layers = random_layers(rng)
    path = write(Path(tempfile.mkdtemp(dir=tmp_path_factory.getbasetemp())) / "a.net", layers)
    try:
        graph = read_net(path, timesteps=7)
    except ExportError:  # weights that netx loses
        return
    program = compile_program(graph)
    shape = graph.nodes["input"].shape
    inputs = Inputs({"input": rng.integers(0, 2, (2, 7, int(np.prod(shape)))).astype(np.uint8)})
    left, right = Emulator(program).run(inputs, "states"), reference.run(program, inputs)
    assert compare(left, right, [p.name for p in program.populations]).equal
    if seed % 4 == 0:
        nir_path = path.with_suffix(".nir")
        write_nir(graph, nir_path)
        assert differences(read_graph(nir_path), graph) == []


REFUSED: list[tuple[list[Layer], tuple[str, ...]]] = [
    ([{**DENSE, "type": "pool"}], ("layer 0 (pool)", "no pooling")),
    ([{**DENSE, "type": "upsample"}], ("layer 0 (upsample)", "netx skips")),
    ([DENSE, {"type": "average", "shape": np.array([3])}], ("layer 1 (average)", "count the spikes")),
    ([{**DENSE, "neuron/type": "SDNN"}], ("layer 0 (dense), neuron: type 'SDNN'", "CUBA")),
    ([{**DENSE, "neuron/type": "RF_PHASE"}], ("RF_PHASE", "CUBA")),
    ([{**DENSE, "weight": np.zeros((3, 2))}], ("layer 0 (dense)", "zero throughout")),
    ([{**DENSE, "weight": np.full((3, 2), 300)}], ("weight 300", "beyond")),
    ([{**DENSE, "weight": np.full((3, 2), np.nan)}], ("layer 0 (dense): weight holds 6 NaN",)),
    ([{**DENSE, "weight": np.full((3, 2), 1e300)}], ("weight holds 1e+300",)),
    ([{**DENSE, "weight": np.ones((2, 3))}], ("weight has shape (2, 3)", "(3, inputs)")),
    ([{**DENSE, "weight": np.ones((3, 2, 1))}], ("weight has shape (3, 2, 1)",)),
    ([{**DENSE, "shape": np.array([0])}], ("shape 0 is outside",)),
    ([{**DENSE, "shape": np.array([1 << 22, 1 << 22])}], ("shape is", "neurons are read")),
    ([{**DENSE, "shape": np.array([1.5])}], ("shape holds float64", "integers")),
    ([{**DENSE, "neuron/iDecay": 4097}], ("iDecay 4097 is outside 0..4096",)),
    ([{**DENSE, "neuron/vDecay": -1}], ("vDecay -1 is outside",)),
    ([{**DENSE, "neuron/vThMant": np.array([1, 2])}], ("vThMant has shape (2,)",)),
    ([{**DENSE, "neuron/vThMant": 40.0}], ("vThMant holds float64",)),
    ([{**DENSE, "neuron/vThMant": np.array([40, 140000, 40])}], ("never fire", "read-out")),
    ([{**DENSE, "bias": np.ones(2)}], ("bias has shape (2,)",)),
    ([{**DENSE, "bias": np.full(3, 5001)}], ("5001", "make it even")),
    ([{**DENSE, "bias": np.full(3, 40000)}], ("bias 40000 exceeds 16 bits",)),
    ([{**DENSE, "bias": np.full(3, 9000)}], ("bias 9000 is too large",)),
    ([{**DENSE, "delay": np.array([-1, 0, 0])}], ("delay is -1",)),
    ([{**DENSE, "delay": np.zeros(7)}], ("delay has shape (7,)",)),
    ([IMAGE, {**CONV, "delay": np.array([2, 0])}], ("layer 1 (conv): delay", "netx drops it")),
    ([IMAGE, {**CONV, "stride": np.array([1, 0])}], ("stride 0 is outside",)),
    ([IMAGE, {**CONV, "padding": np.array([1, 1, 1])}], ("padding has shape (3,)",)),
    ([IMAGE, {**CONV, "groups": 3}], ("groups do not divide 2",)),
    (
        [IMAGE, {**CONV, "shape": np.array([2, 4, 3])}],
        ("shape is (2, 4, 3), the convolution gives (2, 3, 4)",),
    ),
    ([IMAGE, {**CONV, "dilation": 9}], ("does not fit",)),
    ([IMAGE, {**CONV, "weight": np.full((2, 1, 2, 3), 1 << 24)}], ("wrap",)),
    ([IMAGE, {k: v for k, v in CONV.items() if "neuron" not in k}], ("neuron is missing",)),
    ([DENSE, CONV], ("is fed a vector of 3",)),
    ([DENSE, DENSE], ("takes 2 values, 3 come",)),
    ([DENSE, IMAGE], ("is no first layer",)),
    ([IMAGE], ("holds no layer with synapses",)),
    ([IMAGE, CONV, {**DENSE, "weight": np.ones((3, 24))}], ("is fed an image", "flatten")),
    ([{**DENSE, **cuba(1 << 18)}, {**DENSE, "weight": np.ones((3, 3))}], ("dense0, which never fires",)),
    ([{k: v for k, v in DENSE.items() if k != "weight"}], ("layer 0 (dense): weight is missing",)),
    ([{k: v for k, v in DENSE.items() if k != "neuron/vThMant"}], ("vThMant is missing",)),
    ([{**DENSE, "type": "dense_rec"}], ("weight_rec is missing",)),
    (
        [{**DENSE, "type": "dense_rec", "weight_rec": np.ones((3, 3)), "delay": 1}],
        ("one delay matrix for both",),
    ),
]


@pytest.mark.parametrize(("layers", "words"), REFUSED, ids=[words[0][:40] for _, words in REFUSED])
def test_what_cannot_be_run_is_refused(layers: list[Layer], words: tuple[str, ...], tmp_path: Path) -> None:
    message = refusal(tmp_path, layers)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("timesteps", [0, -3, 2.5])
def test_time_is_whole_and_positive(timesteps: Any, tmp_path: Path) -> None:
    assert "timesteps is" in refusal(tmp_path, [DENSE], timesteps=timesteps)


@settings(max_examples=300, deadline=None)
@given(
    weight=hnp.arrays(np.int64, (2, 3), elements=st.integers(-256, 255)),
    shift=st.integers(0, 7),
)
def test_weights_come_apart_exactly(weight: np.ndarray, shift: int) -> None:
    weight = weight << shift
    parts = int8_parts(weight)
    total = sum((q.astype(np.int64) * 2) << 8 >> (8 - e) if e >= 0 else q.astype(np.int64) for q, e in parts)
    np.testing.assert_array_equal(total if parts else np.zeros_like(weight), weight)
    assert len(parts) <= (0 if not weight.any() else 1 if np.abs(weight).max() <= 127 << shift else 2)
    assert all(np.abs(q.astype(int)).max() <= 127 for q, _ in parts)


def test_weights_beyond_three_groups_are_refused() -> None:
    assert len(int8_parts(np.array([32512 * MOST_PARTS]))) == MOST_PARTS
    with pytest.raises(ExportError, match="cannot be taken apart"):
        int8_parts(np.array([32512 * MOST_PARTS + 1]))


def test_weights_that_netx_loses_are_refused() -> None:
    with pytest.raises(ExportError, match="turns into zeros"):
        effective_dense([np.array([[255, 1]]), np.array([[-1]])])
    with pytest.raises(ExportError, match="only after spikes are added"):
        effective_dense([np.array([[-1, 0]])])
