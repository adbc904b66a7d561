"""Files of other tools that are refused, each in one line with its reason."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from spikewright.export.errors import ExportError
from spikewright.export.foreign.convert import read_foreign
from spikewright.export.nir_read import read_graph
from spikewright.export.nir_write import write_nir

from .foreign_graphs import DT, chain, enter, leave, write
from .test_foreign import AFFINE, BACK, CHOICES, DELAY, LEAVE, SPIKES, WEIGHT, agrees, lif, refused, simple

UNEVEN = ("wait", {"type": "Delay", "delay": DT * np.array([0.0, 1.0, 1.0])})


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (simple(lif(v_leak=0.05)), ("neurons", "'v_reset'", "'v_leak'")),
        (simple(lif(v_threshold=0.0)), ("neurons", "'v_threshold'", "fires without input")),
        (simple(lif(tau=-DT)), ("neurons", "'tau'", "above zero")),
        (simple(lif(tau=np.inf)), ("neurons", "'tau'", "infinite")),
        (simple(("neurons", {**lif()[1], "tau": np.full(2, DT)})), ("neurons", "'tau'", "(2,)")),
        (simple(("neurons", {**lif()[1], "tau": np.zeros(0)})), ("neurons", "'tau'", "empty")),
        (simple(("wait", {"type": "Delay", "delay": np.full(3, 1.5 * DT)}), lif()), ("wait", "'delay'", "whole number")),
        (simple(("wait", {"type": "Delay", "delay": np.full(3, 1e300)}), lif()), ("wait", "'delay'", "at most")),
        (chain(enter(4), AFFINE, lif(), LEAVE, more=[("layer", "neurons")]), ("neurons", "fed twice by layer")),
        (chain(enter(4), AFFINE, lif(), LEAVE, more=[("layer", "ghost")]), ("layer -> ghost", "no node")),
        (chain(enter(5), AFFINE, lif(), LEAVE), ("layer", "takes 4 values")),
        (chain(enter(4), AFFINE, lif(), leave(2)), ("output", "'shape'", "(2,)")),
        (chain(enter(4), ("layer", {**AFFINE[1], "gain": 1.0}), lif(), LEAVE), ("layer", "no field 'gain'")),
        (chain(enter(4), ("layer", {"type": "Affine", "weight": WEIGHT}), lif(), LEAVE), ("layer", "without field 'bias'")),
        (chain(enter(4), ("layer", {"type": "Resonator"}), lif(), LEAVE), ("layer", "'Resonator'", "lower it")),
        (chain(enter(4), AFFINE, lif(), LEAVE, more=[("back", "neurons")]), ("back",)),
    ],
)  # fmt: skip
def test_what_is_refused_and_why(graph: dict[str, Any], words: tuple[str, ...], tmp_path: Path) -> None:
    refused(write(tmp_path / "a.nir", graph), CHOICES, *words)


def test_a_loop_that_is_entered_at_two_nodes_is_refused(tmp_path: Path) -> None:
    graph = chain(
        enter(4), AFFINE, lif(), ("on", {"type": "Linear", "weight": BACK}), ("second", lif()[1]), LEAVE
    )
    graph["nodes"]["back"] = {"type": "Linear", "weight": BACK}
    graph["edges"] += [("second", "back"), ("back", "neurons")]
    agrees(write(tmp_path / "a.nir", graph), SPIKES)  # entered at the first only
    graph["nodes"]["more"] = {"type": "Linear", "weight": WEIGHT}
    graph["edges"] += [("input", "more"), ("more", "second")]
    refused(write(tmp_path / "b.nir", graph), CHOICES, "step late", "feed the loop at one of them")


def test_names_that_parts_of_a_node_would_take(tmp_path: Path) -> None:
    """A node that falls into several must not replace another of the same name."""
    negative = ("neurons", {**lif(r=-1.0)[1]})
    taken = ("neurons_gain", {"type": "Scale", "scale": np.full(3, -2.0)})
    graph = chain(
        enter(4), AFFINE, taken, ("wait_in", {"type": "Scale", "scale": np.ones(3)}), DELAY, negative, LEAVE
    )
    agrees(write(tmp_path / "a.nir", graph), SPIKES)


def test_links_and_data_of_other_files_are_refused(tmp_path: Path) -> None:
    path, other = write(tmp_path / "a.nir", simple()), write(tmp_path / "b.nir", simple())
    weight = "node/nodes/layer/weight"
    for name, make in {
        "soft": lambda f: h5py.SoftLink("/node/nodes/layer/bias"),
        "external": lambda f: h5py.ExternalLink(str(other), weight),
    }.items():
        shutil.copy(path, tmp_path / "c.nir")
        with h5py.File(tmp_path / "c.nir", "r+") as file:
            del file[weight]
            file[weight] = make(file)
        refused(tmp_path / "c.nir", CHOICES, "layer", "'weight'", name)
    for name in ("node", "node/nodes"):  # cycles of hard links
        shutil.copy(path, tmp_path / "c.nir")
        with h5py.File(tmp_path / "c.nir", "r+") as file:
            file["node/nodes/again"] = file["node"]
            file["node/nodes/more"] = file["node"]
        refused(tmp_path / "c.nir", CHOICES, "nested deeper" if name else "")


def test_a_shape_that_a_file_only_claims_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nir", simple())
    for shape in ((3, 1 << 40), (1 << 27,), (4000, 4000)):
        with h5py.File(path, "r+") as file:
            del file["node/nodes/layer/weight"]
            file["node/nodes/layer"].create_dataset(
                "weight", shape=shape, dtype="f8", chunks=(1,) * len(shape)
            )
        refused(path, CHOICES, "layer", "'weight'", "claims")


def test_a_string_heap_without_end_is_refused(tmp_path: Path) -> None:
    """HDF5 itself would read it for ever."""
    path = write(tmp_path / "a.nir", simple())
    content = bytearray(path.read_bytes())
    at = content.index(b"GCOL") + 16
    content[at : at + 16] = bytes(16)
    path.write_bytes(content)
    refused(path, CHOICES, "strings at byte", "export it again")


def test_an_own_file_with_columns_that_are_no_integers_is_refused(tmp_path: Path) -> None:
    """Cast, they would lead out of the matrix."""
    write_nir(
        read_foreign(write(tmp_path / "a.nir", chain(enter(3), UNEVEN, lif(), LEAVE)), CHOICES),
        tmp_path / "own.nir",
    )
    for key, value in (("columns", 1e30), ("row_pointer", np.nan), ("columns", 1j)):
        shutil.copy(tmp_path / "own.nir", tmp_path / "c.nir")
        with h5py.File(tmp_path / "c.nir", "r+") as file:
            found = [n["metadata"] for n in file["node/nodes"].values() if key in n.get("metadata", ())]
            assert found
            array = found[0][key][()].astype(type(value))
            array[-1] = value
            del found[0][key]
            found[0][key] = array
        with pytest.raises(ExportError, match=r"c\.nir: "):
            read_graph(tmp_path / "c.nir")
