"""Folds batch normalisation with running statistics into the linear map before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ..errors import ExportError
from ..graph import BatchNorm, Graph, Synapses
from ..linear import ConvTranspose2d, with_weight


def fold_batch_norm(graph: Graph) -> Graph:
    """Return the graph without batch normalisations.

    ``w' = w g / sqrt(var + eps)``, ``b' = (b - mean) g / sqrt(var + eps) + beta``, computed in double precision so that
    the one rounding to float32 is all that folding adds.

    Raises
    ------
    ExportError
        A normalisation that does not follow exactly one linear map, or a map that feeds others as well.
    """
    for name in graph.select(BatchNorm):
        norm = graph.nodes[name]
        assert isinstance(norm, BatchNorm)
        sources = graph.sources(name)
        before = graph.nodes[sources[0]] if len(sources) == 1 else None
        if not isinstance(before, Synapses) or graph.targets(sources[0]) != [name]:
            raise ExportError(
                f"{name}: batch normalisation must follow one linear or convolution layer of its own"
            )
        if before.map.channels != len(norm.mean):
            raise ExportError(
                f"{name}: normalises {len(norm.mean)} channels, {sources[0]} has {before.map.channels}"
            )
        weight, bias = fuse_conv_bn_weights(
            torch.from_numpy(before.map.weight.astype(np.float64)),
            None if before.bias is None else torch.from_numpy(before.bias.astype(np.float64)),
            torch.from_numpy(norm.mean.astype(np.float64)),
            torch.from_numpy(norm.variance.astype(np.float64)),
            norm.eps,
            torch.from_numpy(norm.weight.astype(np.float64)),
            torch.from_numpy(norm.bias.astype(np.float64)),
            transpose=isinstance(before.map, ConvTranspose2d),
        )
        folded = replace(
            before,
            map=with_weight(before.map, weight.detach().numpy().astype(np.float32)),
            bias=bias.detach().numpy().astype(np.float32),
        )
        graph = graph.with_node(sources[0], folded).without(name)
    return graph
