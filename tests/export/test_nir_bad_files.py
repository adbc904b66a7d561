"""Files that must be refused: each with an ExportError that names the file, and never in silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikewright.export import nir_extension
from spikewright.export.calibration import Calibration
from spikewright.export.errors import ExportError
from spikewright.export.float_run import run_float
from spikewright.export.graph import Graph
from spikewright.export.nir_build import METADATA
from spikewright.export.nir_read import read_graph
from spikewright.export.nir_write import differences, write_nir
from spikewright.export.quantise import quantise
from tests.export.graphs import chain
from tests.export.networks import samples
from tests.export.test_nir import STEPS, lowered

Edit = Callable[[h5py.File], Any]


def _integer(name: str) -> Graph:
    graph = lowered(name)
    return quantise(graph, Calibration.of(run_float(graph, samples(name, timesteps=STEPS))))


GRAPHS: dict[str, Graph] = {
    "float": lowered("generator"),
    "conv": lowered("sequential"),
    "integer": _integer("generator"),
    "static": _integer("residual"),
}


def written(path: Path, kind: str, dense_limit: int = 1 << 26) -> Path:
    write_nir(GRAPHS[kind], path, dense_limit)
    return path


def refused(path: Path, *words: str) -> None:
    with pytest.raises(ExportError) as caught:
        read_graph(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: "), message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("kind", ["float", "integer"])
def test_a_file_cut_anywhere_is_refused(kind: str, tmp_path: Path) -> None:
    whole = written(tmp_path / "a.nir", kind, 0).read_bytes()
    cut = tmp_path / "cut.nir"
    for end in sorted({0, 1, 7, 8, 47, 96, 512, *range(0, len(whole), len(whole) // 120), len(whole) - 1}):
        cut.write_bytes(whole[:end])
        refused(cut, "truncated or no HDF5 file", "export it again")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"\x89HDF\r\n\x1a\n", b"{}", bytes(4096)])
def test_what_is_no_hdf5_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.nir").write_bytes(content)
    refused(tmp_path / "a.nir", "truncated or no HDF5 file")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "a.nir", "no such file", "spikewright export")
    refused(tmp_path)


def test_an_hdf5_file_of_something_else_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nir", "w") as file:
        file["images"] = np.zeros((3, 4))
    refused(tmp_path / "a.nir", "not a valid NIR graph")


def _foreign() -> nir.NIRGraph:
    weight, one = np.ones((3, 4), np.float32), np.ones(3)
    nodes = {
        "in": nir.Input(np.array([4])),
        "w": nir.Linear(weight),
        "n": nir.LIF(one, one, one * 0, one, one * 0),
    }
    return nir.NIRGraph(
        {**nodes, "out": nir.Output(np.array([3]))},
        [("in", "w"), ("w", "n"), ("n", "out")],
        {"author": "somebody"},
    )


def test_the_file_of_another_tool_is_refused_for_what_it_does_not_state(tmp_path: Path) -> None:
    nir.write(str(tmp_path / "a.nir"), _foreign())
    refused(tmp_path / "a.nir", "time steps, reset kind or input coding", METADATA)
    nir.write(str(tmp_path / "b.nir"), nir.Linear(np.ones((2, 2))))
    refused(tmp_path / "b.nir")


def _replace(group: Any, key: str, value: Any) -> None:
    del group[key]
    group[key] = value


def _add(group: Any, key: str, value: Any) -> None:
    array = group[key][()]
    array.flat[-1] += value
    _replace(group, key, array)


def node(file: h5py.File, name: str) -> Any:
    return file["node/nodes"][name]


def _header(file: h5py.File, name: str | None, **changes: Any) -> None:
    """Change fields of the JSON that a node (or the graph) carries."""
    group = (file["node"] if name is None else node(file, name))["metadata"]
    header = json.loads(group[METADATA][()])
    _replace(group, METADATA, json.dumps({**header, **changes}))


def _drop_header(file: h5py.File, name: str | None, key: str | None = None) -> None:
    group = (file["node"] if name is None else node(file, name))["metadata"]
    header = json.loads(group[METADATA][()])
    del group[METADATA]
    if key is not None:
        group[METADATA] = json.dumps({k: v for k, v in header.items() if k != key})


EDITS: list[tuple[str, str, Edit, tuple[str, ...]]] = [
    (
        "an unknown node",
        "float",
        lambda f: _replace(node(f, "seed"), "type", "Resonator"),
        ("seed is a Resonator", "NIR"),
    ),
    ("a node without type", "float", lambda f: node(f, "seed").__delitem__("type"), ()),
    ("no nodes", "float", lambda f: f["node"].__delitem__("nodes"), ()),
    ("no edges", "float", lambda f: f["node"].__delitem__("edges"), ()),
    ("a node less", "float", lambda f: f["node/nodes"].__delitem__("seed"), ()),
    ("a field less", "float", lambda f: node(f, "seed").__delitem__("tau"), ("NIR",)),
    (
        "a weight of the matrix",
        "float",
        lambda f: _add(node(f, "up"), "weight", 1),
        ("up", "'weight'", "contradicts"),
    ),
    (
        "a weight of the kernel",
        "float",
        lambda f: _add(node(f, "up/metadata"), "kernel", 1),
        ("up", "contradicts"),
    ),
    (
        "a threshold",
        "float",
        lambda f: _add(node(f, "seed"), "v_threshold", 1),
        ("seed", "'v_threshold'", "contradicts"),
    ),
    (
        "a stated threshold",
        "float",
        lambda f: _add(node(f, "seed/metadata"), "threshold", 1),
        ("seed", "contradicts"),
    ),
    (
        "a time constant",
        "float",
        lambda f: _add(node(f, "seed"), "tau", 1e-4),
        ("seed", "'tau'", "contradicts"),
    ),
    ("a resistance", "float", lambda f: _add(node(f, "read"), "r", 1), ("read", "'r'", "contradicts")),
    (
        "a reset voltage",
        "float",
        lambda f: _add(node(f, "seed"), "v_reset", 0.1),
        ("seed", "'v_reset'", "contradicts"),
    ),
    (
        "a leak voltage",
        "float",
        lambda f: _add(node(f, "seed"), "v_leak", 0.1),
        ("seed", "'v_leak'", "contradicts"),
    ),
    ("a beta", "float", lambda f: _add(node(f, "seed/metadata"), "beta", -0.25), ("seed", "contradicts")),
    ("a time step", "float", lambda f: _header(f, None, dt=1e-3), ("contradicts",)),
    ("a NaN weight", "float", lambda f: _add(node(f, "expand"), "weight", np.nan), ("expand", "NaN")),
    ("an infinite bias", "float", lambda f: _add(node(f, "expand"), "bias", np.inf), ("expand", "infinite")),
    (
        "a stride",
        "float",
        lambda f: _replace(node(f, "up/metadata"), "structure", _structure(f, stride=[1, 2])),
        (),
    ),
    ("a convolution's stride", "conv", lambda f: _replace(node(f, "0"), "stride", np.array([1, 1])), ()),
    ("no time steps", "float", lambda f: _drop_header(f, None, "timesteps"), ("timesteps",)),
    ("no coding", "float", lambda f: _drop_header(f, "input", "coding"), ("coding",)),
    ("an unknown coding", "float", lambda f: _header(f, "input", coding="rate"), ("'rate'",)),
    ("negative time", "float", lambda f: _header(f, None, timesteps=-4), ("timesteps is -4",)),
    ("fractional time", "float", lambda f: _header(f, None, timesteps=4.5), ("timesteps is 4.5",)),
    ("another version", "float", lambda f: _header(f, None, version=99), ("format version 99", "reads 2")),
    ("no graph header", "float", lambda f: _drop_header(f, None), (METADATA,)),
    ("no node header", "float", lambda f: _drop_header(f, "seed"), ("seed", METADATA, "missing")),
    ("a header of no JSON", "float", lambda f: _replace(node(f, "seed/metadata"), METADATA, "{"), ()),
    (
        "a header of no table",
        "float",
        lambda f: _replace(node(f, "seed/metadata"), METADATA, "[1]"),
        ("seed", "no table"),
    ),
    ("a header of numbers", "float", lambda f: _replace(node(f, "seed/metadata"), METADATA, np.ones(3)), ()),
    (
        "a host step nowhere",
        "float",
        lambda f: _header(f, None, host_steps=[_step("ghost")]),
        ("ghost", "host step"),
    ),
    (
        "a host step without arrays",
        "float",
        lambda f: _header(f, None, host_steps=[_step("seed", "gone")]),
        ("gone",),
    ),
    ("a static population", "float", lambda f: _header(f, "seed", static=True), ()),
    ("a population no longer static", "static", lambda f: _header(f, "stem_2", static=False), ()),
    (
        "an integer weight",
        "integer",
        lambda f: _add(node(f, "up"), "weight", 1),
        ("up", "'weight'", "contradicts"),
    ),
    ("an integer bias", "integer", lambda f: _add(node(f, "up"), "bias", 1), ("up", "'bias'", "contradicts")),
    (
        "a stated mantissa",
        "integer",
        lambda f: _add(node(f, "seed/metadata"), "bias_mantissa", 1),
        ("contradicts",),
    ),
    (
        "an integer threshold",
        "integer",
        lambda f: _add(node(f, "seed"), "v_threshold", 64),
        ("seed", "'v_threshold'"),
    ),
    (
        "a stated integer threshold",
        "integer",
        lambda f: _add(node(f, "seed/metadata"), "threshold_mantissa", 1),
        ("seed",),
    ),
    (
        "a decay",
        "integer",
        lambda f: _add(node(f, "seed/metadata"), "membrane_decay", -7),
        ("seed", "contradicts"),
    ),
    (
        "a decay of no register",
        "integer",
        lambda f: _add(node(f, "seed/metadata"), "current_decay", 1000),
        ("seed", "5095"),
    ),
    ("an exponent", "integer", lambda f: _header(f, "up", exponent=-1), ("contradicts",)),
    (
        "weights of no int8",
        "integer",
        lambda f: _replace(node(f, "expand"), "weight", np.ones((24, 5))),
        ("expand", "float64"),
    ),
    ("more bits than stated", "integer", lambda f: _header(f, None, weight_bits=3), ("outside -3..3",)),
    (
        "bits lost",
        "integer",
        lambda f: _header(f, None, weight_bits=None),
        ("does not belong to the float level",),
    ),
    (
        "registers too short",
        "integer",
        lambda f: _replace(node(f, "seed/metadata"), "bias_exponent", np.zeros(3, int)),
        ("(3,)",),
    ),
    (
        "a scale of NaN",
        "integer",
        lambda f: _add(node(f, "seed/metadata"), "scale", np.nan),
        ("seed", "scale", "NaN"),
    ),
    (
        "a static scale",
        "static",
        lambda f: _add(node(f, "stem_2/metadata"), "scale", 5.0),
        ("stem_2", "contradicts"),
    ),
]


def _step(where: str, *arrays: str) -> dict[str, Any]:
    return {"kind": "rate_prior", "node": where, "arrays": list(arrays)}


def _structure(file: h5py.File, **changes: Any) -> str:
    return json.dumps({**json.loads(node(file, "up/metadata")["structure"][()]), **changes})


@pytest.mark.parametrize(("kind", "edit", "words"), [e[1:] for e in EDITS], ids=[e[0] for e in EDITS])
def test_an_edited_file_is_refused(kind: str, edit: Edit, words: tuple[str, ...], tmp_path: Path) -> None:
    path = written(tmp_path / "a.nir", kind)
    with h5py.File(path, "r+") as file:
        edit(file)
    refused(path, *words)


@pytest.mark.parametrize("field", ["kernel", "bias", "structure"])
def test_a_damaged_extension_node_is_refused(field: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.nir", "integer", dense_limit=0)
    with h5py.File(path, "r+") as file:
        del node(file, "up")[field]
        if field != "structure":
            node(file, "up")[field] = np.ones((2, 2), np.int8)
    refused(path)


def test_a_file_is_read_without_its_primitive_registered_beforehand(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nir", "integer", dense_limit=0)
    known = getattr(nir.ir, "__all_ir")
    known.remove(nir_extension.ConvolutionMap.__name__)
    assert differences(read_graph(path), GRAPHS["integer"]) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5000) | st.floats(allow_nan=True) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), value=JSON)
def test_whatever_a_header_holds_the_answer_is_a_legal_graph_or_a_refusal(
    data: st.DataObject, value: Any, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("nir") / "a.nir"
    nir.write(str(path), _chain_file(path))
    with h5py.File(path, "r+") as file:
        name = data.draw(st.sampled_from([None, *file["node/nodes"]]))
        group = (file["node"] if name is None else node(file, name))["metadata"]
        header = json.loads(group[METADATA][()])
        _replace(group, METADATA, json.dumps({**header, data.draw(st.sampled_from(sorted(header))): value}))
    refusal = ""
    try:
        write_nir(read_graph(path), path)  # legal, and nothing lost
    except ExportError as error:
        refusal = str(error)
    assert not refusal or refusal.startswith(f"{path}: ")


_CHAIN = chain(np.random.default_rng(0), [4, 3, 2], readout=True)


def _chain_file(path: Path) -> nir.NIRGraph:
    write_nir(_CHAIN, path)
    return nir.read(str(path))
