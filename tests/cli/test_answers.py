"""The three answers never say more than the checks did."""

from __future__ import annotations

from typing import Any

import pytest

from spikewright.answers import answers
from spikewright.benchmarks.report.schema import Answers
from tests.benchmarks.generation_reports import (
    IMAGE_NOT_RUN,
    PARTED,
    make_denoising_report,
    make_generation_report,
    program,
    same_image,
)
from tests.benchmarks.reports import LAVA_NOT_RUN, NORSE_NOT_RUN, backend, make_report, report_data


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


def made(**changes: Any) -> Answers:
    report = make_generation_report(**changes)
    return answers(
        report.quality, report.equivalence, report.fit, report.energy, report.weight_bits, report.generation
    )


def test_generated_images_are_the_same_on_every_count() -> None:
    same = made().same
    assert same.status == "yes"
    for words in ("Lava on 2 images", "Reference on 1 image (", "1.1424 bits a token", "0.42 %"):
        assert words in same.text, words


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"generation__same_images": [PARTED]}, "no", "Lava differ in 17 spikes (first at denoiser.s3"),
        ({"equivalence__lava": backend(equal=False, differing_spikes=3)}, "no", "Lava differ in 3 spikes"),
        ({"generation__tokens__elbo_int8": 1.2}, "no", "+0.0583 where 0.02 is the limit"),
        ({"generation__tokens__within_limit": False}, "no", "96.12 % of hidden positions"),
        ({"quality__within_one_percent": False, "quality__gap_percent": 3.0}, "no", "more than 1 %"),
        ({"generation__same_images": []}, "unknown", "none was generated a second time"),
        ({"generation__same_images": [IMAGE_NOT_RUN]}, "unknown", "Lava did not run: lava-nc is not installed"),
        (
            {"generation__same_images": [IMAGE_NOT_RUN, same_image("reference")], "equivalence__lava": LAVA_NOT_RUN},
            "unknown",
            "Lava confirmed nothing",
        ),
        (
            {"generation__same_images": [IMAGE_NOT_RUN, same_image("reference")]},
            "yes",
            "Not repeated as whole images: Lava did not run",
        ),
        ({"equivalence__norse": NORSE_NOT_RUN}, "unknown", "the norse check did not run"),
    ],
)  # fmt: skip
def test_generated_images_never_say_more_than_the_checks(
    changes: dict[str, Any], status: str, words: str
) -> None:
    same = made(**changes).same
    assert (same.status, words in same.text) == (status, True), same.text


def denoised(**changes: Any) -> Answers:
    report = make_denoising_report(**changes)
    return answers(
        report.quality, report.equivalence, report.fit, report.energy, report.weight_bits, report.generation
    )


def test_images_out_of_noise_are_the_same_on_every_count() -> None:
    same = denoised().same
    assert same.status == "yes"
    assert same.text.endswith("at 8 bits the error of the noise is 0.21 % worse than the float network's.")
    for words in ("Lava on 1 image (5,334,336 neuron steps)", "Reference on 1 image ("):
        assert words in same.text, words
    for words in ("token", "econstruction", "None"):
        assert words not in same.text
    few = denoised(generation__same_images=[same_image("lava", images=2, evaluations=6)]).same
    assert "Lava on 2 images with 3 steps (5,334,336 neuron steps)" in few.text
    assert "0.40 % better" in denoised(generation__noise__gap_percent=-0.4).same.text


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"generation__same_images": [PARTED]}, "no", "Lava differ in 17 spikes (first at denoiser.s3"),
        ({"equivalence__reference": backend(equal=False, differing_spikes=3)}, "no", "reference interpreter differ in 3"),
        (
            {"equivalence__norse__spike_mismatches": 9},
            "no",
            "norse and snnTorch differ in 7 spikes that rounding does not explain",
        ),
        (
            {"generation__noise__gap_percent": 3.2, "equivalence__first_layer_below_99_percent": "m0.n1"},
            "no",
            "At 8 bits the error of the noise is 3.20 % worse than the float network's, where 1 % is the limit; spikes first part at m0.n1",
        ),
        ({"generation__noise__within_limit": False}, "no", "where 1 % is the limit."),
        ({"generation__noise__gap_percent": 1.5, "generation__noise__limit_percent": 2.0}, "yes", "1.50 % worse"),
        (
            {"generation__same_images": []},
            "unknown",
            "(none was generated a second time); at 8 bits the error of the noise",
        ),
        ({"generation__same_images": [IMAGE_NOT_RUN]}, "unknown", "Lava did not run: lava-nc is not installed"),
        (
            {"generation__same_images": [IMAGE_NOT_RUN, same_image("reference")], "equivalence__lava": LAVA_NOT_RUN},
            "unknown",
            "At 8 bits the error of the noise is 0.21 % worse than the float network's; Lava confirmed nothing",
        ),
        (
            {"generation__same_images": [IMAGE_NOT_RUN, same_image("reference")]},
            "yes",
            "Not repeated as whole images: Lava did not run",
        ),
        ({"equivalence__norse": NORSE_NOT_RUN}, "unknown", "float network's; the norse check did not run"),
    ],
)  # fmt: skip
def test_images_out_of_noise_never_say_more_than_the_checks(
    changes: dict[str, Any], status: str, words: str
) -> None:
    same = denoised(**changes).same
    assert (same.status, words in same.text) == (status, True), same.text


def test_answers_without_reconstructions() -> None:
    blank = {"reconstruction_mse": None, "reconstruction_mse_ci95": None}
    quality = report_data()["quality"]
    quality |= {key: quality[key] | blank for key in ("ann", "float", "int8")}
    quality |= {"gap_percent": None, "within_one_percent": None}
    assert asked(quality=quality).same.status == "unknown"
    drawn = made(quality=quality).same
    assert drawn.status == "yes"
    assert drawn.text.endswith("the float network 1.1417.")


@pytest.mark.parametrize(
    ("cores", "status", "words"),
    [
        (104, "yes", "104 of 128 cores of Loihi 2 (denoiser 104)"),
        (300, "no", "alone needs more than the 128 cores"),
        (None, "yes", "cores of Loihi 2"),
    ],
)
def test_one_program_has_to_fit(cores: int | None, status: str, words: str) -> None:
    fits = denoised(generation__programs=[program("denoiser", "", 50.0, cores)]).fits
    assert (fits.status, words in fits.text) == (status, True), fits.text
    assert denoised().cost.text.startswith("A generated image costs ")


@pytest.mark.parametrize(
    ("cores", "status", "words"),
    [
        ((31, 12), "yes", "43 of 128 cores of Loihi 2 (denoiser 31, decoder 12)"),
        ((100, 40), "depends", "140 of 128 cores"),
        ((300, 40), "no", "alone needs more"),
        ((31, None), "yes", "need 43 of 128 cores"),
    ],
)
def test_programs_have_to_fit_together(cores: tuple[int, int | None], status: str, words: str) -> None:
    denoiser, decoder = cores
    programs = [
        program("encoder", "", 0.0, 500),
        program("denoiser", "", 31.2, denoiser),
        program("decoder", "", 1.0, decoder),
    ]
    fits = made(generation__programs=programs).fits
    assert (fits.status, words in fits.text) == (status, True), fits.text


def test_cost_is_of_a_generated_image() -> None:
    cost = made().cost
    assert cost.status == "depends"
    assert cost.text.startswith("A generated image costs more or less than the ANN, depending on the model: ")
    assert made(energy={}).cost.status == "unknown"
