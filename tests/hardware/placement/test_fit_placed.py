"""The rules of the fit over a placement, and the remedies that are tried."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import numpy as np
from rich.console import Console

from spikewright.export.linear import Conv2d
from spikewright.fitting import as_json, fitting, show
from spikewright.hardware.chip import Chip, load_chip
from spikewright.hardware.fit import fit
from spikewright.hardware.placement import limits as names
from spikewright.hardware.placement import place
from spikewright.hardware.program import Program

from .nets import chain, chip_with, dense, population


def said(program: Program, chip: Chip, chips: int = 1) -> str:
    out = StringIO()
    show(fitting(program, chip, chips), Console(file=out, width=100))
    return out.getvalue()


def test_a_placement_takes_the_place_of_the_bounds() -> None:
    program = chain(dense(12, 4))
    program = replace(program, populations=(population("p0", (12,), threshold=np.arange(12)),))
    chip = load_chip("loihi1")
    assert [f.rule for f in fit(program, chip).findings] == ["thresholds"]
    placed = fit(program, chip, place(program, chip))
    assert placed.fits
    assert (placed.cores_lower_bound, placed.cores_placed, placed.binding) == (1, 2, names.THRESHOLDS)
    assert [f.severity for f in placed.findings] == ["note"]


def test_rules_over_single_numbers_stay() -> None:
    program = chain(dense(2, 2))
    program = replace(program, populations=(population("p0", (2,), membrane_decay=4096),))
    chip = load_chip("loihi2")
    assert {f.rule for f in fit(program, chip, place(program, chip)).findings} == {"registers"}
    arrays = replace(program, populations=(population("p0", (2,), membrane_decay=np.array([1, 4096])),))
    assert {f.rule for f in fit(arrays, chip, place(arrays, chip)).findings} == {"registers"}


def test_more_cores_than_chips() -> None:
    program, chip = chain(dense(50, 4)), chip_with(neurons_per_core=10, cores=2)
    placement = place(program, chip)
    (finding,) = fit(program, chip, placement).findings
    assert (finding.severity, finding.rule) == ("error", "cores")
    assert "takes 5 cores, Intel Loihi has 2; most cores are bound by neurons" in finding.detail
    assert "3 chips" in finding.remedy
    assert "2 chips of Intel Loihi have 4" in fit(program, chip, placement, 2).findings[0].detail
    assert fit(program, chip, placement, 3).fits


def test_what_fits_needs_no_remedy() -> None:
    found = fitting(chain(dense(10, 10)), load_chip("loihi2"))
    assert found.fits
    assert found.remedy is None
    text = said(chain(dense(10, 10)), load_chip("loihi2"))
    assert "chain fits Intel Loihi 2: 1 of 128 cores" in text
    assert "remedy" not in text


def test_fewer_bits_are_the_first_remedy() -> None:
    program, chip = chain(dense(512, 512)), chip_with(cores=1, synapse_words_per_core=26_000)
    found = fitting(program, chip)
    assert found.remedy is not None
    assert found.remedy.change.startswith("quantise to 5 bits: 1 of 1 cores")
    assert place(program, chip, weight_bits=5).fits()
    assert not place(program, chip, weight_bits=6).fits()


def test_another_chip_is_the_second() -> None:
    found = fitting(chain(dense(3, 5000, 1)), load_chip("loihi1"))
    assert found.remedy is not None
    assert found.remedy.change == "take Intel Loihi 2 (--chip loihi2): 1 of 128 cores"


def test_more_chips_are_the_third() -> None:
    conv = Conv2d(np.ones((64, 3, 3, 3), np.int8), (3, 160, 160), (1, 1), (1, 1))
    found = fitting(chain(conv), load_chip("loihi2"))
    assert found.remedy is not None
    assert found.remedy.change.startswith("spread it over 2 chips (--chips 2): ")
    assert fitting(chain(conv), load_chip("loihi2"), found.remedy.chips).fits
    assert "remedy: spread it over 2 chips" in said(chain(conv), load_chip("loihi2"))


def test_other_chips_in_greater_number_come_last() -> None:
    conv = Conv2d(np.ones((64, 3, 3, 3), np.int8), (3, 160, 160), (1, 1), (1, 1))
    program = chain(conv)
    late = replace(program, synapses=(replace(program.synapses[0], delay=5, lag=5),))
    found = fitting(late, chip_with("loihi1", delay_max=4).model_copy(update={"name": "mine"}))
    assert found.remedy is not None
    assert found.remedy.change.startswith("take ")
    assert "chips of Intel Loihi" in found.remedy.change


def test_where_nothing_helps_that_is_said() -> None:
    text = said(chain(dense(3, 20_000)), load_chip("loihi1"))
    assert "does not fit" in text
    assert "neuron 0 alone takes 20,000 input axons, a core of Intel Loihi has 4,096" in " ".join(
        text.split()
    )
    assert "neither fewer bits nor another chip nor more chips help" in text


def test_one_screen_even_for_many_populations() -> None:
    text = said(chain(*(dense(4, 4) for _ in range(60))), load_chip("loihi1"))
    assert len(text.splitlines()) < 30
    assert "and 44 more" in text


def test_the_machine_readable_answer_is_whole() -> None:
    program = chain(dense(50, 4), dense(3, 50))
    found = fitting(program, chip_with(neurons_per_core=20))
    data = json.loads(json.dumps(as_json(found)))
    assert data["fits"]
    assert data["cores"] == len(data["placement"]) == 3
    assert [row["cores"] for row in data["populations"]] == [3, 1]
    assert sum(hi - lo for core in data["placement"] for s in core["slices"] for lo, hi in s["bounds"]) == 53
    assert all(core["use"].keys() == data["limits"].keys() for core in data["placement"])
