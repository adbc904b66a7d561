"""The three answers never say more than the checks did."""

from __future__ import annotations

from typing import Any

import pytest

from spikewright.answers import answers
from spikewright.benchmarks.report.schema import Answers
from tests.benchmarks.reports import make_report


def asked(**changes: Any) -> Answers:
    report = make_report(**changes)
    return answers(report.quality, report.equivalence, report.fit, report.energy, report.weight_bits)


def test_yes_needs_every_check(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = {"quality__gap_percent": 0.4, "quality__within_one_percent": True}
    assert asked(**fine).same.status == "yes"
    assert asked(quality__gap_percent=2.5, quality__within_one_percent=False).same.status == "no"


def test_a_lava_check_that_did_not_run_is_unknown() -> None:
    lava = {
        "ran": False, "reason": "not installed", "equal": None, "neuron_steps": 0, "differing_spikes": 0,
        "compared_states": 0, "differing_states": 0, "first": None, "seconds": 0.0,
    }  # fmt: skip
    same = asked(equivalence__lava=lava, quality__gap_percent=0.0, quality__within_one_percent=True).same
    assert same.status == "unknown"
    assert "did not run (not installed)" in same.text


def test_cost_follows_the_ratios() -> None:
    report = make_report()
    for ratios, status in (((0.5, 0.9), "yes"), ((2.0, 3.0), "no"), ((0.5, 2.0), "depends")):
        rows = list(report.energy.values())[:2]
        energy = {
            str(i): row.model_copy(update={"ratio": ratio})
            for i, (row, ratio) in enumerate(zip(rows, ratios, strict=True))
        }
        found = answers(report.quality, report.equivalence, report.fit, energy, 8)
        assert found.cost.status == status
