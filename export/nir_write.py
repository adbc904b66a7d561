"""Graphs to NIR files, float or integer, written whole or not at all and read back before the call returns."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np

from .errors import ExportError
from .graph import Graph
from .levels import Level, require
from .nir_build import DENSE_LIMIT, build
from .nir_read import read_graph
from .whole_file import whole_file


def write_nir(graph: Graph, path: Path, dense_limit: int = DENSE_LIMIT) -> Graph:
    """Write a float or integer graph and return what a reader gets back.

    Parameters
    ----------
    graph : Graph
        At the float level, or integer after quantisation.
    path : Path
        Target; replaced only when the new file is complete and reads back equal.
    dense_limit : int
        Cells that maps without a NIR form of their own, such as transposed convolutions, may fill as plain ``Linear``
        nodes, which any NIR tool reads, all together. Beyond, the file holds an extension node
        (:mod:`spikewright.export.nir_extension`).

    Raises
    ------
    ExportError
        The graph is not legal, or the file cannot be written or does not read back equal.
    """
    level: Level = "float" if graph.settings.weight_bits is None else "integer"
    require(graph, level)
    nir_graph = build(graph, dense_limit)
    try:
        with whole_file(path) as temporary:
            # Fast compression: a lowered convolution is mostly zeros, and higher levels gain nothing.
            nir.write(str(temporary), nir_graph, compression="gzip", compression_opts=1)
            back = read_graph(temporary)
            unequal = differences(graph, back)
            if unequal:
                raise ExportError(
                    f"{path}: does not read back equal at {', '.join(unequal)}; please report this"
                )
    except OSError as error:
        raise ExportError(
            f"{path}: cannot be written ({error}); check the folder and its free space"
        ) from error
    return back


def differences(a: Graph, b: Graph) -> list[str]:
    """Names of nodes (and ``edges``, ``settings``, ``host steps``) in which two graphs differ."""
    unequal = [
        name
        for name in sorted(a.nodes.keys() | b.nodes.keys())
        if not _same(a.nodes.get(name), b.nodes.get(name))
    ]
    if set(a.edges) != set(b.edges):
        unequal.append("edges")
    if a.settings != b.settings or a.name != b.name:
        unequal.append("settings")
    steps = [[(s.kind, s.node, sorted(s.arrays)) for s in g.host_steps] for g in (a, b)]
    arrays = [[v for s in g.host_steps for _, v in sorted(s.arrays.items())] for g in (a, b)]
    if steps[0] != steps[1] or not all(np.array_equal(x, y) for x, y in zip(*arrays, strict=False)):
        unequal.append("host steps")
    return unequal


def _same(a: object, b: object) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        assert isinstance(b, np.ndarray)
        return a.dtype == b.dtype and np.array_equal(a, b)
    if hasattr(a, "__dataclass_fields__"):
        return all(_same(getattr(a, f), getattr(b, f)) for f in a.__dataclass_fields__)
    return bool(a == b)
