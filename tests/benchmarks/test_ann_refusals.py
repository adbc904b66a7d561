"""ONNX files that cannot be counted: each is an error that names the file or node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from spikewright.benchmarks.ann import count_macs
from spikewright.benchmarks.errors import AnnError

from .test_ann import saved


@pytest.mark.parametrize(
    ("operator", "attributes", "domain"),
    [
        ("Einsum", {"equation": "ij,jk->ik"}, ""),
        ("MatMulInteger", {}, ""),
        ("LSTM", {"hidden_size": 2}, ""),
        ("Attention", {}, "com.microsoft"),
    ],
)
def test_an_operator_without_a_formula_is_an_error(
    tmp_path: Path, operator: str, attributes: dict[str, Any], domain: str
) -> None:
    node = helper.make_node(operator, ["x", "w"], ["y"], name="heavy", domain=domain, **attributes)
    graph = helper.make_graph(
        [node], "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, (2, 2)) for name in ("x", "w")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    with pytest.raises(AnnError, match=rf"net\.onnx: node heavy: .*{operator} may multiply and accumulate"):
        count_macs(path)


def test_an_unknown_shape_is_an_error(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="first")
    path = saved([node], tmp_path / "net.onnx", {"w": np.ones((1, 1, 3, 3), np.float32)}, (1, 1, "height", 5))
    with pytest.raises(AnnError, match="node first: the shape of x is unknown; export with fixed shapes"):
        count_macs(path)


def test_shapes_that_do_not_agree_are_an_error(tmp_path: Path) -> None:
    path = saved(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        tmp_path / "net.onnx",
        {"w": np.ones((3, 2), np.float32)},
        (1, 2),
    )
    with pytest.raises(AnnError, match="its shapes do not agree"):
        count_macs(path)


def test_files_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(AnnError, match=r"missing\.onnx: no such file; export_onnx writes one"):
        count_macs(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("this is not a model")
    with pytest.raises(AnnError, match=r"text\.onnx: not a readable ONNX file"):
        count_macs(tmp_path / "text.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(AnnError, match=r"empty\.onnx: not a readable ONNX file \(it holds no node\)"):
        count_macs(tmp_path / "empty.onnx")
    with pytest.raises(AnnError, match="not a readable ONNX file"):
        count_macs(tmp_path)
