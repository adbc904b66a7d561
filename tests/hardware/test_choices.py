"""What a program's choices cost is said, with the numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spikewright.export.calibration import Calibration
from spikewright.export.float_run import run_float
from spikewright.export.graph import Graph
from spikewright.export.passes import to_float
from spikewright.export.quantise import quantise
from spikewright.export.trace import trace
from spikewright.hardware.chip import load_chip
from spikewright.hardware.compile import compile_program
from spikewright.hardware.fit import fit
from spikewright.hardware.program import Program
from spikewright.hardware.relays import DelayCosts
from tests.export.graphs import chain
from tests.export.test_trace_networks import Recurrent
from tests.hardware.test_compile import branched, integer

CHIP = load_chip("loihi2")


def notes(program: Program) -> dict[str, str]:
    return {finding.rule: str(finding) for finding in fit(program, CHIP).findings}


def recurrent(bits: int) -> Program:
    graph = to_float(trace(Recurrent(), torch.zeros(6), timesteps=6, coding="spikes"))
    samples = (np.random.default_rng(0).random((3, 6, 6)) < 0.4).astype(np.float32)
    return compile_program(quantise(graph, Calibration.of(run_float(graph, samples)), bits=bits))


def feed_forward() -> Graph:
    graph = chain(np.random.default_rng(0), [6, 5, 4])
    return quantise(graph, Calibration({}, {}))


def test_a_plain_network_has_nothing_to_say() -> None:
    assert not notes(compile_program(feed_forward())).keys() & {
        "loop",
        "balance",
        "always-on line",
        "wide weights",
    }


def test_a_recurrent_network_says_that_it_is_one_and_what_its_biases_cost() -> None:
    found = notes(recurrent(8))
    assert "arrive 1 step late" in found["loop"]
    assert "synapses of an always-on line" in found["always-on line"]
    assert "wide weights" not in found


def test_wide_weights_are_counted() -> None:
    program = recurrent(15)
    low = [g for g in program.synapses if g.name.endswith("_low")]
    synapses = sum(int(np.count_nonzero(g.map.weight)) for g in low)
    assert f"{synapses:,} synapses carry the low half" in notes(program)["wide weights"]


@pytest.mark.parametrize("longest", [62, 0])
def test_waiting_is_counted(longest: int) -> None:
    program = compile_program(integer(branched(longest=1)), costs=DelayCosts(longest=longest))
    relays = sum(p.size for p in program.populations if p.relay)
    assert (relays > 0) == (longest == 0)
    found = notes(program)["balance"]
    assert f"{relays} relay neurons" in found
    assert f"wait up to {1 if longest else 0} steps" in found


def test_subtraction_is_a_warning() -> None:
    program = compile_program(feed_forward())
    changed = replace(program, populations=tuple(replace(p, reset="subtract") for p in program.populations))
    assert "reset by subtraction" in notes(changed)["reset"]
