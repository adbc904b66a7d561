"""The three answers about a pulse never say more than the checks did, and never hide what is decorative."""

from __future__ import annotations

from typing import Any

import pytest

from spikewright.answers import pulse_answers
from spikewright.benchmarks.report.schema import Answers
from tests.benchmarks.pulse_reports import ablation, make_pulse_report, pulse_data, with_chip_error
from tests.benchmarks.reports import FIRST_DIFFERENCE, LAVA_NOT_RUN, NORSE_NOT_RUN, backend, report_data

ERRORS = "eart rates at 8 bits err by 0.081 bpm, the float network's by 0.072 bpm"
DECORATIVE = (
    "The attention is decorative: without it the waves correlate only 0.0009 less. "
    "The attention's mask is decorative: without it the waves correlate 0.0004 better."
)


def asked(**changes: Any) -> Answers:
    report = make_pulse_report(**changes)
    assert report.pulse is not None
    return pulse_answers(report.pulse, report.equivalence, report.fit, report.energy, report.weight_bits)


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({}, "yes", f"1,245,184 spikes and 2,490,368 states; norse and snnTorch on 4,980,734 of 4,980,736; h{ERRORS}."),
        (with_chip_error(0.01), "yes", "err by 0.010 bpm, the float network's by 0.072 bpm."),
        (with_chip_error(0.3), "no", "Heart rates at 8 bits err by 0.300 bpm, the float network's by 0.072 bpm, +0.228 where 0.1 is the limit."),
        (
            with_chip_error(0.3) | {"equivalence__first_layer_below_99_percent": "block1.s"},
            "no",
            "is the limit; spikes first part at block1.s (below 99 % agreement).",
        ),
        ({"pulse__gap_limit_bpm": 0.001}, "no", "+0.009 where 0.001 is the limit"),
        (
            {"equivalence__lava": backend(equal=False, differing_spikes=3, first=FIRST_DIFFERENCE)},
            "no",
            "Lava differ in 3 spikes, first at decoder.1",
        ),
        ({"equivalence__reference": backend(equal=False, differing_spikes=3)}, "no", "reference interpreter differ in 3"),
        ({"equivalence__norse__spike_mismatches": 9}, "no", "7 spikes that rounding does not explain"),
        ({"equivalence__lava": LAVA_NOT_RUN}, "unknown", f"H{ERRORS}; the Lava check did not run (lava-nc is not"),
        ({"equivalence__norse": NORSE_NOT_RUN}, "unknown", f"H{ERRORS}; the norse check did not run (norse is not"),
        ({"equivalence__lava": backend(neuron_steps=0)}, "unknown", "the Lava check compared nothing."),
    ],
)  # fmt: skip
def test_same_on_every_count(changes: dict[str, Any], status: str, words: str) -> None:
    same = asked(**changes).same
    assert (same.status, words in same.text) == (status, True), same.text
    assert same.text.endswith(DECORATIVE)  # whatever the verdict


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([pulse_data()["ablations"][0]], f"h{ERRORS}."),
        ([], "No part was ablated: whether the spikes contribute anything was not measured."),
        ([ablation("attention", 0.07, 0.863, 0.0)], "Attention is decorative: without it the waves correlate just as well."),
    ],
)  # fmt: skip
def test_only_decorative_parts_are_named(parts: list[Any], words: str) -> None:
    assert asked(pulse__ablations=parts, pulse__ablation_whole=None).same.text.endswith(words)


def test_it_fits_as_one_program() -> None:
    fits = asked().fits
    assert fits.status == "yes"
    assert "97 of 128 cores of Loihi 2" in fits.text
    assert "not placed" in asked(fit__cores_placed=None).fits.text
    finding = report_data()["fit"]["findings"][0] | {"severity": "error"}
    assert asked(fit__findings=[finding]).fits.status == "no"


def test_cost_is_of_a_clip() -> None:
    cost = asked().cost
    assert cost.status == "depends"
    assert cost.text.startswith("A clip costs more or less than the ANN, depending on the model: 0.89 times")
    assert asked(energy={}).cost.status == "unknown"
