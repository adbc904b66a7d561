"""Small networks at every level, with samples, for comparisons of runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spikewright.export.calibration import Calibration
from spikewright.export.float_run import run_float
from spikewright.export.graph import Graph
from spikewright.export.linear import with_weight
from spikewright.export.passes import to_float
from spikewright.export.quantise import quantise
from spikewright.export.trace import trace
from spikewright.hardware.compile import compile_program
from spikewright.hardware.program import Population, Program
from tests.export.networks import NETWORKS, build, samples

STEPS = 8


@dataclass(frozen=True, eq=False)
class Levels:
    """One network."""

    module: nn.Module
    traced: Graph
    graph: Graph
    integer: Graph
    program: Program
    samples: NDArray[np.float32]
    coding: str


@cache
def levels(name: str) -> Levels:
    """A network of :mod:`tests.export.networks` at every level."""
    _, shape, coding = NETWORKS[name]
    module, given = build(name), samples(name, count=4, timesteps=STEPS)
    traced = trace(module, torch.zeros(shape), timesteps=STEPS, coding=coding)
    graph = to_float(traced)
    integer = quantise(graph, Calibration.of(run_float(graph, given)))
    return Levels(module, traced, graph, integer, compile_program(integer), given, coding)


def with_population(program: Program, name: str, **changes: Any) -> Program:
    """The program with registers of one population changed."""

    def changed(p: Population) -> Population:
        return replace(p, **changes) if p.name == name else p

    return replace(program, populations=tuple(changed(p) for p in program.populations))


def with_weight_at(program: Program, group: str, at: tuple[int, ...], value: int) -> Program:
    """The program with one stored weight changed."""
    groups = []
    for g in program.synapses:
        if g.name == group:
            weight = g.map.weight.copy()
            assert weight[at] != value
            weight[at] = value
            g = replace(g, map=with_weight(g.map, weight))
        groups.append(g)
    return replace(program, synapses=tuple(groups))


def one(array: NDArray[Any], index: int, value: int) -> NDArray[Any]:
    """The array with one value changed."""
    out = array.copy()
    out[index] = value
    return out
