"""One illegal graph for each rule of each level; the check finds it, names the node, and never raises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikewright.export.calibration import Calibration
from spikewright.export.errors import ExportError
from spikewright.export.graph import (
    LI,
    LIF,
    BatchNorm,
    Graph,
    HostFunction,
    HostStep,
    Identity,
    Input,
    IntegerNeuron,
    Node,
    Output,
    Reshape,
    Settings,
    Synapses,
)
from spikewright.export.levels import Level, check, require
from spikewright.export.linear import Dense
from spikewright.export.quantise import quantise
from tests.export.graphs import chain

RNG = np.random.default_rng(0)
FLOAT = chain(RNG, [6, 5, 4, 3], readout=True)
INTEGER = quantise(FLOAT, Calibration({}, {}))


def edited(graph: Graph, node: str, **changes: Any) -> Graph:
    """The graph with some fields of one node changed; ``weight`` is the map's."""
    old = graph.nodes[node]
    if "weight" in changes:
        assert isinstance(old, Synapses)
        changes["map"] = replace(old.map, weight=changes.pop("weight"))
    return graph.with_node(node, replace(old, **changes))


def rewired(
    graph: Graph, *edges: tuple[str, str], without: tuple[tuple[str, str], ...] = (), **nodes: Node
) -> Graph:
    kept = tuple(e for e in graph.edges if e not in without)
    return replace(graph, nodes={**graph.nodes, **nodes}, edges=(*kept, *edges))


def weights(outputs: int, inputs: int, dtype: Any = np.float32) -> Synapses:
    return Synapses(Dense(np.ones((outputs, inputs), dtype), (inputs,), (outputs,)))


def nan(array: np.ndarray) -> np.ndarray:
    out = array.copy()
    out.flat[0] = np.nan
    return out


W = FLOAT.nodes["fc1"]
assert isinstance(W, Synapses)
assert W.bias is not None
ONE = np.array([1], np.float32)

FLOAT_RULES: list[tuple[str, Graph, str, str]] = [
    ("an edge to nowhere", rewired(FLOAT, ("n0", "ghost")), "ghost", "names no node"),
    ("an edge twice", rewired(FLOAT, ("fc1", "n1")), "n1", "fed 2 times by fc1"),
    ("a loop", rewired(FLOAT, ("n1", "fc1")), "chain", "loop"),
    ("a host step nowhere", FLOAT.with_host_step(HostStep("tanh", "ghost")), "ghost", "host step tanh"),
    ("no steps", replace(FLOAT, settings=Settings(0)), "chain", "timesteps is 0"),
    ("steps in words", replace(FLOAT, settings=Settings("8")), "chain", "timesteps is '8'"),
    ("no time", replace(FLOAT, settings=Settings(8, dt=0.0)), "chain", "dt is 0.0"),
    ("infinite time", replace(FLOAT, settings=Settings(8, dt=float("inf"))), "chain", "dt is inf"),
    (
        "bits in a float graph",
        replace(FLOAT, settings=Settings(8, weight_bits=8)),
        "chain",
        "weight_bits is 8",
    ),
    ("no input", rewired(FLOAT, without=(("input", "fc0"),), input=Identity((6,))), "chain", "0 inputs"),
    ("two inputs", rewired(FLOAT, ("in2", "fc0"), in2=Input((6,), "spikes")), "chain", "2 inputs"),
    ("two outputs", rewired(FLOAT, ("n2", "out2"), out2=Output((3,))), "chain", "2 outputs"),
    ("outputs added", rewired(FLOAT, ("n1", "output")), "output", "adds n2 and n1"),
    ("an input that is fed", rewired(FLOAT, ("w", "input"), w=weights(6, 5)), "input", "fed by w"),
    (
        "a normalisation left",
        rewired(FLOAT, bn=BatchNorm((5,), ONE, ONE, ONE, ONE, 1e-5)),
        "bn",
        "BatchNorm does not belong",
    ),
    ("a reshape left", rewired(FLOAT, view=Reshape((5,))), "view", "Reshape does not belong"),
    (
        "a host function left",
        rewired(FLOAT, f=HostFunction((5,), "tanh")),
        "f",
        "HostFunction does not belong",
    ),
    ("an integer neuron", FLOAT.with_node("n1", INTEGER.nodes["n1"]), "n1", "IntegerNeuron does not belong"),
    ("a NaN weight", edited(FLOAT, "fc1", weight=nan(W.map.weight)), "fc1", "weight holds 1 NaN"),
    ("a NaN bias", edited(FLOAT, "fc1", bias=nan(W.bias)), "fc1", "bias holds 1 NaN"),
    ("a NaN threshold", edited(FLOAT, "n1", threshold=nan(ONE)), "n1", "threshold holds 1 NaN"),
    ("a NaN beta", edited(FLOAT, "n1", beta=float("nan")), "n1", "beta holds 1 NaN"),
    ("a growing membrane", edited(FLOAT, "n2", beta=1.5), "n2", "beta is 1.5"),
    ("a threshold of zero", edited(FLOAT, "n1", threshold=ONE * 0), "n1", "threshold 0.0 is not above zero"),
    (
        "too few thresholds",
        edited(FLOAT, "n1", threshold=np.ones(2, np.float32)),
        "n1",
        "shape (2,) for 4 neurons",
    ),
    ("an unknown coding", edited(FLOAT, "input", coding="rate"), "input", "coding is 'rate'"),
    ("a bias too short", edited(FLOAT, "fc1", bias=W.bias[:2]), "fc1", "bias has shape (2,)"),
    ("double precision", edited(FLOAT, "fc1", weight=W.map.weight.astype(np.float64)), "fc1", "float64"),
    ("sizes apart", FLOAT.with_node("fc1", weights(4, 7)), "fc1", "takes 7 values, n0 gives 5"),
    ("an unfed layer", rewired(FLOAT, ("lost", "n1"), lost=weights(4, 5)), "lost", "nothing feeds it"),
    (
        "a layer that feeds nothing",
        rewired(FLOAT, ("n0", "lost"), lost=weights(4, 5)),
        "lost",
        "feeds nothing",
    ),
    (
        "weights behind weights",
        rewired(FLOAT, ("fc0", "w"), ("w", "n1"), w=weights(4, 5)),
        "w",
        "gives no spikes",
    ),
    (
        "a read-out that goes on",
        rewired(FLOAT, ("n2", "w"), ("w", "x"), w=weights(4, 3), x=LI((4,), 0.5)),
        "w",
        "gives no",
    ),
    (
        "neurons behind neurons",
        rewired(FLOAT, ("n1", "x"), ("x", "output"), x=LIF((4,), 0.5, ONE)),
        "x",
        "without synapses",
    ),
    (
        "an output of currents",
        rewired(FLOAT, ("fc2", "output"), without=(("n2", "output"),)),
        "output",
        "no neuron",
    ),
    ("real values on the chip", edited(FLOAT, "input", coding="direct"), "fc0", "sees real values of input"),
    ("spikes added before weights", rewired(FLOAT, ("input", "fc1")), "fc1", "adds spike trains"),
    (
        "static spikes",
        edited(FLOAT, "n1", static=True),
        "n1",
        "is static, but all that feeds it carries spikes",
    ),
    ("weights of two scales", rewired(FLOAT, ("fc0", "x"), x=LIF((5,), 0.5, ONE)), "fc0", "feeds n0 and x"),
]

REGISTERS = INTEGER.nodes["n1"]
assert isinstance(REGISTERS, IntegerNeuron)
Q = INTEGER.nodes["fc1"]
assert isinstance(Q, Synapses)
BELOW = REGISTERS.threshold * 0 - 1


def _q(value: int, dtype: Any = np.int8) -> np.ndarray:
    return np.full(Q.map.weight.shape, value, dtype)  # type: ignore[union-attr]


INTEGER_RULES: list[tuple[str, Graph, str, str]] = [
    ("a float neuron", INTEGER.with_node("n1", FLOAT.nodes["n1"]), "n1", "LIF does not belong"),
    ("float weights", INTEGER.with_node("fc1", replace(Q, map=W.map)), "fc1", "weights are float32"),
    ("no exponent", edited(INTEGER, "fc1", exponent=None), "fc1", "no weight exponent"),
    ("a high exponent", edited(INTEGER, "fc1", exponent=8), "fc1", "weight exponent 8 is outside -1..7"),
    ("a low exponent", edited(INTEGER, "fc1", exponent=-2), "fc1", "weight exponent -2"),
    (
        "the odd one out of int8",
        edited(INTEGER, "fc1", weight=_q(-128)),
        "fc1",
        "weight -128 is outside -127..127",
    ),
    ("float input weights", INTEGER.with_node("fc0", FLOAT.nodes["fc0"]), "fc0", "weights are float32"),
    (
        "weights beyond the stated bits",
        replace(INTEGER, settings=replace(INTEGER.settings, weight_bits=4)),
        "fc1",
        "-7..7",
    ),
    (
        "bits unstated",
        replace(INTEGER, settings=replace(INTEGER.settings, weight_bits=None)),
        "chain",
        "weight_bits is None",
    ),
    (
        "bits beyond the chip's",
        replace(INTEGER, settings=replace(INTEGER.settings, weight_bits=9)),
        "chain",
        "weight_bits is 9",
    ),
    (
        "a threshold below zero",
        edited(INTEGER, "n1", threshold=BELOW),
        "n1",
        "threshold -1 is outside 0..131071",
    ),
    ("a threshold too high", edited(INTEGER, "n1", threshold=BELOW + 131073), "n1", "threshold 131072"),
    ("a mantissa too large", edited(INTEGER, "n1", bias_mantissa=BELOW * 4096), "n1", "bias mantissa -4096"),
    (
        "an exponent too large",
        edited(INTEGER, "n1", bias_exponent=BELOW + 9),
        "n1",
        "bias exponent 8 is outside 0..7",
    ),
    ("a negative exponent", edited(INTEGER, "n1", bias_exponent=BELOW), "n1", "bias exponent -1"),
    (
        "a decay of 13 bits",
        edited(INTEGER, "n1", current_decay=BELOW + 4097),
        "n1",
        "current decay 4096 is outside -1..4095",
    ),
    (
        "a decay that grows",
        edited(INTEGER, "n1", membrane_decay=BELOW + 4098),
        "n1",
        "membrane decay 4097 is outside 0..4096",
    ),
    (
        "registers in floats",
        edited(INTEGER, "n1", threshold=REGISTERS.threshold * 1.0),
        "n1",
        "threshold holds no integers",
    ),
    (
        "registers missing",
        edited(INTEGER, "n1", bias_exponent=BELOW[:2] + 1),
        "n1",
        "bias exponent has shape (2,)",
    ),
    ("a scale too short", edited(INTEGER, "n1", scale=REGISTERS.scale[:1]), "n1", "scale has shape (1,)"),
    (
        "a scale of zero",
        edited(INTEGER, "n1", scale=REGISTERS.scale * 0),
        "n1",
        "scale 0.0 is not above zero",
    ),
    (
        "an endless scale",
        edited(INTEGER, "n1", scale=REGISTERS.scale * np.inf),
        "n1",
        "scale holds 4 NaN or infinite",
    ),
    ("an origin that grows", edited(INTEGER, "n1", origin=LI((4,), 2.0)), "n1", "beta is 2.0"),
]


def test_the_graphs_that_the_rules_are_broken_in_are_legal() -> None:
    assert check(FLOAT, "float") == []
    assert check(FLOAT, "traced") == []
    assert check(INTEGER, "integer") == []


@pytest.mark.parametrize(
    ("level", "graph", "node", "detail"),
    [("float", *rule[1:]) for rule in FLOAT_RULES] + [("integer", *rule[1:]) for rule in INTEGER_RULES],
    ids=[rule[0] for rule in (*FLOAT_RULES, *INTEGER_RULES)],
)
def test_the_check_finds_a_breach_and_names_its_node(
    level: Level, graph: Graph, node: str, detail: str
) -> None:
    found = [f for f in check(graph, level) if f.node == node and detail in f.detail]
    assert found, [str(f) for f in check(graph, level)]
    assert all(f.severity == "error" and f.rule and f.remedy for f in found)
    with pytest.raises(ExportError):
        require(graph, level)


def test_require_raises_the_first_breach_and_counts_the_rest() -> None:
    broken = edited(edited(FLOAT, "n0", beta=2.0), "n1", beta=3.0)
    with pytest.raises(ExportError, match=r"beta is 2.0; .* \(and 1 more\)"):
        require(broken, "float")
