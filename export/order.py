"""Order of data flow in a network that may have loops."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from graphlib import TopologicalSorter

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components


def stages(sources: Mapping[str, Collection[str]], late: Collection[tuple[str, str]]) -> list[list[str]]:
    """Nodes so that each comes after what feeds it; those that a loop joins come together.

    Parameters
    ----------
    sources : dict of str to collection of str
        What feeds each node.
    late : collection of (str, str)
        Edges (from, to) that carry what an earlier step sent, and so do not order the nodes of a loop.

    Raises
    ------
    CycleError
        A loop in which no edge is late.
    """
    groups = _strongly_connected(sources)
    member = {name: index for index, group in enumerate(groups) for name in group}
    between = TopologicalSorter(
        {i: {member[s] for name in group for s in sources[name]} - {i} for i, group in enumerate(groups)}
    )
    ordered = []
    for index in between.static_order():
        inside = {
            name: [s for s in sources[name] if member[s] == index and (s, name) not in late]
            for name in groups[index]
        }
        ordered.append(list(TopologicalSorter(inside).static_order()))
    return ordered


def _strongly_connected(sources: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other; a node without loop is a group of one."""
    names = list(sources)
    index = {name: i for i, name in enumerate(names)}
    pairs = [(index[s], index[name]) for name in names for s in sources[name]]
    a, b = (
        (np.array(side, np.int64) for side in zip(*pairs, strict=True)) if pairs else (np.zeros(0, int),) * 2
    )
    matrix = csr_array((np.ones(len(a), np.int8), (a, b)), shape=(len(names), len(names)))
    count, labels = connected_components(matrix, directed=True, connection="strong")
    groups: list[list[str]] = [[] for _ in range(count)]
    for name, label in zip(names, labels, strict=True):
        groups[label].append(name)
    return groups
