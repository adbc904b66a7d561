"""Graded spikes in counts and prices: one message each, a multiplication for each synapse, nothing for a value of zero."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikewright.benchmarks.counting import count, totals
from spikewright.benchmarks.energy import Activity, load_models, price
from spikewright.generating.tally import Tally
from spikewright.hardware import reference
from spikewright.hardware.program import Inputs
from tests.hardware.test_graded_relays import RASTER, line

#: In the second sample the relay sends in one step only.
INPUTS = Inputs({"in": np.concatenate([RASTER, RASTER * (np.arange(4)[:, None] == 0)]).astype(np.uint8)})


def test_values_other_than_zero_are_counted_with_their_products_and_bits() -> None:
    program = line(bits=9, shift=6)
    layers = {layer.name: layer for layer in count(program, reference.run(program, INPUTS), 2)}
    assert (layers["r"].spikes, layers["r"].sops) == ((3 + 1) / 2, (3 + 1) / 2)
    assert (layers["r"].graded_sops, layers["r"].payload_bits) == (0, 0)  # what reaches it are plain spikes
    out = layers["out"]
    assert (out.sops, out.graded_sops, out.messages, out.payload_bits) == (2, 2, 2, 18)
    found = totals(list(layers.values()))
    assert (found.sops, found.graded_sops, found.payload_bits) == (4, 2, 18)


def test_a_tally_counts_the_same_sample_by_sample() -> None:
    program = line()
    tally = Tally(program)
    found = tally.add(INPUTS, reference.run(program, INPUTS))
    assert found["graded_sops"].tolist() == [3, 1]
    assert found["sops"].tolist() == [6, 2]


@pytest.mark.parametrize(("name", "pico"), [("cmos45", 3.7), ("memory", 3.1), ("loihi1", 0.0)])
def test_products_cost_a_multiplication_where_a_model_has_one(name: str, pico: float) -> None:
    model = load_models()[name]
    plain = Activity(sops=100, spikes=10, neuron_updates=50, host_macs=7, rate=0.2, ann_macs=30, messages=12)
    before, after = price(model, plain), price(model, replace(plain, graded_sops=40))
    assert after.snn_joule - before.snn_joule == pytest.approx(40 * pico * 1e-12)
    assert "graded spikes, multiplication" not in before.parts
    assert ("graded spikes, multiplication" in after.parts) == bool(pico)
    assert not any("value" in text for text in before.assumptions)
    assert any("value" in text for text in after.assumptions)
    assert plain.at_rate(0.1).graded_sops == 0
