"""Constants of single neurons, from float graphs and from programs, in units of the source network."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from ...export.formats import (
    ALIGNMENT_SHIFT,
    CURRENT_DECAY_OFFSET,
    DECAY_ONE,
    bias_value,
    weight_unit,
)
from ...export.graph import LI, LIF, Floats, Graph, Input, Synapses
from ...export.linear import LinearMap
from ...export.population import WIDE_SHIFT
from ...hardware import host
from ...hardware.program import Inputs, Program
from .cause import Neuron, Row
from .observe import program_sources


def weights_of(map_: LinearMap, output: int) -> Floats:
    """Weights of one output, one an input."""
    probe = torch.zeros(1, prod(map_.output_shape), dtype=torch.float64)
    probe[0, output] = 1
    row: Floats = map_.adjoint(probe, torch.from_numpy(map_.weight.astype(np.float64)))[0].numpy()
    return row


@dataclass(frozen=True, eq=False)
class GraphModels:
    """Neurons of a float graph that ran on some samples."""

    graph: Graph
    samples: NDArray[np.float32]

    def neuron(self, layer: str, neuron: int, sample: int) -> Neuron:
        """One neuron."""
        node = self.graph.nodes[layer]
        assert isinstance(node, LIF | LI)
        unit = _at(node.unit, neuron)
        rows: dict[tuple[str, int], Row] = {}
        static = line = 0.0
        for name in self.graph.sources(layer):
            synapses = self.graph.nodes[name]
            assert isinstance(synapses, Synapses)
            source = self.graph.sources(name)[0]
            weights = weights_of(synapses.map, neuron) / unit
            before = self.graph.nodes[source]
            bias = 0.0
            if synapses.bias is not None:
                bias = float(synapses.bias[neuron // (prod(node.shape) // len(synapses.bias))]) / unit
            if isinstance(before, Input) and before.coding == "direct":
                static += float(self.samples[sample].ravel().astype(np.float64) @ weights) + bias
                continue
            line += bias
            _add(rows, (source, synapses.lag), Row(weights, 0.0, np.zeros(weights.shape, bool)))
        return Neuron(
            rows,
            current=(static, 0.0),
            line=line,
            bias=0.0,
            bias_unit=0.0,
            alpha=_at(node.alpha, neuron),
            beta=_at(node.beta, neuron),
            threshold=_at(node.threshold, neuron) / unit if isinstance(node, LIF) else 0.0,
            threshold_unit=0.0,
            reset=node.reset if isinstance(node, LIF) else "zero",
        )


@dataclass(eq=False)
class ProgramModels:
    """Neurons of a program that ran on some samples."""

    program: Program
    samples: NDArray[np.float32]
    inputs: Inputs = field(init=False)

    def __post_init__(self) -> None:
        self.inputs, _ = host.encode(self.program, self.samples)

    def neuron(self, layer: str, neuron: int, sample: int) -> Neuron:
        """One neuron."""
        p = self.program.population(layer)
        scale = float(p.scale[neuron])
        constant = {s.name for s in self.program.sources if s.constant}
        rows: dict[tuple[str, int], Row] = {}
        line = 0.0
        groups = self.program.inputs_of(layer)
        # Relays hand spikes on line by line, so what lies behind one stands for it.
        origins = iter(program_sources(self.program, layer, merged=False))
        for group in groups:
            worth = weight_unit(group.exponent) / scale
            q = weights_of(group.map, neuron)
            if group.source in constant:
                line += float(q.sum()) * worth
                continue
            limit = int(np.abs(group.map.weight.astype(np.int64)).max(initial=1))
            _add(rows, next(origins), Row(q * worth, worth, np.abs(q) >= limit))
        current = (0.0, 0.0)
        if p.host_bias:
            m, e = (array[sample, neuron] for array in self.inputs.biases[layer])
            current = (float(bias_value(m, e)) / scale, float(1 << int(e)) / scale)
        return Neuron(
            rows,
            current=current,
            line=line,
            bias=float(p.bias[neuron]) / scale,
            bias_unit=float(1 << int(p.bias_exponent[neuron])) / scale,
            alpha=1 - (int(p.current_decay[neuron]) + CURRENT_DECAY_OFFSET) / DECAY_ONE,
            beta=1 - int(p.membrane_decay[neuron]) / DECAY_ONE,
            threshold=0.0 if p.readout else (int(p.threshold[neuron]) << ALIGNMENT_SHIFT) / scale,
            threshold_unit=(1 << ALIGNMENT_SHIFT) / scale,
            reset=p.reset,
        )


def _at(values: NDArray[np.floating], neuron: int) -> float:
    return float(values[neuron if values.size > 1 else 0])


def _add(rows: dict[tuple[str, int], Row], key: tuple[str, int], row: Row) -> None:
    """Join what reaches a neuron over several groups: branches, each rounded by itself, or the parts of wide weights."""
    old = rows.get(key)
    if old is not None:
        fine, coarse = sorted((old.unit, row.unit))
        unit = fine if coarse >= fine * (1 << WIDE_SHIFT) else fine + coarse
        row = Row(old.weights + row.weights, unit, old.clipped | row.clipped)
    rows[key] = row
