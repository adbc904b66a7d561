"""Order of a graph that may have loops."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components


def strongly_connected(sources: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other, each in the order of ``sources``; a node without loop is a group of one.

    Parameters
    ----------
    sources : dict of str to collection of str
        What feeds each node.
    """
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
