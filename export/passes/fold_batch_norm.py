"""Folds batch normalisation with running statistics into the linear map before it.

Where there is no such map of its own it becomes one: a factor and a bias for each channel.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ..compose import unit_map
from ..errors import ExportError
from ..graph import BatchNorm, Graph, Synapses
from ..linear import ConvTranspose2d, LinearMap, with_weight


def fold_batch_norm(graph: Graph) -> Graph:
    """Return the graph without batch normalisations.

    ``w' = w g / sqrt(var + eps)``, ``b' = (b - mean) g / sqrt(var + eps) + beta``, computed in double precision so that
    the one rounding to float32 is all that folding adds.

    Raises
    ------
    ExportError
        A normalisation of another number of channels than its input has.
    """
    for name in graph.select(BatchNorm):
        norm = graph.nodes[name]
        assert isinstance(norm, BatchNorm)
        if norm.shape[0] != len(norm.mean):
            raise ExportError(f"{name}: normalises {len(norm.mean)} channels, its input has {norm.shape[0]}")
        sources = graph.sources(name)
        before = graph.nodes[sources[0]] if len(sources) == 1 else None
        alone = isinstance(before, Synapses) and graph.targets(sources[0]) == [name]
        if not isinstance(before, Synapses) or not alone or not _folds(before.map, len(norm.mean)):
            graph = graph.with_node(name, _own_map(norm))
            continue
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


def _folds(map_: LinearMap, channels: int) -> bool:
    """Whether torch's own folding knows the map: it takes a transposed convolution to have one group."""
    return map_.channels == channels and not (isinstance(map_, ConvTranspose2d) and map_.groups > 1)


def _own_map(norm: BatchNorm) -> Synapses:
    factor = norm.weight.astype(np.float64) / np.sqrt(norm.variance.astype(np.float64) + norm.eps)
    bias = norm.bias - norm.mean * factor
    unit = unit_map(norm.shape)
    weight = factor.astype(np.float32).reshape(unit.weight.shape)
    return Synapses(with_weight(unit, weight), bias.astype(np.float32))
