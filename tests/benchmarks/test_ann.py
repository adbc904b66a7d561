"""Multiply-accumulates of ONNX graphs against hooks on torch modules and against onnxruntime's own arithmetic."""

from __future__ import annotations

import warnings
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from spikewright.benchmarks.ann import MacCount, count_macs, export_onnx
from spikewright.benchmarks.errors import AnnError
from spikewright.models.ann_vae import ANNVAE
from spikewright.models.esvae import SIZES


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def macs_by_hooks(module: nn.Module, sample_shape: tuple[int, ...]) -> list[int]:
    """Run the module; of each layer, apply it to ones with weights of one and add up what comes out."""
    found: list[int] = []

    def layer(self: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        x, w = (
            torch.ones_like(inputs[0], dtype=torch.float64),
            torch.ones_like(self.weight, dtype=torch.float64),
        )
        if isinstance(self, nn.Linear):
            y = F.linear(x, w)
        elif isinstance(self, nn.Conv2d):
            y = F.conv2d(x, w, None, self.stride, self.padding, self.dilation, self.groups)
        else:
            assert isinstance(self, nn.ConvTranspose2d)
            assert isinstance(self.padding, tuple)
            y = F.conv_transpose2d(
                x, w, None, self.stride, self.padding, self.output_padding, self.groups, self.dilation
            )
        assert y.shape == output.shape
        found.append(round(y.sum().item()))

    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    handles = [m.register_forward_hook(layer) for m in module.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        module.eval()(torch.zeros(1, *sample_shape))
    for handle in handles:
        handle.remove()
    return found


def exported(module: nn.Module, sample_shape: tuple[int, ...], path: Path) -> MacCount:
    export_onnx(module, sample_shape, path)
    return count_macs(path)


# Whole networks


def test_the_twin_of_small_esvae_counts_what_its_topology_says(tmp_path: Path) -> None:
    """607 848 multiply-accumulates, layer by layer as published for topology S, borders excluded."""
    twin = ANNVAE(SIZES["S"])
    counted = exported(twin, (1, 32, 32), tmp_path / "ann.onnx")
    assert [node.macs for node in counted.nodes] == [
        17672, 67712, 61952, 51200, 8192, 8192, 51200, 61952, 67712, 141376, 70688
    ]  # fmt: skip
    assert counted.macs == 607_848
    assert counted.name == "ann"
    assert counted.activations == 16928  # one value for each of the spiking twin's neurons
    assert [node.operator for node in counted.nodes] == ["Conv"] * 4 + ["Gemm"] * 2 + ["ConvTranspose"] * 5
    assert counted.not_counted["Relu"] == 9


def test_the_twin_equals_hooks_and_its_parameters_are_torchs(tmp_path: Path) -> None:
    twin = ANNVAE(SIZES["XS"])
    counted = exported(twin, (1, 16, 16), tmp_path / "ann.onnx")
    assert [node.macs for node in counted.nodes] == macs_by_hooks(twin, (1, 16, 16))
    # The variance head is not in the graph; batch normalisation is folded or not, as the exporter likes.
    used = [p for name, p in twin.named_parameters() if not name.startswith("log_variance")]
    norms = sum(
        p.numel()
        for m in twin.modules()
        if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)
        for p in m.parameters()
    )
    everything = sum(p.numel() for p in used)
    assert counted.parameters in (everything, everything - norms)


def random_nets() -> list[tuple[str, nn.Module, tuple[int, ...]]]:
    convs = nn.Sequential(
        nn.Conv2d(2, 6, (3, 2), stride=(2, 1), padding=(1, 0)),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=6),
        nn.GELU(),
        nn.Conv2d(6, 4, 1, groups=2, bias=False),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 3 * 3, 5),
    )
    ups = nn.Sequential(
        nn.Linear(6, 12),
        nn.Unflatten(1, (4, 1, 3)),
        nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 3), padding=(1, 0), output_padding=(1, 2), groups=2),
        nn.LeakyReLU(),
        nn.ConvTranspose2d(6, 2, 3, dilation=(2, 1), padding=1),
        nn.Sigmoid(),
    )
    same = nn.Sequential(nn.Conv2d(1, 2, (4, 3), padding="same"), nn.SiLU(), nn.Upsample(scale_factor=2))
    return [("convolutions", convs, (2, 11, 7)), ("transposed", ups, (6,)), ("same", same, (1, 5, 6))]


@pytest.mark.parametrize(("name", "net", "shape"), random_nets(), ids=[n for n, _, _ in random_nets()])
def test_small_networks_equal_hooks(
    name: str, net: nn.Module, shape: tuple[int, ...], tmp_path: Path
) -> None:
    counted = exported(net, shape, tmp_path / f"{name}.onnx")
    assert [node.macs for node in counted.nodes] == macs_by_hooks(net, shape)
    assert counted.parameters == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("name", "net", "shape"), random_nets(), ids=[n for n, _, _ in random_nets()])
def test_onnxruntime_computes_the_same(
    name: str, net: nn.Module, shape: tuple[int, ...], tmp_path: Path
) -> None:
    _same_as_torch(net, shape, tmp_path / f"{name}.onnx")


def test_onnxruntime_computes_the_same_twin(tmp_path: Path) -> None:
    twin = ANNVAE(SIZES["XS"])
    with torch.no_grad():  # running statistics other than those of a new network
        for _ in range(3):
            twin(torch.randn(8, 1, 16, 16))
    _same_as_torch(twin, (1, 16, 16), tmp_path / "twin.onnx")


def _same_as_torch(net: nn.Module, shape: tuple[int, ...], path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    export_onnx(net, shape, path)
    run = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for _ in range(3):
        x = torch.randn(1, *shape)
        with torch.no_grad():
            wanted = net.eval()(x).numpy()
        (given,) = run.run(None, {"input": x.numpy()})
        np.testing.assert_allclose(given, wanted, rtol=1e-4, atol=1e-5)


# Exporting


def test_export_is_silent_leaves_the_module_alone_and_writes_one_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.Flatten())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_onnx(net, (1, 5, 4), tmp_path / "net.onnx")
    assert capfd.readouterr() == ("", "")
    assert net.training
    assert all(m.training for m in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
    onnx.checker.check_model(onnx.load(tmp_path / "net.onnx"))


def test_export_replaces_an_older_file_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    export_onnx(nn.Linear(2, 3), (2,), path)
    first = path.read_bytes()
    with pytest.raises(AnnError, match=r"Linear: has no ONNX form for samples of shape \(5,\)"):
        export_onnx(nn.Linear(2, 3), (5,), path)
    assert path.read_bytes() == first
    export_onnx(nn.Linear(2, 4), (2,), path)
    assert count_macs(path).macs == 8
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


class Untraceable(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flip(0) if float(x.sum()) > 0 else torch.from_numpy(np.ones(3))[: int(x.sum())]


def test_what_has_no_onnx_form_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnError, match="Untraceable: has no ONNX form"):
        export_onnx(Untraceable(), (3,), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


# Operators one by one, written by hand


def saved(
    nodes: list[onnx.NodeProto], path: Path, tensors: dict[str, Any], shape: tuple[int | str, ...]
) -> Path:
    """A model over ``x`` of a shape that gives ``y``."""
    graph = helper.make_graph(
        nodes, "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def macs_by_runtime(path: Path, shape: tuple[int, ...]) -> int:
    """Ones through weights of one: every multiply-accumulate adds one to the output."""
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": np.ones(shape, np.float32)})
    return round(float(y.astype(np.float64).sum()))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]:
    """Operator, shapes of input and weight, attributes: one to three axes, groups, every kind of padding."""
    operator = draw(st.sampled_from(["Conv", "ConvTranspose"]))
    axes = draw(st.integers(1, 3))

    def each(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=axes, max_size=axes))

    groups, per_in, per_out = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel, size = each(1, 3), each(3, 7)
    stride, dilation = each(1, 3), each(1, 2)
    attributes: dict[str, Any] = {"group": groups, "strides": stride, "kernel_shape": kernel}
    padding = draw(st.sampled_from(["pads", "none", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if padding.startswith("SAME"):
        # Runtimes share out automatic padding of a transposed convolution in different ways; none exports it.
        assume(operator == "Conv")
        dilation = [1] * axes
    if any(d > 1 for d in dilation):
        attributes["dilations"] = dilation
    if padding == "pads":
        attributes["pads"] = each(0, 2) + each(0, 2)
    elif padding != "none":
        attributes["auto_pad"] = padding
    if operator == "ConvTranspose" and padding in ("pads", "none") and draw(st.booleans()):
        attributes["output_padding"] = [draw(st.integers(0, s - 1)) for s in stride]
    begin = attributes.get("pads", [0] * (2 * axes))
    for axis in range(axes):
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        total = begin[axis] + begin[axes + axis]
        assume(
            size[axis] + total >= reach
            if operator == "Conv"
            else (size[axis] - 1) * stride[axis] + reach > total
        )
    x = (draw(st.integers(1, 2)), groups * per_in, *size)
    weight = (
        (groups * per_out, per_in, *kernel) if operator == "Conv" else (groups * per_in, per_out, *kernel)
    )
    return operator, x, weight, attributes


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=convolutions())
def test_convolutions_equal_ones_through_the_runtime(
    tmp_path_factory: pytest.TempPathFactory,
    case: tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]],
) -> None:
    operator, shape, weight, attributes = case
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    node = helper.make_node(operator, ["x", "w"], ["y"], **attributes)
    saved([node], path, {"w": np.ones(weight, np.float32)}, shape)
    counted = count_macs(path)
    assert counted.macs == macs_by_runtime(path, shape)
    assert counted.parameters == prod(weight)


@pytest.mark.parametrize("output", [[9, 8], [8, 7], [10, 8]])
def test_a_transposed_convolution_with_a_given_output(tmp_path: Path, output: list[int]) -> None:
    node = helper.make_node(
        "ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], kernel_shape=[3, 3], output_shape=output
    )
    path = saved([node], tmp_path / "net.onnx", {"w": np.ones((2, 3, 3, 3), np.float32)}, (1, 2, 5, 4))
    assert count_macs(path).macs == macs_by_runtime(path, (1, 2, 5, 4))


@pytest.mark.parametrize(
    ("shape", "weight", "attributes"),
    [
        ((3, 4), (4, 5), {}),
        ((4, 3), (4, 5), {"transA": 1}),
        ((3, 4), (5, 4), {"transB": 1, "alpha": 1.0}),
        ((4, 3), (5, 4), {"transA": 1, "transB": 1}),
    ],
)
def test_gemm(
    tmp_path: Path, shape: tuple[int, int], weight: tuple[int, int], attributes: dict[str, Any]
) -> None:
    node = helper.make_node("Gemm", ["x", "w"], ["y"], **attributes)
    path = saved([node], tmp_path / "net.onnx", {"w": np.ones(weight, np.float32)}, shape)
    assert count_macs(path).macs == macs_by_runtime(path, shape) == 60


@pytest.mark.parametrize(
    ("shape", "weight", "macs"),
    [
        ((3, 4), (4, 5), 60),
        ((4,), (4, 5), 20),
        ((3, 4), (4,), 12),
        ((4,), (4,), 4),
        ((2, 1, 3, 4), (6, 4, 5), 720),
        ((2, 3, 4), (4, 5), 120),
    ],
)
def test_matmul(tmp_path: Path, shape: tuple[int, ...], weight: tuple[int, ...], macs: int) -> None:
    path = saved(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], tmp_path / "net.onnx",
        {"w": np.ones(weight, np.float32)}, shape,
    )  # fmt: skip
    assert count_macs(path).macs == macs_by_runtime(path, shape) == macs


def test_an_open_batch_counts_as_one(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"], name="dense"),
    ]
    path = saved(nodes, tmp_path / "net.onnx", {"w": np.ones((6, 5), np.float32)}, ("batch", 2, 3))
    counted = count_macs(path)
    assert (counted.macs, counted.activations) == (30, 5)
    assert counted.nodes[0].name == "dense"


def test_running_statistics_are_no_parameters(tmp_path: Path) -> None:
    tensors = {"w": np.ones((2, 1, 1, 1), np.float32)} | {
        name: np.ones(2, np.float32) for name in ("scale", "shift", "mean", "var")
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "var"], ["y"]),
    ]
    counted = count_macs(saved(nodes, tmp_path / "net.onnx", tensors, (1, 1, 3, 3)))
    assert counted.parameters == 2 + 2 + 2
    assert counted.not_counted == {"BatchNormalization": 1}
    assert counted.macs == 18


def test_unused_and_scalar_tensors_are_no_parameters(tmp_path: Path) -> None:
    tensors = {
        "half": np.float32(0.5).reshape(()),
        "unused": np.ones(7, np.float32),
        "w": np.ones((2, 2), np.float32),
    }
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Mul", ["m", "half"], ["y"])]
    assert count_macs(saved(nodes, tmp_path / "net.onnx", tensors, (1, 2))).parameters == 4
